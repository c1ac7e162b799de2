//! Replies that are lost, and writes that are not confirmed: what MongoDB's fail points make of one command.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use lockstore::{Collection, Database, DocumentError, Store, StoreError};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

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

    /// Has the commands `names` fail so, for as long as `mode` says.
    fn fail(&self, names: &[&str], mode: Document, mut how: Document) {
        how.extend(doc! { "failCommands": names });
        self.set("failCommand", mode, how);
    }

    fn set(&self, point: &str, mode: Document, data: Document) {
        let mode = mode.get("now").cloned().unwrap_or_else(|| mode.into());
        let command =
            doc! { "configureFailPoint": point, "mode": mode, "data": data, "$db": "admin" };
        let command = RawDocumentBuf::try_from(&command).unwrap();
        let reply = self.set.run(self.set.primary().unwrap(), &command).unwrap();
        assert!(matches!(reply.get_f64("ok"), Ok(1.0)), "{reply:?}");
    }

    fn heal(&self) {
        for point in ["failCommand", "onPrimaryTransactionalWrite"] {
            self.set(point, doc! { "now": "off" }, doc! {});
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.heal();
    }
}

fn times(times: i32) -> Document {
    doc! { "times": times }
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
        faulty.fail(&["update"], times(1), ended);
        // It is sent again, and confirmed. (This fail point answers before anything is done.)
        assert_eq!(add().unwrap().modified_count, 1, "{code}");
    }
    let all = |wanted| jobs.update_many(doc! {}, doc! { "$set": { "of": wanted } }).run();
    faulty.fail(&["update"], times(1), doc! { "writeConcernError": { "code": 50, "errmsg": "" } });
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
        let lost = doc! { "closeConnection": true };
        faulty.set("onPrimaryTransactionalWrite", times(1), lost);
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
    faulty.set("onPrimaryTransactionalWrite", times(1), doc! { "closeConnection": true });
    faulty.fail(&["update"], doc! { "skip": 1 }, doc! { "errorCode": 13 });
    let told = jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap_err();
    faulty.heal();
    assert!(is_unknown(&told), "{told}");
}

#[test]
fn a_batch_that_breaks_off_tells_which_part_of_it_is_done() {
    let faulty = Faulty::new(SHORT);
    let jobs = faulty.collection();
    let large = "x".repeat(6 << 20);
    let documents = (0..5).map(|id| doc! { "_id": id, "large": &large });
    // Two fit into a command.
    faulty.fail(&["insert"], doc! { "skip": 1 }, doc! { "closeConnection": true });
    let told = jobs.insert_many(documents).run().unwrap_err();
    faulty.heal();
    let DocumentError::Partial(partial) = told else { panic!("{told}") };
    assert_eq!(partial.result().inserted_ids.len(), 2, "{partial}");
    assert!(partial.errors().len() == 1 && is_unknown(&partial.errors()[&2]), "{partial}");
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 2);
}

#[test]
fn a_commit_that_nobody_knows_of_can_be_asked_for_again() {
    let faulty = Faulty::new(SHORT);
    let (jobs, commit) = faulty.changed();
    faulty.fail(
        &["commitTransaction"],
        doc! { "now": "alwaysOn" },
        doc! { "closeConnection": true },
    );
    let unknown = faulty.run(&commit);
    assert!(matches!(unknown.get_f64("ok"), Ok(0.0)), "{unknown}");
    assert!(unknown.to_string().contains("commitTransaction"), "{unknown}");
    faulty.heal();
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
        faulty.fail(&["commitTransaction"], doc! { "now": "alwaysOn" }, how);
        let unknown = faulty.run(&commit);
        assert!(unknown.to_string().contains("OutcomeUnknown"), "{unknown}");
    }
    faulty.heal();
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
    faulty.fail(&["commitTransaction"], times(1), unlabelled);
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
    faulty.fail(&["commitTransaction"], doc! { "now": "alwaysOn" }, lost);
    let fenced = jobs.fenced_by(guard.fence());
    let add = fenced.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } });
    let told = add.max_time(SHORT / 4).run().unwrap_err();
    assert!(is_unknown(&told), "{told:?}");
    faulty.heal();
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
