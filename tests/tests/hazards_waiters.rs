//! What went wrong with waiters, sessions and wake-ups in other lock systems: each test is a row of the
//! table of hazards, quoted as far as it goes.

use std::collections::VecDeque;
use std::future::Future;
use std::task::Poll;

use lockstore::{AcquireError, AcquireFuture, LockGuard, Store, WaitError};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

fn waiters(store: &Store, key: &str) -> u32 {
    store.inspect(key).unwrap().map_or(0, |lock| lock.waiters)
}

fn await_waiters(store: &Store, key: &str, expected: u32) {
    eventually("the waiters have come", || waiters(store, key) == expected);
}

/// "Granted after the waiter's own lease or session had ended": a session's end removes its waiters.
#[test]
fn a_waiter_is_not_granted_after_its_session_ended() {
    let store = Machine::new().open();
    let session = store.session().unwrap();
    let holder = store.lock("k").acquire().unwrap();
    let mut dead = Task::pending(store.lock("k").session(&session).acquire_async());
    await_waiters(&store, "k", 1);
    let blocked = Call::start_asleep({
        let store = store.clone();
        move || store.lock("k").holder("alive").acquire().map(LockGuard::leak)
    });
    await_waiters(&store, "k", 2);
    session.end().unwrap();
    assert_eq!(waiters(&store, "k"), 1, "the end of the session has removed its waiter");
    holder.release().unwrap();
    assert_eq!(&*blocked.outcome().unwrap().holder, "alive");
    let told = dead.poll();
    assert!(matches!(told, Poll::Ready(Err(AcquireError::SessionEnded))), "{told:?}");
    assert_eq!(store.stats().unwrap().sessions, 0);
}

/// Of the release and the session's end that wait behind one stall, whichever is served first: what
/// belongs to a session that has ended is held by nobody.
#[test]
fn a_hand_off_that_meets_the_end_of_the_session_is_not_kept() {
    let machine = Machine::new();
    let store = machine.open();
    for end_first in [false, true] {
        let session = store.session().unwrap();
        let holder = store.lock("k").acquire().unwrap();
        let waiting = Task::pending(store.lock("k").session(&session).acquire_async());
        await_waiters(&store, "k", 1);
        let stall = machine.disk.hold_syncs();
        let other = store.clone();
        let stalled = Call::start(move || other.lock("other").acquire().map(drop));
        assert!(stall.wait_for_sync(PATIENCE));
        let release = move || holder.release();
        let end = move || session.end();
        let (released, ended) = if end_first {
            let ended = Call::start_asleep(end);
            (Call::start_asleep(release), ended)
        } else {
            let released = Call::start_asleep(release);
            (released, Call::start_asleep(end))
        };
        drop(stall);
        stalled.outcome().unwrap();
        released.outcome().unwrap();
        ended.outcome().unwrap();
        assert!(!store.is_locked("k").unwrap());
        match waiting.outcome() {
            // It was granted first, and has ended since.
            Ok(guard) => assert!(guard.renew().is_err() && !store.is_locked("k").unwrap()),
            Err(error) => assert!(matches!(error, AcquireError::SessionEnded), "{error:?}"),
        }
        assert!(store.check().unwrap().is_sound());
    }
}

/// A waiter whose own time is over is not granted what comes free later, however late its timer is served.
#[test]
fn a_waiter_is_not_granted_after_its_deadline() {
    let machine = Machine::new();
    let store = machine.open();
    let holder = store.lock("k").acquire().unwrap();
    let late = Task::pending(store.lock("k").acquire_timeout_async(secs(10)));
    let patient = Task::pending(store.lock("k").acquire_timeout_async(secs(100)));
    await_waiters(&store, "k", 2);
    let stall = machine.disk.hold_syncs();
    let other = store.clone();
    let stalled = Call::start(move || other.lock("other").acquire().map(drop));
    assert!(stall.wait_for_sync(PATIENCE));
    let released = Call::start_asleep(move || holder.release());
    machine.clock.advance(secs(50));
    drop(stall);
    stalled.outcome().unwrap();
    released.outcome().unwrap();
    assert!(matches!(late.outcome(), Err(AcquireError::TimedOut { .. })));
    assert!(patient.outcome().is_ok());
}

/// "Dead waiters block a fair queue": a waiter has an id, a deadline and a session.
#[test]
fn dead_waiters_block_nobody() {
    let machine = Machine::new();
    let store = machine.open();
    let holder = store.lock("k").acquire().unwrap();
    let session = store.session().unwrap();
    let dropped = Task::pending(store.lock("k").acquire_async());
    await_waiters(&store, "k", 1);
    let timed = Task::pending(store.lock("k").acquire_timeout_async(secs(1)));
    await_waiters(&store, "k", 2);
    let bound = Task::pending(store.lock("k").session(&session).acquire_async());
    await_waiters(&store, "k", 3);
    let alive = Task::pending(store.lock("k").acquire_async());
    await_waiters(&store, "k", 4);
    drop(dropped);
    machine.clock.advance(secs(1));
    session.end().unwrap();
    await_waiters(&store, "k", 1);
    holder.release().unwrap();
    alive.outcome().unwrap().release().unwrap();
    assert!(matches!(timed.outcome(), Err(AcquireError::TimedOut { .. })));
    assert!(matches!(bound.outcome(), Err(AcquireError::SessionEnded)));
}

/// "A cancelled waiter swallows the wake-up": a cancel after the grant hands on.
#[test]
fn a_cancelled_waiter_hands_on_what_it_was_granted() {
    let machine = Machine::new();
    let store = machine.open();
    let next_gets_it = |story: &str| {
        let other = store.clone();
        let next = Call::start(move || other.lock("k").acquire().unwrap().release().unwrap());
        next.outcome();
        assert!(!store.is_locked("k").unwrap(), "{story}");
        assert!(store.check().unwrap().is_sound(), "{story}");
    };
    for shared in [false, true] {
        let request = || {
            let request = store.lock("k");
            if shared { request.shared() } else { request }
        };

        drop(Task::new(request().acquire_async()));
        next_gets_it("before it was polled");

        // Its request stands behind a stalled commit.
        let stall = machine.disk.hold_syncs();
        let other = store.clone();
        let stalled = Call::start(move || other.lock("other").acquire().map(drop));
        assert!(stall.wait_for_sync(PATIENCE));
        drop(Task::pending(request().acquire_async()));
        drop(stall);
        stalled.outcome().unwrap();
        next_gets_it("before it was served");

        let holder = store.lock("k").acquire().unwrap();
        let task = Task::pending(request().acquire_async());
        await_waiters(&store, "k", 1);
        drop(task);
        await_waiters(&store, "k", 0);
        holder.release().unwrap();
        next_gets_it("while it waited");

        let holder = store.lock("k").acquire().unwrap();
        let task = Task::pending(request().acquire_async());
        await_waiters(&store, "k", 1);
        holder.release().unwrap();
        task.bell().wait(0);
        assert!(store.is_locked("k").unwrap(), "it was handed the lock");
        drop(task);
        next_gets_it("after it was granted");

        let mut task = Task::new(request().acquire_async());
        let taken = task.poll();
        eventually("it is granted", || store.is_locked("k").unwrap());
        drop((task, taken));
        next_gets_it("after it was granted at once");
    }
}

/// The same, when release and cancel are let loose on each other.
#[test]
fn a_cancel_that_races_its_grant_loses_nothing() {
    let store = Store::in_memory().unwrap();
    for _ in 0..300 {
        let holder = store.lock("k").acquire().unwrap();
        let dropped = Task::pending(store.lock("k").acquire_async());
        let kept = Task::pending(store.lock("k").acquire_async());
        let release = Call::start(move || holder.release().unwrap());
        drop(dropped);
        kept.outcome().unwrap().release().unwrap();
        release.outcome();
        assert!(!store.is_locked("k").unwrap());
    }
    assert_eq!(store.stats().unwrap().waiters, 0);
    assert!(store.check().unwrap().is_sound());
}

/// "All waiters wake for one release": wake exactly those granted.
#[test]
fn exactly_the_granted_are_woken() {
    let store = Machine::new().open();
    let mut holder = store.lock("k").acquire().unwrap();
    let mut tasks = VecDeque::new();
    // x s s s x x: neighbouring shared waiters are granted together.
    for (i, shared) in [false, true, true, true, false, false].into_iter().enumerate() {
        let request = store.lock("k");
        let request = if shared { request.shared() } else { request };
        tasks.push_back(Task::pending(request.acquire_async()));
        await_waiters(&store, "k", u32::try_from(i).unwrap() + 1);
    }
    let woken = |tasks: &VecDeque<Task<AcquireFuture>>| {
        tasks.iter().map(|task| task.bell().rung()).collect::<Vec<_>>()
    };
    assert_eq!(woken(&tasks), [0; 6]);
    let next = |holder: LockGuard, tasks: &mut VecDeque<Task<AcquireFuture>>| {
        holder.release().unwrap();
        let first = tasks.pop_front().unwrap();
        first.bell().wait(0);
        first.outcome().unwrap()
    };
    holder = next(holder, &mut tasks);
    assert_eq!(woken(&tasks), [0; 5]);
    let first = next(holder, &mut tasks);
    let second = tasks.pop_front().unwrap().outcome().unwrap();
    let third = tasks.pop_front().unwrap().outcome().unwrap();
    assert_eq!(woken(&tasks), [0, 0]);
    first.release().unwrap();
    third.release().unwrap();
    assert_eq!(woken(&tasks), [0, 0], "a shared holder is there still");
    holder = next(second, &mut tasks);
    assert_eq!(woken(&tasks), [0]);
    next(holder, &mut tasks).release().unwrap();
}

/// Who only wants to see the key free is told when it is, and not before: a hand-off is not free.
#[test]
fn who_waits_for_a_free_key_is_not_woken_by_a_hand_off() {
    let store = Machine::new().open();
    let holder = store.lock("k").acquire().unwrap();
    let watcher = Task::pending(store.wait_until_free_async("k", None));
    let next = Task::pending(store.lock("k").acquire_async());
    await_waiters(&store, "k", 1);
    holder.release().unwrap();
    let guard = next.outcome().unwrap();
    assert_eq!(watcher.bell().rung(), 0);
    guard.release().unwrap();
    assert!(watcher.outcome().unwrap());
}

/// A wait that is dropped leaves nothing behind, however many there are.
#[test]
fn dropped_waits_leave_nothing_behind() {
    let store = Machine::new().open();
    let holder = store.lock("k").acquire().unwrap();
    let bytes = store.stats().unwrap().file_bytes;
    for _ in 0..50 {
        let waits: Vec<_> =
            (0..20).map(|_| Task::pending(store.wait_until_free_async("k", None))).collect();
        let acquires: Vec<_> =
            (0..20).map(|_| Task::pending(store.lock("k").acquire_async())).collect();
        drop((waits, acquires));
    }
    eventually("all have left", || store.stats().unwrap().waiters == 0);
    assert_eq!(store.stats().unwrap().file_bytes, bytes);
    holder.release().unwrap();
    let free: Result<bool, WaitError> = store.wait_until_free("k", None);
    assert!(free.unwrap());
}

/// A future that was made and not polled has asked for nothing.
#[test]
fn a_future_asks_for_nothing_until_it_is_polled() {
    fn is_a_plain_future(_: &(impl Future + Send + 'static)) {}
    let store = Store::in_memory().unwrap();
    let future = store.lock("k").acquire_async();
    is_a_plain_future(&future);
    assert!(!store.is_locked("k").unwrap());
    let guard = store.lock("k").try_acquire().unwrap();
    guard.release().unwrap();
    Task::new(future).outcome().unwrap().release().unwrap();
}
