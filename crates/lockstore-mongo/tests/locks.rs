//! Keyed locks on a replica set, beside what the scenarios of all deployments tell of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use bson::{DateTime, Document, doc};
use lockstore::DocumentError;
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

#[test]
fn a_guard_is_lost_with_its_session() {
    let store = ReplicaSetOptions::new()
        .database(new_database())
        .connect(&ReplicaSet::shared().uri())
        .unwrap();
    let session = store.session().unwrap();
    let guard = store.lock("k").session(&session).acquire().unwrap();
    assert!(!guard.is_lost());
    session.end().unwrap();
    assert!(guard.is_lost());
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
