//! Leases that are kept alive through what delays their renewals.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use lockstore::{Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::SimDisk;
use lockstore_tests::patience::PATIENCE;

#[test]
fn a_stalled_disk_does_not_kill_the_leases_that_are_kept_alive() {
    let (disk, clock) = (SimDisk::new(), ManualClock::new());
    let options = StoreOptions::new().clock(Arc::new(clock.clone()));
    let store: Store = options.open_backend(disk.backend()).unwrap();
    let guard = store.lock("kept").ttl(Duration::from_secs(3)).acquire().unwrap();
    guard.keep_alive();

    let held = disk.hold_syncs();
    thread::scope(|scope| {
        let stalled = scope.spawn(|| store.lock("other").acquire().unwrap().release().unwrap());
        assert!(held.wait_for_sync(PATIENCE));
        // The background thread is given something to do, and stands in line for the disk ...
        let mut waits = pin!(store.wait_until_free_async("kept", None));
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        thread::sleep(Duration::from_millis(50));
        // ... when the lease runs out.
        clock.advance(Duration::from_secs(10));
        drop(held);
        stalled.join().unwrap();
    });
    guard.renew().expect("renewals that are due go before expiries");
    assert!(!guard.is_lost());
}
