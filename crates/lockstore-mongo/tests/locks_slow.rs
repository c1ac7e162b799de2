//! A replica set that takes its time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::Duration;

use bson::rawdoc;
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// Whoever gave up each sign of life that is late would never hear that it was taken.
#[test]
fn a_session_lives_on_where_each_sign_of_life_is_late() {
    let set = ReplicaSet::shared();
    let options = ReplicaSetOptions::new().database(new_database()).session_ttl(TTL);
    let store = options.connect(&set.uri()).unwrap();
    let session = store.session().unwrap();
    let guard = store.lock("k").session(&session).acquire().unwrap();
    let late = rawdoc! {
        "failCommands": ["update"],
        "blockConnection": true,
        "blockTimeMS": i32::try_from(LATE.as_millis()).unwrap(),
    };
    let slow = set.fail_point("failCommand", "alwaysOn", &late).unwrap();
    thread::sleep(TTL * 2);
    let is_lost = guard.is_lost();
    drop(slow);
    assert!(!is_lost, "the session has ended");
    guard.release().unwrap();
}

const TTL: Duration = Duration::from_secs(9);
/// More than a sign of life takes where nothing is wrong, and less than a session may do without one.
const LATE: Duration = Duration::from_secs(3);
