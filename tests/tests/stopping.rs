//! A store that stops: nothing is acknowledged any more, and everybody is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lockstore::ReadError;
use lockstore::{AcquireError, BootId, Clock, Instant, LockGuard, Store, StoreError, WallTime};
use lockstore::{ReleaseError, RenewError, WaitError};
use lockstore_testkit::disk::{DiskOp, FailedSync, Fault};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

fn is_poisoned(error: &StoreError) -> bool {
    matches!(error, StoreError::Poisoned { .. })
}

fn of_store(error: ReadError) -> StoreError {
    match error {
        ReadError::Store(error) => error,
        error => panic!("{error}"),
    }
}

#[track_caller]
fn assert_poisoned<T: std::fmt::Debug>(result: Result<T, impl Into<StoreError>>) {
    let error = result.expect_err("the store has stopped").into();
    assert!(is_poisoned(&error), "{error:?}");
}

/// What an operation was told by the store itself.
#[track_caller]
fn store_error<T: std::fmt::Debug>(result: Result<T, AcquireError>) -> StoreError {
    match result {
        Err(AcquireError::Store(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Every call and every waiter gets the error, reads included; opening again reads the truth.
#[test]
fn a_commit_that_fails_is_told_to_everybody() {
    let faults = [
        Fault::io_error().on(DiskOp::Sync),
        Fault::io_error().on(DiskOp::Sync).failed_sync(FailedSync::MarkedClean),
        Fault::no_space().on(DiskOp::Write),
        Fault::no_space().from_then_on(),
    ];
    for fault in faults {
        let machine = Machine::new();
        let store = machine.open();
        let held = store.lock("held").holder("me").acquire().unwrap();
        let leased = store.lock("leased").ttl(secs(60)).acquire().unwrap();
        leased.keep_alive();
        let session = store.session().unwrap();
        let events = store.subscribe("").unwrap();
        let asynchronous = Task::pending(store.lock("held").acquire_async());
        let watching = Task::pending(store.wait_until_free_async("held", None));
        let other = store.clone();
        let blocked = Call::start_asleep(move || other.lock("held").acquire().map(LockGuard::leak));
        eventually("all wait", || store.stats().unwrap().waiters == 3);

        machine.disk.inject(fault.clone());
        let failed = store.lock("another").acquire();
        assert!(is_poisoned(&store_error(failed.map(LockGuard::leak))), "{fault:?}");

        assert!(is_poisoned(&store_error(blocked.outcome())));
        assert!(is_poisoned(&store_error(asynchronous.outcome().map(LockGuard::leak))));
        assert!(matches!(watching.outcome(), Err(WaitError::Store(error)) if is_poisoned(&error)));
        assert_poisoned(store.is_locked("held").map_err(of_store));
        assert_poisoned(store.is_lock_holder("held", "me").map_err(of_store));
        assert_poisoned(store.inspect("held").map_err(of_store));
        assert_poisoned(store.list("", None, 10));
        assert_poisoned(store.stats());
        assert_poisoned(store.audit(None, 1));
        assert_poisoned(store.check());
        assert_poisoned(store.compact());
        assert_poisoned(store.subscribe(""));
        assert!(store.session().is_err() && store.backup("/nowhere/at/all").is_err());
        assert!(matches!(leased.renew(), Err(RenewError::Store(error)) if is_poisoned(&error)));
        assert!(matches!(held.release(), Err(ReleaseError::Store(error)) if is_poisoned(&error)));
        assert_poisoned(session.end());
        drop(leased);
        // What was told before is there to be read; then the channel ends.
        while events.recv_timeout(PATIENCE).is_ok() {}
        assert_eq!(
            events.recv_timeout(PATIENCE).unwrap_err().to_string(),
            "channel is empty and disconnected"
        );

        machine.disk.clear_faults();
        assert_poisoned(store.close());
        let store = machine.after_kill().open();
        assert!(store.is_lock_holder("held", "me").unwrap());
        assert!(store.is_locked("leased").unwrap());
        assert!(store.check().unwrap().is_sound());
    }
}

/// A clock that counts who asks it, and breaks on command: a stand-in for any mistake in the writer.
#[derive(Debug)]
struct BrokenClock {
    clock: lockstore_testkit::clock::ManualClock,
    asked: AtomicU64,
    broken: AtomicBool,
}

impl Clock for BrokenClock {
    fn now(&self) -> Instant {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
    fn wall(&self) -> WallTime {
        self.clock.wall()
    }
    fn boot_id(&self) -> BootId {
        assert!(!self.broken.load(Ordering::SeqCst), "the clock is broken");
        self.clock.boot_id()
    }
    fn on_jump(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.clock.on_jump(wake);
    }
}

fn with_broken_clock(machine: &Machine) -> (Store, Arc<BrokenClock>) {
    let clock = Arc::new(BrokenClock {
        clock: machine.clock.clone(),
        asked: AtomicU64::new(0),
        broken: AtomicBool::new(false),
    });
    let store = machine.open_with(machine.options().clock(clock.clone()));
    (store, clock)
}

/// A panic of the writer in the midst of a batch: those whom it had served, the one that it was serving, and
/// those it had yet to serve are all told.
#[test]
fn a_panic_of_the_writer_is_told_to_everybody() {
    let machine = Machine::new();
    let (store, clock) = with_broken_clock(&machine);
    let stall = machine.disk.hold_syncs();
    let other = store.clone();
    let stalled = Call::start(move || other.lock("first").acquire().map(LockGuard::leak));
    assert!(stall.wait_for_sync(PATIENCE));
    let blocked: Vec<_> = (0..5)
        .map(|i| {
            let store = store.clone();
            Call::start_asleep(move || store.lock(&format!("k{i}")).acquire().map(LockGuard::leak))
        })
        .collect();
    let tasks: Vec<_> =
        (0..5).map(|i| Task::pending(store.lock(&format!("t{i}")).acquire_async())).collect();
    clock.broken.store(true, Ordering::SeqCst);
    drop(stall);
    stalled.outcome().expect("its commit was there before");
    for call in blocked {
        assert!(is_poisoned(&store_error(call.outcome())));
    }
    for task in tasks {
        assert!(is_poisoned(&store_error(task.outcome().map(LockGuard::leak))));
    }
    assert_poisoned(store.is_locked("first").map_err(of_store));
    let store = machine.after_kill().open();
    assert!(store.is_locked("first").unwrap());
    assert!(!store.is_locked("k0").unwrap());
}

/// Nobody has to be told the time by a store that has stopped: its thread sleeps, whatever is due.
#[test]
fn a_store_that_has_stopped_lets_the_machine_rest() {
    let machine = Machine::new();
    let (store, clock) = with_broken_clock(&machine);
    let guard = store.lock("k").ttl(secs(10)).acquire().unwrap();
    guard.keep_alive();
    machine.disk.inject(Fault::io_error().on(DiskOp::Sync));
    store_error(store.lock("other").acquire().map(LockGuard::leak));
    machine.clock.advance(secs(1_000));
    eventually("the guard knows", || guard.is_lost());
    let before = clock.asked.load(Ordering::Relaxed);
    // A thread that spins asks some hundred thousand times; a machine that is slow, fewer.
    thread::sleep(Duration::from_millis(300));
    let asked = clock.asked.load(Ordering::Relaxed) - before;
    assert!(asked < 100, "the clock was asked {asked} times");
}
