//! Leases that are kept alive, by clocks and disks that a test commands.

use std::time::Duration;

use lockstore::{EndCause, EventKind, LockGuard, Store};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

/// Moves the clock ten times by 3 s, and waits after each that all the guards are valid for `least` from then.
fn pass(machine: &Machine, store: &Store, guards: &[&LockGuard], least: Duration) {
    for _ in 0..10 {
        machine.clock.advance(secs(3));
        store.lock("tick").acquire().unwrap().release().unwrap();
        for guard in guards {
            eventually("its renewal is answered", || guard.remaining().unwrap() >= least);
        }
    }
}

#[test]
fn a_kept_lease_lasts_as_long_as_its_guard() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").ttl(secs(9)).acquire().unwrap();
    guard.keep_alive();
    guard.keep_alive();
    pass(&machine, &store, &[&guard], secs(9));
    assert!(!guard.is_lost());
    let lock = store.inspect("k").unwrap().unwrap();
    assert!(guard.valid_until().unwrap() <= lock.holders[0].expires_at.unwrap());
    drop(guard);
    assert!(store.wait_until_free("k", Some(PATIENCE)).unwrap());
}

#[test]
fn a_kept_lease_lasts_by_the_real_clock_too() {
    let store = Store::in_memory().unwrap();
    let guard = store.lock("k").ttl(secs(9)).acquire().unwrap();
    let events = store.subscribe("k").unwrap();
    guard.keep_alive();
    // It is due when a third of the lease is over, and may be late by the rest.
    let event = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(event.kind, EventKind::Renewed { .. }), "{event:?}");
    guard.release().unwrap();
}

/// A guard that is renewed for another time is kept alive for that time from then on.
#[test]
fn a_kept_lease_follows_a_renewal_for_another_time() {
    let machine = Machine::new();
    let store = machine.open();
    let mut guard = store.lock("k").ttl(secs(9_000)).acquire().unwrap();
    guard.keep_alive();
    guard.renew_for(secs(9)).unwrap();
    pass(&machine, &store, &[&guard], secs(9));
    assert!(!guard.is_lost() && store.is_locked("k").unwrap());
    guard.renew_for(secs(9_000)).unwrap();
    pass(&machine, &store, &[&guard], secs(8_900));
    assert!(guard.remaining().unwrap() > secs(8_900), "{:?}", guard.remaining());
}

/// Two guards of one holder share a grant; each is kept, and each knows until when.
#[test]
fn two_guards_of_one_grant_are_both_kept() {
    let machine = Machine::new();
    let store = machine.open();
    let guards: Vec<_> = (0..3)
        .map(|_| store.lock("k").holder("me").shared().ttl(secs(9)).acquire().unwrap())
        .inspect(LockGuard::keep_alive)
        .collect();
    let all: Vec<_> = guards.iter().collect();
    pass(&machine, &store, &all, secs(9));
    assert!(guards.iter().all(|guard| !guard.is_lost()));
}

/// The holder is told when a lease that was kept is lost all the same.
#[test]
fn a_kept_lease_that_is_broken_is_lost() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").ttl(secs(9)).acquire().unwrap();
    guard.keep_alive();
    store.break_lock("k", guard.token(), "by hand").unwrap();
    let next = store.lock("k").ttl(secs(90)).acquire().unwrap();
    machine.clock.advance(secs(3));
    eventually("it is lost", || guard.is_lost());
    assert!(!next.is_lost());
    assert!(guard.release().is_err());
    next.release().unwrap();
}

/// A lock without end has nothing to be kept.
#[test]
fn a_lock_without_end_is_kept_by_itself() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").acquire().unwrap();
    guard.keep_alive();
    guard.renew().unwrap();
    assert_eq!((guard.valid_until(), guard.remaining(), guard.is_lost()), (None, None, false));
    machine.clock.advance(secs(1_000_000_000));
    assert!(store.is_locked("k").unwrap());
}

/// More leases are kept than one batch can renew, and the disk stalls for longer than they last: none is
/// expired while its renewal waits.
#[test]
fn more_kept_leases_than_a_batch_outlast_a_stall() {
    let machine = Machine::new();
    let store = machine.open_with(machine.options().batch_max(16));
    let tasks: Vec<_> = (0..200)
        .map(|i| Task::new(store.lock(&format!("k{i}")).ttl(secs(9)).acquire_async()))
        .collect();
    let guards: Vec<_> = tasks
        .into_iter()
        .map(|task| task.outcome().unwrap())
        .inspect(LockGuard::keep_alive)
        .collect();
    let ended = store.subscribe("k").unwrap();
    let stall = machine.disk.hold_syncs();
    let other = store.clone();
    let stalled = Call::start(move || other.lock("other").acquire().map(LockGuard::leak));
    assert!(stall.wait_for_sync(PATIENCE));
    machine.clock.advance(secs(20));
    drop(stall);
    stalled.outcome().unwrap();
    for _ in 0..guards.len() {
        let event = ended.recv_timeout(PATIENCE).expect("each is renewed");
        assert!(
            !matches!(event.kind, EventKind::Ended { cause: EndCause::Expired, .. }),
            "{event:?}"
        );
    }
    eventually("all know", || guards.iter().all(|guard| !guard.is_lost()));
}

/// What renewals never come for ends, also while the queue is never empty.
#[test]
fn leases_end_while_the_store_is_busy() {
    let machine = Machine::new();
    let store = machine.open_with(machine.options().batch_max(1));
    store.lock("k").ttl(secs(9)).acquire().unwrap().leak();
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy: Vec<_> = (0..4)
        .map(|i| {
            let (store, over) = (store.clone(), over.clone());
            Call::start(move || {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    store.lock(&format!("busy {i}")).acquire().unwrap().release().unwrap();
                }
            })
        })
        .collect();
    machine.clock.advance(secs(9));
    assert!(store.wait_until_free("k", Some(secs(1_000))).unwrap());
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    busy.into_iter().for_each(Call::outcome);
}
