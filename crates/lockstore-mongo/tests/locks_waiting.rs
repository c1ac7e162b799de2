//! Locks that go from hand to hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::Duration;

use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// Who waits looks by itself only after a third of `waiter_ttl`: here, long after its patience is over. So it is told of every single hand-off.
#[test]
fn every_hand_off_is_told() {
    let options = ReplicaSetOptions::new().database(new_database());
    let options = options.waiter_ttl(Duration::from_secs(3_600));
    let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
    for _ in 0..10 {
        let first = store.lock("k").acquire_timeout(PATIENCE).unwrap();
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| store.lock("k").acquire_timeout(PATIENCE).unwrap().release());
            }
            while store.inspect("k").unwrap().unwrap().waiters < 10 {
                thread::sleep(Duration::from_millis(10));
            }
            first.release().unwrap();
        });
    }
}

/// How long the turns of nine others may take.
const PATIENCE: Duration = Duration::from_secs(100);
