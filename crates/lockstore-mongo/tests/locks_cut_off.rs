//! A process that is cut off from its replica set.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::{Duration, Instant};

use bson::doc;
use lockstore::Store;
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

const SESSION_TTL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

fn waits_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_guard_whose_session_gave_no_sign_of_life_in_time_is_lost_before_anybody_tells() {
    let (set, locks) = (ReplicaSet::start().unwrap(), new_database());
    let connect = || -> Store {
        let options = ReplicaSetOptions::new().database(&locks).session_ttl(SESSION_TTL);
        options.connect(&set.uri()).unwrap()
    };
    let (first, second) = (connect(), connect());
    let session = first.session().unwrap();
    let guard = first.lock("k").session(&session).holder("first").acquire().unwrap();
    let resumed = first.lock("k").holder("first").resume(guard.token()).unwrap();
    let documents = first.database(&new_database()).collection::<bson::Document>("writes");
    documents.fenced_by(guard.fence()).insert_one(doc! { "_id": 1 }).unwrap();
    // It gives signs of life for longer than its TTL.
    thread::sleep(SESSION_TTL * 2);
    assert!(!guard.is_lost());

    for member in set.members() {
        set.stop(member).unwrap();
    }
    waits_for("the guard is lost", || guard.is_lost());
    assert!(resumed.is_lost());
    let start = Instant::now();
    let timeout = SESSION_TTL;
    second.lock("other").acquire_timeout(timeout).unwrap_err();
    assert!(start.elapsed() < PATIENCE / 2, "an answer came after {:?}", start.elapsed());
    for member in set.members() {
        set.go_on(member).unwrap();
    }
    set.wait_until_whole().unwrap();

    let taken = second.lock("k").holder("second").acquire_timeout(PATIENCE).unwrap();
    assert!(taken.token() > guard.token());
    assert!(guard.is_lost(), "a session never lives again");
    documents.fenced_by(guard.fence()).insert_one(doc! { "_id": 2 }).unwrap_err();
    documents.fenced_by(taken.fence()).insert_one(doc! { "_id": 2 }).unwrap();
    assert!(!taken.is_lost());
    waits_for("what came too late is given back", || {
        second
            .lock("other")
            .holder("later")
            .try_acquire()
            .is_ok_and(|guard| guard.release().is_ok())
    });
    drop((guard, resumed));
    assert!(second.lock("k").holder("third").try_acquire().is_err(), "the lock is the second's");
}
