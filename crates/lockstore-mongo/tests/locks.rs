//! Keyed locks on a replica set, beside what the scenarios of all deployments tell of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use lockstore::{AcquireError, DocumentError, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

fn store() -> Store {
    let options = ReplicaSetOptions::new().database(new_database());
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
