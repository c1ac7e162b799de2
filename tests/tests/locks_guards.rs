//! Guards: what dropping, leaking, resuming and renewing them does.

use std::time::Duration;

use lockstore::{AcquireError, ArgumentError, LockGuard, ReleaseError, RenewError, ResumeError};
use lockstore::{StoreError, TtlError};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{Deployment, on_all_deployments, on_all_files, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::polling::block_on;
use lockstore_tests::task::Task;

/// Dropped without a TTL: the release is durable when the drop returns.
#[test]
fn a_dropped_guard_without_a_ttl_has_released_durably() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        drop(store.lock("k").acquire().unwrap());
        assert!(!store.is_locked("k").unwrap());
        assert!(!machine.after_kill().open().is_locked("k").unwrap());
        let machine = machine.after_power_loss(store, secs(1));
        assert!(!machine.open().is_locked("k").unwrap());
    });
}

/// Released by a future: nothing is asked before it is polled, and it is durable when it is ready.
#[test]
fn a_guard_is_released_by_a_future() {
    on_all_files(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let release = store.lock("k").acquire().unwrap().release_async();
        assert!(store.is_locked("k").unwrap());
        block_on(release).unwrap();
        assert!(!store.is_locked("k").unwrap());
        assert!(!machine.after_kill().open().is_locked("k").unwrap());
        let guard = store.lock("k").acquire().unwrap();
        store.break_lock("k", guard.token(), "").unwrap();
        let error = block_on(guard.release_async()).unwrap_err();
        assert!(matches!(error, ReleaseError::NotHeld { .. }), "{error}");
    });
}

/// Dropped with a TTL: the release is queued, and the drop does not wait for the disk.
#[test]
fn a_dropped_guard_with_a_ttl_does_not_wait_for_the_disk() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let guard = store.lock("k").ttl(secs(60)).acquire().unwrap();
        let stall = machine.disk.hold_syncs();
        let other = store.clone();
        let stalled = Call::start(move || other.lock("other").acquire().map(LockGuard::leak));
        assert!(stall.wait_for_sync(PATIENCE));
        drop(guard);
        assert!(store.is_locked("k").unwrap(), "nobody sees what is not durable");
        drop(stall);
        stalled.outcome().unwrap();
        eventually("it is released", || !store.is_locked("k").unwrap());
    });
}

/// Nothing is told before it is durable: not by the call, a read, an event or a wake-up.
#[test]
fn nobody_observes_what_is_not_durable() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let holder = store.lock("k").acquire().unwrap();
        let next = Task::pending(store.lock("k").acquire_async());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        let events = store.subscribe("k").unwrap();
        let before = store.inspect("k").unwrap();
        let stall = machine.disk.hold_syncs();
        let release = Call::start(move || holder.release());
        assert!(stall.wait_for_sync(PATIENCE));
        assert!(release.is_pending());
        assert_eq!(store.inspect("k").unwrap(), before);
        assert_eq!(store.list("", None, 10).unwrap(), before.into_iter().collect::<Vec<_>>());
        assert!(events.is_empty());
        assert_eq!(next.bell().rung(), 0);
        drop(stall);
        release.outcome().unwrap();
        next.outcome().unwrap().release().unwrap();
        eventually("it is told", || !events.is_empty());
    });
}

#[test]
fn a_leaked_lock_is_resumed_after_a_restart_with_its_mode_and_ttl() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let exclusive = store.lock("x").holder("me").acquire().unwrap().leak();
        let shared = store.lock("s").holder("me").shared().ttl(secs(60)).acquire().unwrap().leak();
        drop(store);
        machine.clock.advance(secs(30));
        let store = machine.open();
        let guard = store.lock("x").holder("me").resume(exclusive.token).unwrap();
        assert_eq!(
            (guard.token(), guard.mode(), guard.remaining()),
            (exclusive.token, lockstore::Mode::Exclusive, None)
        );
        let guard = store.lock("s").holder("me").resume(shared.token).unwrap();
        assert_eq!((guard.token(), guard.mode()), (shared.token, lockstore::Mode::Shared));
        assert_eq!(guard.remaining(), Some(secs(60)), "its lease begins anew");
        let longer = store.lock("s").holder("me").ttl(secs(90)).resume(shared.token).unwrap();
        assert_eq!(longer.remaining(), Some(secs(90)));
        longer.release().unwrap();
        drop(guard);
    });
}

#[test]
fn only_the_grant_that_holds_is_resumed() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let old = store.lock("k").holder("me").ttl(secs(10)).acquire().unwrap().leak();
        let resume = |holder: &str, token| store.lock("k").holder(holder).resume(token);
        let lost = |result: Result<LockGuard, ResumeError>| {
            matches!(result, Err(ResumeError::LeaseLost { .. }))
        };
        assert!(lost(resume("somebody", old.token)));
        assert!(lost(resume("me", old.token.next())));
        assert!(lost(store.lock("another").holder("me").resume(old.token)));
        let nameless = store.lock("k").resume(old.token).unwrap_err();
        assert!(matches!(nameless, ResumeError::Argument(ArgumentError::HolderMissing)));
        assert_eq!(store.inspect("k").unwrap().unwrap().holders[0].remaining, Some(secs(10)));
        machine.clock.advance(secs(10));
        let new = store.lock("k").holder("me").acquire().unwrap();
        assert!(lost(resume("me", old.token)));
        assert!(!new.is_lost());
    });
}

#[test]
fn a_renewed_lease_counts_from_the_renewal() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let mut guard = store.lock("k").ttl(secs(10)).acquire().unwrap();
        machine.clock.advance(secs(9));
        assert_eq!(guard.remaining(), Some(secs(1)));
        guard.renew().unwrap();
        assert_eq!(guard.remaining(), Some(secs(10)));
        guard.renew_for(secs(100)).unwrap();
        machine.clock.advance(secs(50));
        guard.renew().unwrap();
        assert_eq!(guard.remaining(), Some(secs(100)), "the new TTL is its own now");
        for bad in [Duration::ZERO, Duration::MAX] {
            assert!(matches!(
                guard.renew_for(bad),
                Err(RenewError::Argument(ArgumentError::Ttl(_)))
            ));
        }
        assert_eq!(guard.remaining(), Some(secs(100)));
        assert_eq!(store.renew("k", guard.holder(), None, Some(secs(7))).unwrap(), Some(secs(7)));
        let info = store.inspect("k").unwrap().unwrap();
        assert_eq!(info.holders[0].ttl, Some(secs(7)));
    });
}

/// A lease that was waited for is valid from the hand-off, and the guard says so, never more than the store
/// keeps it.
#[test]
fn a_lease_that_was_waited_for_is_valid_from_the_hand_off() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        for waited in [0, 3, 9, 10, 11, 1_000] {
            let holder = store.lock("k").acquire().unwrap();
            let task = Task::pending(store.lock("k").ttl(secs(10)).acquire_async());
            eventually("it waits", || store.stats().unwrap().waiters == 1);
            machine.clock.advance(secs(waited));
            holder.release().unwrap();
            let guard = task.outcome().unwrap();
            assert_eq!(guard.remaining(), Some(secs(10)), "waited for {waited} s");
            let expires_at = store.inspect("k").unwrap().unwrap().holders[0].expires_at;
            assert!(guard.valid_until() <= expires_at);
            guard.release().unwrap();
        }
        // One that is granted at once counts from before it was asked for. Elsewhere it may have been asked for again, so it counts from the grant.
        let future = store.lock("k").ttl(secs(10)).acquire_async();
        machine.clock.advance(secs(4));
        let guard = Task::new(future).outcome().unwrap();
        let is_here = matches!(deployment, Deployment::Embedded);
        assert_eq!(guard.remaining(), Some(secs(if is_here { 6 } else { 10 })));
    });
}

#[test]
fn what_a_guard_cannot_do_any_more_is_told() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let guard = store.lock("k").holder("me").ttl(secs(10)).acquire().unwrap();
        store.release("k", "me", None).unwrap();
        assert!(!guard.is_lost(), "it cannot know yet");
        assert!(matches!(guard.renew(), Err(RenewError::LeaseLost { now_held_by: None, .. })));
        assert!(guard.is_lost());
        assert!(matches!(guard.release(), Err(ReleaseError::NotHeld { .. })));
        let handle = store.clone();
        let guard = store.lock("k").acquire().unwrap();
        store.close().unwrap();
        assert!(matches!(guard.renew(), Err(RenewError::Store(StoreError::Closed))));
        drop(guard);
        drop(handle);
        assert!(machine.open().is_locked("k").unwrap(), "nobody could release it");
    });
}

#[test]
fn bad_arguments_are_typed_errors_and_change_nothing() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let commits = || store.stats().unwrap().commits;
        let at_first = commits();
        let long = "x".repeat(1025);
        for (key, holder) in [("", "h"), ("k", ""), (&*long, "h"), ("k", &*long)] {
            let argument = |error| matches!(error, AcquireError::Argument(ArgumentError::Name(_)));
            let request = store.lock(key).holder(holder);
            assert!(argument(request.clone().acquire().unwrap_err()));
            assert!(argument(request.clone().try_acquire().unwrap_err()));
            assert!(argument(Task::new(request.acquire_async()).outcome().unwrap_err()));
            assert!(matches!(store.renew(key, holder, None, None), Err(RenewError::Argument(_))));
            assert!(matches!(store.release(key, holder, None), Err(ReleaseError::Argument(_))));
        }
        for (ttl, expected) in [
            (Duration::ZERO, TtlError::Zero),
            (Duration::MAX, TtlError::TooLong),
            (lockstore::Ttl::MAX.as_duration() + Duration::from_nanos(1), TtlError::TooLong),
        ] {
            match store.lock("k").ttl(ttl).acquire().unwrap_err() {
                AcquireError::Argument(error) => assert_eq!(error, expected.into()),
                error => panic!("{error:?}"),
            }
        }
        assert_eq!(commits(), at_first);
        let token = store.lock("k").holder("me").acquire().unwrap().leak().token;
        let before = commits();
        let wordy = store.break_lock("k", token, &"x".repeat(1025)).unwrap_err();
        assert!(matches!(
            wordy,
            lockstore::BreakError::Argument(ArgumentError::ReasonTooLong {
                bytes: 1025,
                bytes_max: 1024
            })
        ));
        assert!(store.wait_until_free("", None).is_err());
        assert_eq!((store.stats().unwrap().locks, commits()), (1, before));
        // The bounds themselves are allowed.
        let longest = "x".repeat(1024);
        let guard = store.lock(&longest).holder(&longest).ttl(Duration::from_nanos(1)).acquire();
        assert!(guard.is_ok());
        store.break_lock("k", token, &longest).unwrap();
        let far = store.lock("far").ttl(lockstore::Ttl::MAX.as_duration()).acquire().unwrap();
        far.release().unwrap();
    });
}

#[test]
fn a_lease_that_is_kept_alive_outlives_its_ttl_and_its_end_is_noticed() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let guard = store.lock("k").ttl(secs(3)).acquire().unwrap();
        guard.keep_alive();
        for _ in 0..10 {
            let before = guard.valid_until();
            machine.clock.advance(secs(1));
            eventually("it is renewed", || guard.valid_until() > before);
        }
        assert!(!guard.is_lost());
        store.break_lock("k", guard.token(), "to see it noticed").unwrap();
        machine.clock.advance(secs(1));
        eventually("it is lost", || guard.is_lost());
    });
}

/// Given up before it is ready: the release is queued.
#[test]
fn a_release_that_nobody_waits_for_any_more_is_done() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        drop(store.lock("k").acquire().unwrap().release_async());
        let guard = store.lock("k").acquire_timeout(PATIENCE).unwrap();
        let mut polled = Task::new(guard.release_async());
        let _ = polled.poll();
        drop(polled);
        store.lock("k").acquire_timeout(PATIENCE).unwrap().release().unwrap();
    });
}
