//! Document locks in the process that has the store, which renews leases itself.

use std::thread;

use lockstore::LOCK_KEY;
use lockstore::bson::{Document, doc};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

use crate::DEPLOYMENT;

/// Whoever asks for the very document does not wait for the expiry's turn in the wheel, and renewals that wait go first.
#[test]
fn a_renewal_that_waits_behind_a_stall_goes_before_the_expiry() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = store.database("factory").collection::<Document>("jobs");
    jobs.insert_one(doc! { "_id": 1 }).unwrap();
    let lock = jobs.lock_document(doc! {}).ttl(secs(10)).acquire().unwrap();
    lock.keep_alive();
    let stall = machine.disk.hold_syncs();
    let busy = thread::spawn({
        let store = store.clone();
        move || store.lock("other").acquire().unwrap().leak()
    });
    eventually("its commit waits", || stall.waiting() > 0);
    machine.clock.advance(secs(11));
    let thief = Task::pending(jobs.lock_document(doc! {}).get_locked_doc(true).acquire_async());
    drop(stall);
    busy.join().unwrap();
    assert!(thief.outcome().unwrap().unavailable_document().is_some());
    eventually("it is renewed", || lock.holds());
    assert_eq!(
        jobs.find_one(doc! {}).run().unwrap().unwrap().get(LOCK_KEY),
        Some(&lock.lock_id().into())
    );
    lock.release().unwrap();
    assert!(store.check().unwrap().is_sound());
}
