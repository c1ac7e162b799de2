//! Keyed locks on a replica set, beside what the scenarios of all deployments tell of them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

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
