//! Keyed locks on a replica set, beside what the scenarios of all deployments tell of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, Instant};

use bson::{DateTime, Document, Uuid, doc, rawdoc};
use lockstore::{AcquireError, BreakError, DocumentError, Fence, LockGuard, ReleaseError, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

fn store() -> Store {
    store_of(&new_database())
}

/// A process's own, with the locks of that database.
fn store_of(database: &str) -> Store {
    let options = ReplicaSetOptions::new().database(database);
    options.connect(&ReplicaSet::shared().uri()).unwrap()
}

#[test]
fn a_guard_is_lost_with_its_session() {
    let store = store();
    let session = store.session().unwrap();
    let guard = store.lock("k").session(&session).acquire().unwrap();
    assert!(!guard.is_lost());
    session.end().unwrap();
    assert!(guard.is_lost());
}

/// Whoever knows it may end a session, of which its process hears with its next sign of life.
#[test]
fn nothing_is_bound_any_more_to_a_session_that_another_process_has_ended() {
    let database = new_database();
    let (store, elsewhere) = (store_of(&database), store_of(&database));
    let session = store.session().unwrap();
    let acquire = || store.lock("k").session(&session).try_acquire();
    acquire().unwrap().release().unwrap();
    elsewhere.session_with(session.id()).end().unwrap();
    let refused = acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::SessionEnded), "{refused:?}");
    assert!(!elsewhere.is_locked("k").unwrap());
}

/// Its process is gone, and nobody has looked at its locks yet.
#[test]
fn what_a_session_had_that_is_over_is_not_released_any_more() {
    let database = new_database();
    let (store, elsewhere) = (store_of(&database), store_of(&database));
    let session = store.session().unwrap();
    let acquire = |key| store.lock(key).holder("h").session(&session).acquire().unwrap();
    let taken_up = |key| {
        let (guard, lock) = (acquire(key), elsewhere.lock(key).holder("h"));
        let token = guard.token();
        guard.leak();
        lock.resume(token).unwrap()
    };
    let theirs = elsewhere.session().unwrap();
    taken_up("lives").release().unwrap();
    let (beside_another, alone, own) = (taken_up("a"), taken_up("b"), acquire("c"));

    let over = doc! { "$set": { "until": DateTime::MIN } };
    let number = i64::try_from(session.id().get()).unwrap();
    let sessions = elsewhere.database(&database).collection::<Document>("sessions");
    sessions.update_one(doc! { "_id": number }, over).run().unwrap();
    let is_refused = |guard: LockGuard| {
        let released = guard.release();
        assert!(matches!(released, Err(ReleaseError::NotHeld { .. })), "{released:?}");
    };
    is_refused(beside_another);
    theirs.end().unwrap();
    is_refused(alone);
    // Its own process has not heard of it yet.
    own.release().expect_err("it may have ended before");
}

#[test]
fn a_lock_changes_once_in_a_transaction() {
    let store = store();
    let documents = new_database();
    let written = store.transaction(|tx| {
        tx.collection::<Document>(&documents, "written").insert_one(doc! { "_id": 1 })?;
        let _first = tx.lock("k").holder("h").acquire()?;
        let _again = tx.lock("k").holder("h").acquire()?;
        Ok::<_, DocumentError>(())
    });
    let error = written.unwrap_err().to_string();
    assert!(error.contains("once") || error.contains("already"), "{error}");
    assert!(!store.is_locked("k").unwrap());
}

#[test]
fn those_who_give_up_together_leave_the_line() {
    const WAITERS: usize = 100;
    let store = store();
    let guard = store.lock("k").acquire().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let start = Instant::now();
    let timeout = Duration::from_secs(1);
    let waits = (0..WAITERS).map(|_| store.lock("k").acquire_timeout_async(timeout));
    let came = runtime.block_on(futures_util::future::join_all(waits));
    assert!(came.into_iter().all(|came| matches!(came, Err(AcquireError::TimedOut { .. }))));
    eprintln!("{WAITERS} have given up after {:?}", start.elapsed());
    assert_eq!(store.stats().unwrap().waiters, 0);
    guard.release().unwrap();
    store.lock("k").try_acquire().unwrap().release().unwrap();
}

/// Nobody has looked at the lock since its session was over: it stands there as it was.
#[test]
fn a_write_that_relies_on_a_grant_of_a_dead_session_is_refused() {
    let locks = new_database();
    let options = ReplicaSetOptions::new().database(&locks);
    let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
    let session = store.session().unwrap();
    let guard = store.lock("k").session(&session).acquire().unwrap();
    let jobs = store.database(&new_database()).collection::<Document>("jobs");
    let fenced = jobs.fenced_by(guard.fence());
    fenced.insert_one(doc! { "_id": 1 }).unwrap();

    let over = doc! { "$set": { "until": DateTime::MIN } };
    store
        .database(&locks)
        .collection::<Document>("sessions")
        .update_many(doc! {}, over)
        .run()
        .unwrap();
    let alone = fenced.insert_one(doc! { "_id": 2 }).map(drop);
    let in_transaction =
        store.transaction(|tx| fenced.in_transaction(tx).insert_one(doc! { "_id": 3 }).map(drop));
    for refused in [alone, in_transaction] {
        let Err(DocumentError::LockLost(lost)) = refused else { panic!("{refused:?}") };
        assert_eq!((lost.key.as_str(), lost.now_held_by), ("k", None));
    }
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 1);
}

/// A lock whose lease has run out, and for which `next` waits whose process does not look: nobody has written yet that it is handed on. Gives
/// the grant that is over.
fn to_be_handed_on(store: &Store, locks: &str, key: &str, next: &str) -> Fence {
    let guard = store.lock(key).ttl(Duration::from_secs(3_600)).acquire().unwrap();
    let fence = guard.fence();
    guard.leak();
    let waiter = doc! {
        "request": Uuid::new(), "holder": next, "mode": "exclusive", "until": DateTime::MAX,
    };
    let over = DateTime::from_millis(1);
    let changed = doc! { "$set": {
        "grants.0.lease.expiresAt": over, "due": over, "waiters": { "0000000000000000": waiter },
    } };
    let written = store.database(locks).collection::<Document>("locks");
    assert_eq!(written.update_one(doc! { "_id": key }, changed).run().unwrap().matched_count, 1);
    fence
}

#[test]
fn who_is_handed_a_lock_is_told_of_with_the_token_that_it_has() {
    let locks = new_database();
    let options = ReplicaSetOptions::new().database(&locks);
    let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
    let documents = new_database();
    let token_of = |key| store.inspect(key).unwrap().unwrap().holders[0].token;

    let over = to_be_handed_on(&store, &locks, "broken", "next");
    let refused = store.break_lock("broken", over.token(), "a test").unwrap_err();
    let BreakError::OtherToken { by, .. } = refused else { panic!("{refused}") };
    assert_eq!((by.holder.as_str(), by.token), ("next", token_of("broken")));

    let over = to_be_handed_on(&store, &locks, "relied on", "next");
    let written = store.database(&documents).collection::<Document>("written");
    let refused = written.fenced_by(over).insert_one(doc! { "_id": 1 }).unwrap_err();
    let DocumentError::LockLost(lost) = refused else { panic!("{refused}") };
    assert_eq!(lost.now_held_by.unwrap().token, token_of("relied on"));

    to_be_handed_on(&store, &locks, "released", "next");
    let released = store.transaction(|tx| {
        let release = rawdoc! { "lockRelease": "released", "holder": "next" };
        Ok::<_, DocumentError>(tx.run_command(&documents, &release))
    });
    let reply = released.unwrap();
    assert!(reply.get_f64("ok").is_ok_and(|ok| ok > 0.0), "{reply:?}");
    assert!(!store.is_locked("released").unwrap());
}

#[test]
fn a_lock_that_cannot_be_ended_does_not_hold_up_the_others_of_a_dead_session() {
    let locks = new_database();
    let options = ReplicaSetOptions::new().database(&locks);
    let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
    let session = store.session().unwrap();
    for key in ["damaged", "k"] {
        store.lock(key).session(&session).acquire().unwrap().leak();
    }
    let subscription = store.subscribe("").unwrap();
    let written = |name: &str| store.database(&locks).collection::<Document>(name);
    let damage = doc! { "$set": { "grants.0.token": -1_i64 } };
    written("locks").update_one(doc! { "_id": "damaged" }, damage).run().unwrap();
    let over = doc! { "$set": { "until": DateTime::MIN } };
    written("sessions").update_many(doc! {}, over).run().unwrap();
    let start = Instant::now();
    let ended = doc! { "_id": "k", "grants": [] };
    while written("locks").count_documents(ended.clone()).run().unwrap() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the lock is held still");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(subscription);
}
