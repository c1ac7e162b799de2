//! Replies that are lost, and writes that are not confirmed: what MongoDB's fail points make of one command.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, RawArrayBuf, RawBson, RawDocumentBuf, cstr, doc, rawdoc};
use lockstore::{Collection, Database, DocumentError, Store, StoreError};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{FailPoint, ReplicaSet, new_database};

/// A store, whose commands are made to fail: one test at a time, for a fail point is one of the whole server.
struct Faulty {
    set: &'static ReplicaSet,
    store: Store,
    database: Database,
    _alone: MutexGuard<'static, ()>,
}

impl Faulty {
    fn new(patience: Duration) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let set = ReplicaSet::shared();
        let options = ReplicaSetOptions::new().database(new_database()).patience(patience);
        let store = options.connect(&set.uri()).unwrap();
        Self { set, database: store.database(&new_database()), store, _alone: alone }
    }

    fn collection(&self) -> Collection {
        self.database.collection("jobs")
    }

    /// Runs a command of MongoDB's, and gives its reply, or the error of the store.
    fn run(&self, command: &Document) -> Document {
        let reply = self.database.run_command(&RawDocumentBuf::try_from(command).unwrap());
        Document::try_from(&*reply).unwrap()
    }

    /// A document with a transaction that has changed it, and the command that commits that.
    fn changed(&self) -> (Collection, Document) {
        let jobs = self.collection();
        jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
        let lsid = self.run(&doc! { "startSession": 1 }).remove("id").unwrap();
        let part = doc! { "lsid": lsid, "txnNumber": 1_i64, "autocommit": false };
        let mut update = doc! {
            "update": "jobs", "updates": [{ "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } } }], "startTransaction": true,
        };
        update.extend(part.clone());
        assert_eq!(self.run(&update).get_i32("n").unwrap(), 1);
        let mut commit = doc! { "commitTransaction": 1 };
        commit.extend(part);
        (jobs, commit)
    }

    /// Has the commands `names` fail so, as often as `mode` says.
    fn fail(&self, names: &[&str], mode: impl Into<RawBson>, how: &Document) -> FailPoint<'static> {
        let mut data = RawDocumentBuf::try_from(how).unwrap();
        data.append(cstr!("failCommands"), names.iter().copied().collect::<RawArrayBuf>());
        self.set.fail_point("failCommand", mode, &data).unwrap()
    }

    /// Has the reply to a write be lost, once, that is done.
    fn lose_reply(&self) -> FailPoint<'static> {
        let how = rawdoc! { "closeConnection": true };
        self.set.fail_point("onPrimaryTransactionalWrite", times(1), &how).unwrap()
    }
}

fn times(times: i32) -> RawDocumentBuf {
    rawdoc! { "times": times }
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn a_write_whose_wait_for_most_members_was_ended_is_confirmed_or_not_known() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    let add = || jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run();
    for code in [50, 64, 91, 100] {
        let ended = doc! { "writeConcernError": { "code": code, "errmsg": "ended" } };
        let _failing = faulty.fail(&["update"], times(1), &ended);
        // It is sent again, and confirmed. (This fail point answers before anything is done.)
        assert_eq!(add().unwrap().modified_count, 1, "{code}");
    }
    let all = |wanted| jobs.update_many(doc! {}, doc! { "$set": { "of": wanted } }).run();
    let ended = doc! { "writeConcernError": { "code": 50, "errmsg": "" } };
    let _failing = faulty.fail(&["update"], times(1), &ended);
    let unknown = all(1).unwrap_err();
    assert!(is_unknown(&unknown), "it cannot be sent again: {unknown}");
    let job = jobs.find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!(job.get_i32("n").unwrap(), 4, "{job}");
}

#[test]
fn a_write_whose_reply_was_lost_is_done_once() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    for _ in 0..5 {
        let _lost = faulty.lose_reply();
        jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap();
    }
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 5 }));
}

#[test]
fn a_write_that_is_refused_after_it_may_have_been_done_is_not_told_as_refused() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    // The first try is done and its reply lost; the second is refused before it is compared with the first.
    let lost = faulty.lose_reply();
    let refused = faulty.fail(&["update"], rawdoc! { "skip": 1 }, &doc! { "errorCode": 13 });
    let told = jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap_err();
    drop((lost, refused));
    assert!(is_unknown(&told), "{told}");
}

#[test]
fn a_batch_that_breaks_off_tells_which_part_of_it_is_done() {
    let faulty = Faulty::new(SHORT);
    let jobs = faulty.collection();
    let large = "x".repeat(6 << 20);
    let documents = (0..5).map(|id| doc! { "_id": id, "large": &large });
    // Two fit into a command.
    let skip = rawdoc! { "skip": 1 };
    let failing = faulty.fail(&["insert"], skip, &doc! { "closeConnection": true });
    let told = jobs.insert_many(documents).run().unwrap_err();
    drop(failing);
    let DocumentError::Partial(partial) = told else { panic!("{told}") };
    assert_eq!(partial.result().inserted_ids.len(), 2, "{partial}");
    assert!(partial.errors().len() == 1 && is_unknown(&partial.errors()[&2]), "{partial}");
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 2);
}

#[test]
fn a_commit_that_nobody_knows_of_can_be_asked_for_again() {
    let faulty = Faulty::new(SHORT);
    let (jobs, commit) = faulty.changed();
    let lost = doc! { "closeConnection": true };
    let failing = faulty.fail(&["commitTransaction"], "alwaysOn", &lost);
    let unknown = faulty.run(&commit);
    assert!(matches!(unknown.get_f64("ok"), Ok(0.0)), "{unknown}");
    assert!(unknown.to_string().contains("commitTransaction"), "{unknown}");
    drop(failing);
    for _ in 0..2 {
        let committed = faulty.run(&commit);
        assert!(matches!(committed.get_f64("ok"), Ok(1.0)), "{committed}");
    }
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 1 }));
}

/// Its reply was lost, so it may be done; what is refused when it is asked for again says nothing of that.
#[test]
fn a_commit_that_is_refused_after_it_may_have_been_done_can_be_asked_for_again() {
    let faulty = Faulty::new(SHORT);
    let (jobs, commit) = faulty.changed();
    for how in [doc! { "closeConnection": true }, doc! { "errorCode": 13 }] {
        let _failing = faulty.fail(&["commitTransaction"], "alwaysOn", &how);
        let unknown = faulty.run(&commit);
        assert!(unknown.to_string().contains("OutcomeUnknown"), "{unknown}");
    }
    let committed = faulty.run(&commit);
    assert!(matches!(committed.get_f64("ok"), Ok(1.0)), "{committed}");
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 1 }));
}

/// A primary that is new says without the label of a transaction that is to be run again that it knows of none: most members have to agree yet.
#[test]
fn a_commit_of_which_a_primary_does_not_know_yet_is_asked_for_again() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    let guard = faulty.store.lock("k").ttl(LONG).acquire().unwrap();
    let unlabelled = doc! { "errorCode": 251, "errorLabels": [] };
    let _failing = faulty.fail(&["commitTransaction"], times(1), &unlabelled);
    let fenced = jobs.fenced_by(guard.fence());
    fenced.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap();
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 1 }));
}

/// The commit goes on when nobody waits for it, and the lock is held until it is known what has become of it.
#[test]
fn a_guarded_write_that_is_given_up_in_its_commit_lets_go_of_the_lock_in_the_end() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    let guard = faulty.store.lock("k").ttl(LONG).acquire().unwrap();
    let lost = doc! { "closeConnection": true };
    let failing = faulty.fail(&["commitTransaction"], "alwaysOn", &lost);
    let fenced = jobs.fenced_by(guard.fence());
    let add = fenced.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let told = add.max_time(SHORT / 4).run().unwrap_err();
    assert!(is_unknown(&told), "{told:?}");
    drop(failing);
    let started = Instant::now();
    guard.renew().unwrap();
    // MongoDB ends by itself what is left open for a minute.
    assert!(started.elapsed() < LONG / 3, "{:?}", started.elapsed());
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 1 }));
}

#[test]
fn a_write_that_found_no_primary_in_time_is_known_not_to_be_done() {
    let faulty = Faulty::new(LONG);
    let jobs = faulty.collection();
    jobs.insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    let no_primary = NoPrimary::of(faulty.set);
    let add = || jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let started = Instant::now();
    while started.elapsed() < SHORT * 3 {
        let told = add().max_time(SHORT / 4).run().unwrap_err();
        let is_undone = matches!(told, DocumentError::Store(StoreError::Unreachable { .. }));
        assert!(is_undone, "{told:?}");
    }
    drop(no_primary);
    assert_eq!(add().run().unwrap().modified_count, 1);
    assert_eq!(jobs.find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 1 }));
}

/// A replica set whose members all run, and none of which is the primary.
struct NoPrimary {
    set: &'static ReplicaSet,
}

impl NoPrimary {
    fn of(set: &'static ReplicaSet) -> Self {
        let primary = set.primary().unwrap();
        let it = Self { set };
        it.freeze(3_600);
        let command = rawdoc! { "replSetStepDown": 3_600, "force": true, "$db": "admin" };
        set.run(primary, &command).unwrap();
        it
    }

    fn freeze(&self, seconds: i32) {
        for member in self.set.members() {
            // The primary refuses it.
            let command = rawdoc! { "replSetFreeze": seconds, "$db": "admin" };
            self.set.run(member, &command).unwrap();
        }
    }
}

impl Drop for NoPrimary {
    fn drop(&mut self) {
        self.freeze(0);
        self.set.primary().unwrap();
    }
}

fn is_unknown(error: &DocumentError) -> bool {
    matches!(error, DocumentError::Store(StoreError::OutcomeUnknown { .. }))
}
