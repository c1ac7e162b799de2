//! Shared and exclusive locks, and holders that come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use lockstore::{AcquireError, AcquireFuture, LockGuard, LockRequest, Mode, Store};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{Deployment, on_all_deployments, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

/// `x` asks for the lock alone, `s` beside others.
fn request(store: &Store, mode: char) -> LockRequest<'_> {
    let request = store.lock("k");
    if mode == 's' { request.shared() } else { request }
}

/// Waiters of these modes stand in line behind an exclusive holder. As each group of holders leaves, these
/// are granted together.
#[track_caller]
fn check(deployment: Deployment, waiters: &str, groups: &[&str]) {
    let store = Machine::on(deployment).open();
    let mut holders: Vec<LockGuard> = vec![store.lock("k").acquire().unwrap()];
    let mut line: Vec<(char, Task<AcquireFuture>)> = Vec::new();
    for mode in waiters.chars() {
        line.push((mode, Task::pending(request(&store, mode).acquire_async())));
        let expected = u32::try_from(line.len()).unwrap();
        eventually("it waits", || store.inspect("k").unwrap().unwrap().waiters == expected);
    }
    let mut tokens = vec![holders[0].token()];
    for group in groups {
        for holder in holders.drain(..) {
            assert!(line.iter().all(|(_, task)| task.bell().rung() == 0), "before {group:?}");
            holder.release().unwrap();
        }
        let granted: Vec<_> = line.drain(..group.len()).collect();
        assert_eq!(granted.iter().map(|(mode, _)| *mode).collect::<String>(), *group);
        holders.extend(granted.into_iter().map(|(_, task)| task.outcome().unwrap()));
        tokens.extend(holders.iter().map(LockGuard::token));
        let lock = store.inspect("k").unwrap().unwrap();
        assert_eq!((lock.holders.len(), lock.waiters as usize), (group.len(), line.len()));
    }
    assert!(line.is_empty());
    assert!(tokens.is_sorted_by(|a, b| a < b), "{tokens:?}");
    drop(holders);
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn neighbouring_shared_waiters_are_granted_together_and_nobody_overtakes() {
    on_all_machines(|deployment| {
        check(deployment, "x", &["x"]);
        check(deployment, "sss", &["sss"]);
        check(deployment, "sxs", &["s", "x", "s"]);
        check(deployment, "ssxss", &["ss", "x", "ss"]);
        check(deployment, "xxs", &["x", "x", "s"]);
        check(deployment, "sxxsxsss", &["s", "x", "x", "s", "x", "sss"]);
    });
}

#[test]
fn a_writer_in_the_line_is_not_starved_by_readers() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let reader = store.lock("k").shared().acquire().unwrap();
        let beside = store.lock("k").shared().try_acquire().unwrap();
        let writer = Task::pending(store.lock("k").acquire_async());
        eventually("it waits", || store.inspect("k").unwrap().unwrap().waiters == 1);
        // It would fit beside those who read, but somebody came first.
        let refused = store.lock("k").shared().try_acquire().unwrap_err();
        assert!(matches!(&refused, AcquireError::Held { by, .. } if by.mode == Mode::Shared));
        let late = Task::pending(store.lock("k").shared().acquire_async());
        reader.release().unwrap();
        beside.release().unwrap();
        let guard = writer.outcome().unwrap();
        assert_eq!(late.bell().rung(), 0);
        guard.release().unwrap();
        late.outcome().unwrap().release().unwrap();
    });
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let _reader = store.lock("k").shared().acquire().unwrap();
        let dropped = Task::pending(store.lock("k").acquire_async());
        eventually("one waits", || store.stats().unwrap().waiters == 1);
        let timed = Task::pending(store.lock("k").acquire_timeout_async(secs(5)));
        eventually("two wait", || store.stats().unwrap().waiters == 2);
        let readers: Vec<_> =
            (0..3).map(|_| Task::pending(store.lock("k").shared().acquire_async())).collect();
        eventually("all wait", || store.stats().unwrap().waiters == 5);
        drop(dropped);
        eventually("it has left", || store.stats().unwrap().waiters == 4);
        assert!(readers.iter().all(|reader| reader.bell().rung() == 0));
        machine.clock.advance(secs(5));
        assert!(matches!(timed.outcome(), Err(AcquireError::TimedOut { .. })));
        let guards: Vec<_> = readers.into_iter().map(|reader| reader.outcome().unwrap()).collect();
        assert_eq!(store.inspect("k").unwrap().unwrap().holders.len(), 4);
        drop(guards);
    });
}

#[test]
fn many_readers_and_writers_never_meet() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let inside = Arc::new(AtomicI32::new(0));
        let calls: Vec<_> = (0..10)
            .map(|i| {
                let (store, inside) = (store.clone(), inside.clone());
                Call::start(move || {
                    for round in 0..100 {
                        let shared = (i + round) % 3 != 0;
                        let guard =
                            request(&store, if shared { 's' } else { 'x' }).acquire().unwrap();
                        if shared {
                            assert!(inside.fetch_add(1, Ordering::SeqCst) >= 0, "beside a writer");
                            inside.fetch_sub(1, Ordering::SeqCst);
                        } else {
                            assert_eq!(inside.swap(-1_000, Ordering::SeqCst), 0, "beside somebody");
                            inside.store(0, Ordering::SeqCst);
                        }
                        guard.release().unwrap();
                    }
                })
            })
            .collect();
        calls.into_iter().for_each(Call::outcome);
        assert!(!store.is_locked("k").unwrap());
        deployment.assert_sound(&store);
    });
}

/// A holder that comes again joins its own grant; in another mode or session it is told so, and nothing
/// changes.
#[test]
fn a_holder_that_comes_again_joins_its_grant_or_is_told_why_not() {
    on_all_machines(|deployment| {
        let store = Machine::on(deployment).open();
        let session = store.session().unwrap();
        let me = || store.lock("k").holder("me");
        let guard = me().ttl(secs(10)).acquire().unwrap();
        let before = store.inspect("k").unwrap();

        let other_mode = me().shared().acquire().unwrap_err();
        assert!(
            matches!(other_mode, AcquireError::OtherMode { held: Mode::Exclusive, .. }),
            "{other_mode:?}"
        );
        let other_session = me().session(&session).acquire().unwrap_err();
        assert!(matches!(other_session, AcquireError::OtherSession { .. }), "{other_session:?}");
        assert_eq!(store.inspect("k").unwrap(), before);

        let again = me().ttl(secs(99)).acquire().unwrap();
        assert_eq!(again.token(), guard.token());
        assert_eq!(again.remaining(), Some(secs(99)));
        // One grant: whichever guard releases it, it is over.
        again.release().unwrap();
        assert!(!store.is_locked("k").unwrap());
        assert!(guard.release().is_err());

        let bound = me().session(&session).acquire().unwrap();
        assert!(matches!(me().acquire(), Err(AcquireError::OtherSession { .. })));
        assert_eq!(me().session(&session).acquire().unwrap().leak().token, bound.token());
    });
}

/// A holder that comes again is not sent to the end of the line, nor are those in line sent away.
#[test]
fn a_holder_that_comes_again_overtakes_nobody() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let guard = store.lock("k").holder("me").acquire().unwrap();
        let mut next = Task::pending(store.lock("k").acquire_async());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        store.lock("k").holder("me").acquire().unwrap().leak();
        assert!(next.poll().is_pending());
        guard.release().unwrap();
        next.outcome().unwrap().release().unwrap();
    });
}

/// Two waits of one holder: the second joins the grant of the first.
#[test]
fn two_waits_of_one_holder_end_together() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let holder = store.lock("k").acquire().unwrap();
        let first = Task::pending(store.lock("k").holder("twice").acquire_async());
        eventually("one waits", || store.stats().unwrap().waiters == 1);
        let second = Task::pending(store.lock("k").holder("twice").acquire_async());
        eventually("two wait", || store.stats().unwrap().waiters == 2);
        holder.release().unwrap();
        let (first, second) = (first.outcome().unwrap(), second.outcome().unwrap());
        assert_eq!(first.token(), second.token());
        second.release().unwrap();
        assert!(!store.is_locked("k").unwrap());
        drop(first);
    });
}

/// Guards without a holder have one of their own each: they never share a grant by accident.
#[test]
fn guards_without_a_holder_exclude_each_other() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let first = store.lock("k").acquire().unwrap();
        let mut second = Task::new(store.lock("k").acquire_async());
        assert!(second.poll().is_pending());
        let holder = first.holder().clone();
        first.release().unwrap();
        let second = second.outcome().unwrap();
        assert_ne!(*second.holder(), holder);
        assert!(Task::new(store.lock("k").try_acquire_async()).outcome().is_err());
        drop(second);
    });
}
