//! Futures: no thread for each, bounded, and polled by whom they will.

use std::fs;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lockstore::{AcquireError, LockGuard, Store, StoreError, WaitError};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{Deployment, on_all_deployments, on_all_files, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

fn threads() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_thousand_waiters_take_no_threads() {
    // On a replica set each of them writes itself into the lock's one document, and who only watches is not counted.
    on_all_files(|deployment| {
        let store = deployment.in_memory();
        let holder = store.lock("k").acquire().unwrap();
        let before = threads();
        let acquires: Vec<_> =
            (0..1_000).map(|_| Task::pending(store.lock("k").acquire_async())).collect();
        let watchers: Vec<_> =
            (0..1_000).map(|_| Task::pending(store.wait_until_free_async("k", None))).collect();
        eventually("all wait", || store.stats().unwrap().waiters == 2_000);
        // Other tests of this file have threads of their own, but not a thousand.
        assert!(threads() < before + 100, "{} threads, {before} before", threads());
        holder.release().unwrap();
        let mut last = None;
        for acquire in acquires {
            let guard = acquire.outcome().unwrap();
            assert!(Some(guard.token()) > last, "first come, first served");
            last = Some(guard.token());
            guard.release().unwrap();
        }
        assert!(watchers.into_iter().all(|watcher| watcher.outcome().unwrap()));
        assert_eq!(store.stats().unwrap().waiters, 0);
    });
}

/// Whoever polls without having been woken gets the answer as soon as it is there.
#[test]
fn a_waker_that_does_nothing_is_enough_for_who_polls() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let mut future = pin!(store.lock("k").acquire_async());
        let mut context = Context::from_waker(Waker::noop());
        let mut guard = None;
        eventually("it is granted", || match future.as_mut().poll(&mut context) {
            Poll::Ready(granted) => {
                guard = Some(granted.unwrap());
                true
            }
            Poll::Pending => false,
        });
        guard.unwrap().release().unwrap();
    });
}

#[test]
fn a_future_that_was_ready_is_not_to_be_polled_again() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let polled_again = Call::start(move || {
            let mut task = Task::new(store.wait_until_free_async("k", None));
            eventually("it is ready", || task.poll().is_ready());
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task.poll().is_ready()))
                .is_err()
        });
        assert!(polled_again.outcome(), "std's own futures panic, too");
    });
}

/// The queue of those who do not block is bounded; one more is told so, and nothing was done.
#[test]
fn one_call_too_many_is_told_that_the_store_is_busy() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open_with(machine.options().queue_max(3));
        let stall = machine.disk.hold_syncs();
        let other = store.clone();
        let stalled = Call::start(move || other.lock("first").acquire().map(LockGuard::leak));
        assert!(stall.wait_for_sync(PATIENCE));
        let mut tasks: Vec<_> =
            (0..3).map(|i| Task::pending(store.lock(&format!("{i}")).acquire_async())).collect();
        let refused = Task::new(store.lock("late").acquire_async()).outcome();
        assert!(
            matches!(refused, Err(AcquireError::Store(StoreError::Busy { queue_max: 3 }))),
            "{refused:?}"
        );
        let refused = Task::new(store.wait_until_free_async("late", None)).outcome();
        assert!(matches!(refused, Err(WaitError::Store(StoreError::Busy { queue_max: 3 }))));
        // Who blocks is bounded by its threads and is not refused, nor is what ends something.
        let other = store.clone();
        let blocked = Call::start_asleep(move || other.lock("late").acquire().map(LockGuard::leak));
        drop(tasks.pop());
        drop(stall);
        stalled.outcome().unwrap();
        blocked.outcome().unwrap();
        for task in tasks {
            task.outcome().unwrap().leak();
        }
        assert!(!store.is_locked("2").unwrap());
        assert_eq!(store.stats().unwrap().locks, 4);
    });
}

/// Each bound is refused by its name, changes nothing, and gives way when there is room again.
#[test]
fn each_limit_is_refused_by_its_name() {
    on_all_machines(|deployment| {
        use lockstore::{Limit, Limits};
        #[track_caller]
        fn check(
            deployment: Deployment,
            limits: Limits,
            expected: (Limit, usize),
            fill: fn(&Store) -> Vec<Task<lockstore::AcquireFuture>>,
        ) {
            let machine = Machine::on(deployment);
            let store = machine.open_with(machine.options().limits(limits));
            let waits = fill(&store);
            eventually("they wait", || store.stats().unwrap().waiters == waits.len());
            match store.lock("k").acquire_timeout(secs(60)) {
                Err(AcquireError::LimitReached { limit, max }) => {
                    assert_eq!((limit, max), expected);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(store.stats().unwrap().waiters, waits.len());
            drop(waits);
            eventually("they have left", || store.stats().unwrap().waiters == 0);
            for lock in store.list("", None, 100).unwrap() {
                store.release(&lock.key, &lock.holders[0].holder, None).unwrap();
            }
            assert!(store.lock("k").try_acquire().is_ok());
            assert!(store.check().unwrap().is_sound());
        }
        let none = || Limits::default();
        check(deployment, Limits { locks_max: 2, ..none() }, (Limit::Locks, 2), |store| {
            store.lock("a").acquire().unwrap().leak();
            store.lock("b").acquire().unwrap().leak();
            Vec::new()
        });
        check(
            deployment,
            Limits { waiters_per_lock_max: 2, ..none() },
            (Limit::WaitersPerLock, 2),
            |store| {
                store.lock("k").acquire().unwrap().leak();
                (0..2).map(|_| Task::pending(store.lock("k").acquire_async())).collect()
            },
        );
        check(deployment, Limits { waiters_max: 2, ..none() }, (Limit::Waiters, 2), |store| {
            for key in ["a", "b", "k"] {
                store.lock(key).acquire().unwrap().leak();
            }
            ["a", "b"].map(|key| Task::pending(store.lock(key).acquire_async())).into()
        });
    });
}

/// A shared lock that is full makes the next wait; it is not refused, for one of the holders may leave.
#[test]
fn a_full_shared_lock_is_waited_for() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let limits = lockstore::Limits { holders_per_lock_max: 2, ..Default::default() };
        let store = machine.open_with(machine.options().limits(limits));
        let first = store.lock("k").shared().acquire().unwrap();
        let _second = store.lock("k").shared().acquire().unwrap();
        assert!(matches!(store.lock("k").shared().try_acquire(), Err(AcquireError::Held { .. })));
        let third = Task::pending(store.lock("k").shared().acquire_async());
        first.release().unwrap();
        let third = third.outcome().unwrap();
        assert_eq!(store.inspect("k").unwrap().unwrap().holders.len(), 2);
        drop(third);
    });
}
