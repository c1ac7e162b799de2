//! Closing: what is queued is served first, those who wait are told, and nobody is forgotten.

use std::sync::Barrier;
use std::task::Poll;

use lockstore::{AcquireError, LockGuard, StoreError, WaitError};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

#[test]
fn those_who_wait_are_told_that_the_store_is_closed() {
    let machine = Machine::new();
    let store = machine.open();
    store.lock("k").holder("me").acquire().unwrap().leak();
    let asynchronous = Task::pending(store.lock("k").acquire_async());
    let watching = Task::pending(store.wait_until_free_async("k", None));
    let (one, two) = (store.clone(), store.clone());
    let blocked = Call::start_asleep(move || one.lock("k").acquire().map(LockGuard::leak));
    let watcher = Call::start_asleep(move || two.wait_until_free("k", None));
    eventually("all wait", || store.stats().unwrap().waiters == 4);
    let handle = store.clone();
    store.close().unwrap();
    let closed = |error: &AcquireError| matches!(error, AcquireError::Store(StoreError::Closed));
    assert!(closed(&blocked.outcome().unwrap_err()));
    assert!(closed(&asynchronous.outcome().unwrap_err()));
    assert!(matches!(watching.outcome(), Err(WaitError::Store(StoreError::Closed))));
    assert!(matches!(watcher.outcome(), Err(WaitError::Store(StoreError::Closed))));
    assert!(matches!(handle.is_locked("k"), Err(lockstore::ReadError::Store(StoreError::Closed))));
    assert!(matches!(handle.clone().close(), Err(StoreError::Closed)));
    let never_asked = Task::new(handle.lock("k").acquire_async());
    assert!(closed(&never_asked.outcome().unwrap_err()));
    assert!(machine.open().is_lock_holder("k", "me").unwrap());
}

#[test]
fn releases_that_are_queued_are_served_before_the_store_is_closed() {
    for explicit in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        let guards: Vec<_> = (0..50)
            .map(|i| store.lock(&format!("k{i}")).ttl(secs(60)).acquire().unwrap())
            .collect();
        drop(guards);
        if explicit {
            store.close().unwrap();
        } else {
            drop(store);
        }
        assert_eq!(machine.open().list("", None, 100).unwrap(), []);
    }
}

/// The store is closed when its last handle is gone, of whatever kind.
#[test]
fn the_last_guard_or_future_keeps_the_store_open() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").holder("me").acquire().unwrap();
    let waiting = Task::pending(store.lock("k").acquire_async());
    let session = store.session().unwrap();
    drop(store);
    let is_open = || machine.options().open_backend(machine.disk.backend()).is_err();
    assert!(is_open());
    guard.renew().unwrap();
    drop(session);
    assert!(is_open());
    guard.release().unwrap();
    let guard = waiting.outcome().unwrap();
    assert!(is_open());
    drop(guard);
    let store = machine.open();
    assert!(!store.is_locked("k").unwrap());
}

/// A waiter that has given up when the lock is handed to it while the store closes hands it on: without an
/// owner that anybody knows it would be locked for ever.
#[test]
fn what_a_cancelled_waiter_is_granted_at_the_close_is_released() {
    for round in 0..50 {
        let machine = Machine::new();
        let store = machine.open();
        let holder = store.lock("k").ttl(secs(60)).acquire().unwrap();
        let dropped = Task::pending(store.lock("k").acquire_async());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        drop(holder);
        drop(dropped);
        store.close().unwrap();
        assert!(!machine.open().is_locked("k").unwrap(), "round {round}");
    }
}

/// Calls of every kind are let loose on a store that closes: each comes back, acquired or told so; and what
/// was acknowledged is on disk.
#[test]
fn calls_that_race_the_close_all_come_back() {
    for round in 0..150 {
        let machine = Machine::new();
        let store = machine.open();
        store.lock("held").holder("me").acquire().unwrap().leak();
        let start = std::sync::Arc::new(Barrier::new(5));
        let blocking = |key: &'static str| {
            let (store, start) = (store.clone(), start.clone());
            Call::start(move || {
                start.wait();
                store.lock(key).holder(key).acquire().map(LockGuard::leak)
            })
        };
        let polling = |key: &'static str| {
            let (store, start) = (store.clone(), start.clone());
            Call::start(move || {
                start.wait();
                let mut task = Task::new(store.lock(key).holder(key).acquire_async());
                match task.poll() {
                    Poll::Ready(ready) => ready.map(LockGuard::leak),
                    Poll::Pending => task.outcome().map(LockGuard::leak),
                }
            })
        };
        let calls = [
            ("a", blocking("a")),
            ("b", polling("b")),
            ("held", blocking("held")),
            ("held", polling("held")),
        ];
        start.wait();
        store.close().unwrap();
        let mut acquired = Vec::new();
        for (key, call) in calls {
            match call.outcome() {
                Ok(_) => acquired.push(key),
                Err(AcquireError::Store(StoreError::Closed)) => {}
                Err(error) => panic!("round {round}: {error:?}"),
            }
        }
        let store = machine.open();
        for key in ["a", "b"] {
            assert_eq!(store.is_locked(key).unwrap(), acquired.contains(&key), "round {round}");
        }
        assert!(store.is_lock_holder("held", "me").unwrap());
    }
}

/// A session that ends in many steps has ended when its call returns, also while the store closes.
#[test]
fn a_long_session_that_ends_while_the_store_closes_has_ended() {
    let machine = Machine::new();
    let store = machine.open();
    let session = store.session().unwrap();
    for i in 0..1_000 {
        Task::new(store.lock(&format!("k{i}")).session(&session).acquire_async())
            .outcome()
            .unwrap()
            .leak();
    }
    let ending = Call::start(move || session.end());
    let handle = store.clone();
    drop(handle);
    store.close().unwrap();
    match ending.outcome() {
        Ok(()) | Err(StoreError::Closed) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(machine.open().list("", None, 10).unwrap(), []);
}

/// Whoever subscribes while the store closes is told of the end.
#[test]
fn a_subscription_ends_with_the_store() {
    for _ in 0..100 {
        let store = Machine::new().open();
        let handle = store.clone();
        let subscribed = Call::start(move || (handle.subscribe(""), handle));
        store.close().unwrap();
        let (subscribed, _handle) = subscribed.outcome();
        if let Ok(events) = subscribed {
            let end = events.recv_timeout(PATIENCE).unwrap_err();
            assert_eq!(end, crossbeam_channel::RecvTimeoutError::Disconnected);
        }
    }
}
