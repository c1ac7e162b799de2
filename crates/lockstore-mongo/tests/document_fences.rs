//! What relies on locks while those are renewed, waited for, taken away and over.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bson::{DateTime, Document, RawBson, RawDocument, RawDocumentBuf, doc, rawdoc};
use lockstore::{
    Collection, DocumentError, ErrorCode, LockDocumentError, ReleaseDocumentError, SessionId,
    Store, StoreError,
};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{FailPoint, ReplicaSet, new_database};

/// A store of its own, with the database of its locks, and one of its documents.
struct Own {
    store: Store,
    locks: String,
    database: String,
}

impl Own {
    fn filled(count: i32) -> Self {
        Self::filled_with(count, |options| options)
    }

    fn filled_with(count: i32, with: impl FnOnce(ReplicaSetOptions) -> ReplicaSetOptions) -> Self {
        let (locks, database) = (new_database(), new_database());
        // By its name the failures of its connections are its own.
        let address = format!("{}&appName={locks}", ReplicaSet::shared().uri());
        let options = with(ReplicaSetOptions::new().database(&locks));
        let store = options.connect(&address).unwrap();
        let own = Self { store, locks, database };
        own.jobs().insert_many((0..count).map(|id| doc! { "_id": id, "n": 0 })).run().unwrap();
        own.results().insert_one(doc! { "_id": "first" }).unwrap();
        own
    }

    fn jobs(&self) -> Collection {
        self.store.database(&self.database).collection("jobs")
    }

    fn results(&self) -> Collection {
        self.store.database(&self.database).collection("results")
    }

    fn job(&self, id: i32) -> Document {
        self.jobs().find_one(doc! { "_id": id }).run().unwrap().unwrap()
    }

    /// Has the time of a session pass.
    fn end_session(&self, session: SessionId) {
        let sessions = self.store.database(&self.locks).collection::<Document>("sessions");
        let number = i64::try_from(session.get()).unwrap();
        let over = doc! { "$set": { "until": DateTime::now() } };
        sessions.update_one(doc! { "_id": number }, over).run().unwrap();
    }

    /// The same from another process, whose connections do not fail.
    fn elsewhere(&self) -> Self {
        let address = ReplicaSet::shared().uri();
        let store = ReplicaSetOptions::new().database(&self.locks).connect(&address).unwrap();
        Self { store, locks: self.locks.clone(), database: self.database.clone() }
    }

    /// Has the primary wait for a while before it carries out the next command of that name that comes from here.
    fn delay(&self, name: &str) -> Fault {
        let data = rawdoc! {
            "failCommands": [name], "appName": self.locks.as_str(),
            "blockConnection": true, "blockTimeMS": i64::try_from(DELAY.as_millis()).unwrap(),
        };
        Fault::new(rawdoc! { "times": 1 }, &data)
    }

    /// Has the primary refuse what looks at nothing but sessions, for it takes too long (`ExceededTimeLimit`): it may be asked again.
    fn hide_sessions(&self) -> Fault {
        let sessions = format!("{}.sessions", self.locks);
        let data = rawdoc! {
            "failCommands": ["aggregate"], "appName": self.locks.as_str(), "namespace": sessions,
            "errorCode": 262,
        };
        Fault::new("alwaysOn", &data)
    }
}

/// A command that is to be delayed or to fail: one at a time, for all of a server is the same fail point.
struct Fault {
    point: FailPoint<'static>,
    _alone: MutexGuard<'static, ()>,
}

impl Fault {
    fn new(mode: impl Into<RawBson>, data: &RawDocument) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let point = ReplicaSet::shared().fail_point("failCommand", mode, data).unwrap();
        Self { point, _alone: alone }
    }

    /// Waits until the command is there.
    fn has_begun(&self) {
        self.point.wait_until_entered().unwrap();
    }
}

/// What jobflow-remote's class does to take a document away.
fn take_away(jobs: &Collection, id: i32, lock_id: &str) -> Result<(), DocumentError> {
    let lock = doc! { "$set": { "lock_id": lock_id, "lock_time": DateTime::now() } };
    jobs.update_one(doc! { "_id": id }, lock).max_time(SHORT).run().map(drop)
}

#[track_caller]
fn is_lost<T: Debug>(result: Result<T, DocumentError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, DocumentError::LockLost(_)), "{error:?}");
}

const MINUTE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
/// For how long a command is delayed.
const DELAY: Duration = Duration::from_millis(1_500);

/// The primary waits in the middle of the commit of a write that relies on the lock.
#[test]
fn nobody_takes_a_document_away_while_what_relies_on_its_lock_is_committed() {
    let own = Own::filled(2);
    let thief = own.elsewhere();
    let lock = own.jobs().lock_document(doc! { "_id": 0 }).acquire().unwrap();
    let fence = lock.fence().unwrap();
    for is_elsewhere in [true, false] {
        let delay = own.delay("commitTransaction");
        let (result, taken) = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                if is_elsewhere {
                    let fenced = own.results().fenced_by(fence.clone());
                    return fenced.insert_one(doc! { "_id": 0 }).map(drop);
                }
                let fenced = own.jobs().fenced_by(fence.clone());
                fenced.update_many(doc! {}, doc! { "$set": { "n": 1 } }).run().map(drop)
            });
            delay.has_begun();
            let taken = take_away(&thief.jobs(), 0, "thief");
            (writer.join().unwrap(), taken)
        });
        result.unwrap();
        let error = taken.unwrap_err();
        assert_eq!(error.code(), ErrorCode::MAX_TIME_MS_EXPIRED, "{error:?}");
    }
    assert!(lock.holds());
    take_away(&thief.jobs(), 0, "thief").unwrap();
    let fenced = own.results().fenced_by(fence);
    is_lost(fenced.insert_one(doc! { "_id": 1 }));
    is_lost(own.jobs().fenced_by(lock.fence().unwrap()).delete_many(doc! {}).run());
    assert_eq!(own.results().count_documents(doc! {}).run().unwrap(), 2);
    assert!(!own.job(0).contains_key("lock_touched"));
}

#[test]
fn what_was_taken_away_while_a_transaction_was_open_is_not_relied_on() {
    let own = Own::filled(1);
    let lock = own.jobs().lock_document(doc! {}).acquire().unwrap();
    let tx = own.store.begin_transaction().unwrap();
    own.results().in_transaction(&tx).insert_one(doc! { "_id": 1 }).unwrap();
    take_away(&own.jobs(), 0, "thief").unwrap();
    tx.require(lock.fence().unwrap()).unwrap();
    is_lost(tx.commit());
    assert_eq!(own.results().count_documents(doc! {}).run().unwrap(), 1);
}

#[test]
fn a_transaction_is_committed_whatever_renews_its_locks_and_waits_for_them_meanwhile() {
    let own = Own::filled(1);
    let guard = own.store.lock("k").ttl(MINUTE).acquire().unwrap();
    let lock = own.jobs().lock_document(doc! {}).ttl(MINUTE).acquire().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let elsewhere = own.elsewhere();
            let waited = elsewhere.store.lock("k").acquire_timeout(MINUTE);
            waited.unwrap().release().unwrap();
        });
        let open: Vec<_> = (0..2)
            .map(|n| {
                let tx = own.store.begin_transaction().unwrap();
                own.results().in_transaction(&tx).insert_one(doc! { "_id": n }).unwrap();
                tx.require(guard.fence()).unwrap();
                tx.require(lock.fence().unwrap()).unwrap();
                tx
            })
            .collect();
        guard.renew().unwrap();
        lock.renew().unwrap();
        let begin = Instant::now();
        while own.store.inspect("k").unwrap().unwrap().waiters == 0 {
            assert!(begin.elapsed() < MINUTE);
        }
        // Several that rely on the same.
        for tx in open {
            tx.commit().unwrap();
        }
        guard.release().unwrap();
        waiter.join().unwrap();
    });
    assert_eq!(own.results().count_documents(doc! {}).run().unwrap(), 3);
}

#[test]
fn a_transaction_may_change_and_delete_the_document_whose_lock_it_relies_on() {
    let own = Own::filled(1);
    let lock = own.jobs().lock_document(doc! {}).acquire().unwrap();
    let work = |change: &dyn Fn(&Collection) -> Result<(), DocumentError>| {
        own.store.transaction(|tx| {
            tx.require(lock.fence().unwrap())?;
            change(&own.jobs().in_transaction(tx))
        })
    };
    let set = doc! { "$set": { "n": 1 } };
    work(&|jobs| jobs.update_one(doc! { "_id": 0 }, set.clone()).run().map(drop)).unwrap();
    assert_eq!(own.job(0).get_i32("n").unwrap(), 1);
    assert!(!own.job(0).contains_key("lock_touched"));
    work(&|jobs| jobs.delete_one(doc! { "_id": 0 }).run().map(drop)).unwrap();
    is_lost(work(&|_| Ok(())));
}

#[test]
fn what_relies_on_the_lock_of_a_session_that_is_over_is_refused() {
    let own = Own::filled(1);
    let session = own.store.session().unwrap();
    let guard = own.store.lock("k").session(&session).acquire().unwrap();
    let lock = own.jobs().lock_document(doc! {}).session(&session).acquire().unwrap();
    let fences = [guard.fence(), lock.fence().unwrap()];
    for (n, fence) in (0..).zip(&fences) {
        own.results().fenced_by(fence.clone()).insert_one(doc! { "_id": n }).unwrap();
    }
    // Its process is gone, and nobody has looked at its locks yet.
    own.end_session(session.id());
    for (n, fence) in (10..).zip(fences) {
        is_lost(own.results().fenced_by(fence).insert_one(doc! { "_id": n }));
    }
}

#[test]
fn a_document_whose_session_is_over_is_not_updated_by_its_release() {
    let own = Own::filled(1);
    let session = own.store.session().unwrap();
    let mut lock = own.jobs().lock_document(doc! {}).session(&session).acquire().unwrap();
    lock.set_update_on_release(doc! { "$set": { "n": 1 } }).unwrap();
    // Nobody has looked at its locks yet.
    own.end_session(session.id());
    let error = lock.release().unwrap_err();
    assert!(matches!(error, ReleaseDocumentError::LockLost { .. }), "{error:?}");
    assert_eq!(own.job(0).get_i32("n").unwrap(), 0);
}

#[test]
fn a_commit_does_not_wait_for_itself_where_the_lock_that_it_releases_is_over_and_wanted() {
    let own = Own::filled(0);
    let session = own.store.session().unwrap();
    let guard = own.store.lock("k").session(&session).acquire().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let elsewhere = own.elsewhere();
            elsewhere.store.lock("k").acquire_timeout(MINUTE).unwrap().release().unwrap();
        });
        let begin = Instant::now();
        while own.store.inspect("k").unwrap().unwrap().waiters == 0 {
            assert!(begin.elapsed() < MINUTE);
        }
        let begin = Instant::now();
        is_lost(own.store.transaction(|tx| {
            own.results().in_transaction(tx).insert_one(doc! { "_id": "tx" })?;
            tx.require(guard.fence())?;
            tx.release(&guard)?;
            // Nobody has looked at its locks yet.
            own.end_session(session.id());
            Ok::<_, DocumentError>(())
        }));
        assert!(begin.elapsed() < MINUTE / 2, "a transaction that waits is ended after a minute");
        waiter.join().unwrap();
    });
}

#[test]
fn a_document_that_is_locked_again_by_the_same_name_is_not_freed_and_not_relied_on() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let lock = jobs.lock_document(doc! {}).lock_id("w1").ttl(SHORT).acquire().unwrap();
    // As `jf admin unlock` does, and then the original class.
    take_away(&jobs, 0, "other").unwrap();
    take_away(&jobs, 0, "w1").unwrap();
    let theirs = own.job(0).get_datetime("lock_time").unwrap().to_owned();
    assert!(!lock.holds());
    is_lost(own.results().fenced_by(lock.fence().unwrap()).insert_one(doc! { "_id": 1 }));
    let renewed = lock.renew();
    assert!(matches!(renewed, Err(ReleaseDocumentError::LockLost { .. })), "{renewed:?}");
    thread::sleep(SHORT);
    // Whoever looks sees to what has run out.
    assert!(jobs.lock_document(doc! {}).acquire().unwrap().locked_document().is_none());
    let found = jobs.lock_document(doc! {}).get_locked_doc(true).acquire().unwrap();
    assert!(found.unavailable_document().is_some());
    let released = lock.release();
    assert!(matches!(released, Err(ReleaseDocumentError::LockLost { .. })), "{released:?}");
    assert_eq!(own.job(0).get_str("lock_id").unwrap(), "w1");
    assert_eq!(*own.job(0).get_datetime("lock_time").unwrap(), theirs);
}

#[test]
fn a_lock_of_a_document_that_is_kept_alive_shows_it_and_is_lost_with_the_document() {
    let own = Own::filled(1);
    let ttl = Duration::from_millis(1_500);
    let lock = own.jobs().lock_document(doc! {}).ttl(ttl).acquire().unwrap();
    let expires = || own.job(0).get_datetime("lock_expires_at").unwrap().to_owned();
    let first = expires();
    lock.keep_alive();
    let begin = Instant::now();
    while expires() <= first || begin.elapsed() < ttl {
        assert!(begin.elapsed() < MINUTE);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(lock.holds());
    take_away(&own.jobs(), 0, "thief").unwrap();
    // A renewal that is refused says so, without anybody's having looked.
    let begin = Instant::now();
    while lock.remaining().is_some_and(|left| left > Duration::ZERO) {
        assert!(begin.elapsed() < MINUTE);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(own.job(0).get_str("lock_id").unwrap(), "thief");
    assert!(!lock.holds());
}

/// One of another process changes the document when it begins, and one of this process when it ends.
#[test]
fn a_lock_is_kept_alive_however_long_a_transaction_takes_that_changes_its_document() {
    let own = Own::filled(2);
    let elsewhere = own.elsewhere();
    let ttl = Duration::from_millis(1_500);
    for (id, by, changes_first) in [(0, &elsewhere, true), (1, &own, false)] {
        let lock = own.jobs().lock_document(doc! { "_id": id }).ttl(ttl).acquire().unwrap();
        lock.keep_alive();
        let expires = || own.job(id).get_datetime("lock_expires_at").unwrap().to_owned();
        let tx = by.store.begin_transaction().unwrap();
        let jobs = by.jobs().in_transaction(&tx);
        let change = || jobs.update_one(doc! { "_id": id }, doc! { "$inc": { "n": 1 } }).run();
        jobs.find_one(doc! { "_id": id }).run().unwrap();
        if changes_first {
            change().unwrap();
        }
        thread::sleep(ttl + SHORT);
        if !changes_first {
            change().unwrap();
        }
        tx.require(lock.fence().unwrap()).unwrap();
        tx.commit().unwrap();
        assert_eq!(own.job(id).get_i32("n").unwrap(), 1);
        // What the document shows is behind until the next renewal.
        let (shown, begin) = (expires(), Instant::now());
        while expires() <= shown {
            assert!(begin.elapsed() < MINUTE);
            thread::sleep(Duration::from_millis(20));
        }
        assert!(lock.holds());
        lock.release().unwrap();
    }
}

/// The session ends while the primary has not yet committed what locks the document.
#[test]
fn a_document_is_not_locked_with_a_session_that_has_ended_meanwhile() {
    let own = Own::filled(1);
    let session = own.store.session().unwrap();
    let elsewhere = own.elsewhere();
    let delay = own.delay("commitTransaction");
    let locked = thread::scope(|scope| {
        let locker =
            scope.spawn(|| own.jobs().lock_document(doc! {}).session(&session).acquire().map(drop));
        delay.has_begun();
        elsewhere.store.session_with(session.id()).end().unwrap();
        locker.join().unwrap()
    });
    let error = locked.unwrap_err();
    assert!(matches!(error, LockDocumentError::SessionEnded), "{error:?}");
    assert_eq!(own.job(0).get("lock_id"), Some(&bson::Bson::Null));
}

/// Nobody waits any more when the first command of a transaction is carried out.
#[test]
fn a_guarded_write_that_nobody_waits_for_any_more_is_in_nobodys_way() {
    let own = Own::filled(1);
    let guard = own.store.lock("k").ttl(MINUTE).acquire().unwrap();
    // The write itself, and the look at the lock that it relies on.
    for (id, delayed) in (1..).zip(["update", "findAndModify"]) {
        let _delay = own.delay(delayed);
        let fenced = own.results().fenced_by(guard.fence());
        let write = fenced.update_one(doc! { "_id": id }, doc! { "$set": { "n": 1 } });
        let late = write.upsert(true).max_time(SHORT / 10).run().unwrap_err();
        assert!(matches!(late, DocumentError::Store(StoreError::Unreachable { .. })), "{late:?}");
        thread::sleep(DELAY);
        let begin = Instant::now();
        guard.renew().unwrap();
        own.results().insert_one(doc! { "_id": id }).unwrap();
        // MongoDB ends by itself what is left open for a minute.
        assert!(begin.elapsed() < MINUTE / 3, "{delayed}: {:?}", begin.elapsed());
    }
}

/// Its session lives on, and with it the lock, of which nobody was told.
#[test]
fn a_document_whose_session_cannot_be_looked_at_is_given_back() {
    let own = Own::filled_with(1, |options| options.patience(SHORT));
    let session = own.store.session().unwrap();
    let fault = own.hide_sessions();
    let error = own.jobs().lock_document(doc! {}).session(&session).acquire().unwrap_err();
    let LockDocumentError::Document(DocumentError::Store(StoreError::OutcomeUnknown { .. })) =
        error
    else {
        panic!("{error:?}")
    };
    let start = Instant::now();
    while own.job(0).get("lock_id") != Some(&bson::Bson::Null) {
        assert!(start.elapsed() < MINUTE / 2, "{:?}", own.job(0));
        thread::sleep(Duration::from_millis(20));
    }
    drop(fault);
    let lock = own.jobs().lock_document(doc! {}).session(&session).acquire().unwrap();
    assert!(lock.locked_document().is_some());
}

/// For those who lock by plain updates only.
#[test]
fn documents_whose_locks_are_over_are_freed_though_nobody_of_ours_wants_them() {
    let options = |options: ReplicaSetOptions| options.look_again(SHORT / 10);
    let own = Own::filled_with(2, options);
    let session = own.store.session().unwrap();
    let jobs = own.jobs();
    let locks = [
        jobs.lock_document(doc! { "_id": 0 }).ttl(SHORT).acquire().unwrap(),
        jobs.lock_document(doc! { "_id": 1 }).session(&session).acquire().unwrap(),
    ];
    // The process is gone, and gives no signs of life.
    own.end_session(session.id());
    let start = Instant::now();
    while jobs.count_documents(doc! { "lock_id": null }).run().unwrap() < 2 {
        assert!(start.elapsed() < MINUTE);
    }
    for lock in locks {
        lock.release().unwrap_err();
    }
}

/// The process has died long ago, and nobody has looked: MongoDB has forgotten its session by now.
#[test]
fn a_document_is_freed_also_when_its_session_is_forgotten() {
    let own = Own::filled(1);
    let session = own.store.session().unwrap();
    let _lock = own.jobs().lock_document(doc! {}).session(&session).acquire().unwrap();
    let sessions = own.store.database(&own.locks).collection::<Document>("sessions");
    sessions.delete_many(doc! {}).run().unwrap();
    let next = own.elsewhere().jobs().lock_document(doc! {}).acquire().unwrap();
    assert!(next.locked_document().is_some());
}

/// What is bound to sessions may be much: who finds nothing, and asks again and again, does not look at all of it each time.
#[test]
fn who_finds_no_document_seldom_looks_for_sessions_that_are_over() {
    let own = Own::filled_with(0, |options| options.look_again(MINUTE));
    let (set, locks) = (ReplicaSet::shared(), own.locks.as_str());
    let primary = set.primary().unwrap();
    set.run(primary, &rawdoc! { "profile": 2, "$db": locks }).unwrap();
    for _ in 0..5 {
        assert!(own.jobs().lock_document(doc! {}).acquire().unwrap().locked_document().is_none());
    }
    let asked = |query: RawDocumentBuf| {
        let count = rawdoc! { "count": "system.profile", "query": query, "$db": locks };
        set.run(primary, &count).unwrap().get_i32("n").unwrap()
    };
    let at_sessions = rawdoc! { "command.pipeline.$lookup.from": "sessions", "command.pipeline.$unwind": "$grants" };
    // What has run out by its time is looked for each time.
    let at_any = rawdoc! { "command.aggregate": "locks" };
    assert_eq!((asked(at_sessions), asked(at_any)), (1, 7));
}

/// The store is closed while the primary has not yet committed what locks the document.
#[test]
fn a_document_that_is_locked_while_the_store_is_being_closed_is_given_back() {
    let own = Own::filled(1);
    let elsewhere = own.elsewhere();
    let delay = own.delay("commitTransaction");
    let locked = thread::scope(|scope| {
        let locker = scope.spawn(|| own.jobs().lock_document(doc! {}).acquire().map(drop));
        delay.has_begun();
        own.store.clone().close().unwrap();
        locker.join().unwrap()
    });
    let error = locked.unwrap_err();
    assert!(
        matches!(error, LockDocumentError::Document(DocumentError::Store(StoreError::Closed))),
        "{error:?}"
    );
    assert_eq!(elsewhere.job(0).get("lock_id"), Some(&bson::Bson::Null));
}
