//! What went wrong with clocks, restarts and files in other lock systems: each test is a row of the table
//! of hazards, quoted as far as it goes.

use std::time::Duration;

use lockstore::{EventKind, LockGuard, Store, Token, WallTime};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

const HOUR: Duration = secs(3_600);
const MONTH: Duration = secs(30 * 24 * 3_600);

fn hold(store: &Store, key: &str, ttl: Duration) {
    store.lock(key).holder("me").ttl(ttl).acquire().unwrap().leak();
}

/// How long the lock is held yet, in seconds.
#[track_caller]
fn left(store: &Store, key: &str) -> f64 {
    let lock = store.inspect(key).unwrap().expect("it is held");
    lock.holders[0].remaining.expect("it has a lease").as_secs_f64()
}

/// "A clock that steps back revives an expired lease, or expires all": while the store is open, the wall
/// clock decides nothing.
#[test]
fn a_wall_clock_that_jumps_while_the_store_is_open_decides_nothing() {
    let machine = Machine::new();
    let store = machine.open();
    hold(&store, "short", secs(10));
    hold(&store, "long", HOUR);
    machine.clock.jump_wall_forward(MONTH);
    machine.clock.advance(secs(9));
    store.lock("tick").acquire().unwrap().release().unwrap();
    assert!((left(&store, "short") - 1.0).abs() < 1e-6);
    machine.clock.jump_wall_back(MONTH * 2);
    machine.clock.advance(secs(1));
    assert!(store.wait_until_free("short", None).unwrap());
    // What has ended is not revived, and what has not ends when it was to.
    machine.clock.jump_wall_back(MONTH);
    store.lock("tick").acquire().unwrap().release().unwrap();
    assert!(!store.is_locked("short").unwrap());
    assert!((left(&store, "long") - 3_590.0).abs() < 1e-6);
}

/// Who subscribed is told that the wall clock went back.
#[test]
fn a_wall_clock_that_goes_back_is_told() {
    let machine = Machine::new();
    let store = machine.open();
    let events = store.subscribe("none of the keys").unwrap();
    machine.clock.jump_wall_back(HOUR);
    store.lock("k").acquire().unwrap().release().unwrap();
    let event = events.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(event.kind, EventKind::ClockWentBackwards { mark, now }
        if mark.as_millis() - now.as_millis() == 3_600_000));
    store.lock("k").acquire().unwrap().release().unwrap();
    assert!(events.try_recv().is_err(), "told once");
}

/// Reopened in the same boot, the boot-time clock decides, and the wall clock is not asked.
#[test]
fn a_wall_clock_that_jumps_over_a_restart_decides_nothing() {
    for (jump, back) in [(MONTH, false), (MONTH, true), (HOUR * 24 * 365 * 56, true)] {
        let machine = Machine::new();
        let store = machine.open();
        hold(&store, "short", secs(10));
        hold(&store, "long", HOUR);
        store.close().unwrap();
        if back {
            machine.clock.jump_wall_back(jump);
        } else {
            machine.clock.jump_wall_forward(jump);
        }
        machine.clock.advance(secs(10));
        let store = machine.open();
        assert!(!store.is_locked("short").unwrap(), "{jump:?} {back}");
        assert!((left(&store, "long") - 3_590.0).abs() < 1e-6, "{jump:?} {back}");
        assert_eq!(store.recovery().unwrap().clock_went_backwards.is_some(), back);
        assert_eq!(store.recovery().unwrap().expired, 1);
    }
}

/// Reopened after a reboot, the wall clock decides: the downtime counts, and no lease gets more than its
/// TTL.
#[test]
fn downtime_counts_over_a_reboot() {
    let machine = Machine::new();
    let store = machine.open();
    hold(&store, "short", secs(10));
    hold(&store, "long", HOUR);
    store.lock("endless").holder("me").acquire().unwrap().leak();
    let machine = machine.after_power_loss(store, secs(600));
    let store = machine.open();
    assert!(!store.is_locked("short").unwrap());
    assert!((left(&store, "long") - 3_000.0).abs() < 0.01);
    assert!(store.is_lock_holder("endless", "me").unwrap());
    let found = store.recovery().unwrap();
    assert_eq!((found.held, found.expired, found.clock_went_backwards), (2, 1, None));
    // And the time since boot decides again.
    machine.clock.jump_wall_forward(MONTH);
    machine.clock.advance(secs(2_999));
    store.lock("tick").acquire().unwrap().release().unwrap();
    assert!(store.is_locked("long").unwrap());
    machine.clock.advance(secs(2));
    assert!(store.wait_until_free("long", None).unwrap());
}

/// A wall clock that stands before what the store has seen when the machine comes up again: downtime counts
/// as zero, nothing expires early, nothing gets more than its TTL, and it is told.
#[test]
fn a_clock_that_went_back_over_a_reboot_ends_no_lease_early() {
    let machine = Machine::new();
    let store = machine.open();
    let mark = lockstore::Clock::wall(&machine.clock);
    hold(&store, "k", HOUR);
    store.lock("endless").holder("me").acquire().unwrap().leak();
    machine.clock.jump_wall_back(MONTH);
    let machine = machine.after_power_loss(store, secs(600));
    let store = machine.open();
    assert!((left(&store, "k") - 3_600.0).abs() < 0.01, "{}", left(&store, "k"));
    assert_eq!(store.recovery().unwrap().clock_went_backwards, Some(mark));
    let told = store.subscribe("").unwrap().recv_timeout(PATIENCE).unwrap();
    assert!(matches!(told.kind, EventKind::ClockWentBackwards { mark: seen, .. } if seen == mark));
    // The mark is not lowered: the same is found when it happens once more.
    drop(store);
    let store = machine.open();
    assert_eq!(store.recovery().unwrap().clock_went_backwards, Some(mark));
}

/// The wall clock is set back while the store is open, a lease is granted after that, and the machine
/// reboots: the lease lasts at least as long as it was promised, whatever the mark says.
#[test]
fn a_lease_of_after_a_step_back_outlasts_a_reboot() {
    for open_again in [false, true] {
        let machine = Machine::new();
        let mut store = machine.open();
        machine.clock.jump_wall_back(HOUR * 5);
        if open_again {
            drop(store);
            store = machine.open();
        }
        hold(&store, "k", secs(600));
        let machine = machine.after_power_loss(store, secs(60));
        let store = machine.open();
        assert!(store.is_lock_holder("k", "me").unwrap(), "opened again: {open_again}");
        let left = left(&store, "k");
        assert!((540.0..600.01).contains(&left), "{left}");
    }
}

/// A wall clock that was wrong by years when the store was opened, and is set right: leases still end.
#[test]
fn a_clock_from_the_future_keeps_no_lease_for_ever() {
    let machine = Machine::new();
    machine.clock.jump_wall_forward(MONTH * 100);
    let store = machine.open();
    hold(&store, "k", HOUR);
    machine.clock.jump_wall_back(MONTH * 100);
    let machine = machine.after_power_loss(store, HOUR * 2);
    let store = machine.open();
    // Nobody can tell how long the machine was off; the lease has its TTL at most.
    assert!(left(&store, "k") <= 3_600.01);
    machine.clock.advance(HOUR + secs(1));
    assert!(store.wait_until_free("k", None).unwrap());
}

/// "After a restart every lease starts again in full, and a restart loop keeps it for ever": stored
/// deadlines; the grace is stored once.
#[test]
fn a_restart_loop_does_not_keep_a_lease_alive() {
    for reboot in [false, true] {
        let mut machine = Machine::new();
        let options = |machine: &Machine| machine.options().restart_grace(secs(5));
        let store = machine.open_with(options(&machine));
        hold(&store, "k", secs(60));
        let mut store = Some(store);
        let mut lived = 0;
        while store.as_ref().unwrap().is_locked("k").unwrap() {
            lived += 3;
            assert!(lived <= 66, "it lives on by being restarted (reboots: {reboot})");
            if reboot {
                machine = machine.after_power_loss(store.take().unwrap(), secs(3));
            } else {
                drop(store.take());
                machine.clock.advance(secs(3));
            }
            store = Some(machine.open_with(options(&machine)));
        }
        assert!(lived >= 60, "it ended early, after {lived} s (reboots: {reboot})");
    }
}

/// The grace is for a holder that has no time left to renew: given once, and again after a renewal.
#[test]
fn the_restart_grace_is_given_once() {
    let machine = Machine::new();
    let open = || machine.open_with(machine.options().restart_grace(secs(5)));
    let store = open();
    hold(&store, "k", secs(10));
    drop(store);
    machine.clock.advance(secs(9));
    let store = open();
    assert_eq!(store.recovery().unwrap().graced, 1);
    assert!((left(&store, "k") - 5.0).abs() < 0.01);
    drop(store);
    machine.clock.advance(secs(4));
    let store = open();
    assert_eq!(store.recovery().unwrap().graced, 0);
    assert!((left(&store, "k") - 1.0).abs() < 0.01);
    store.renew("k", "me", None, None).unwrap();
    drop(store);
    machine.clock.advance(secs(8));
    let store = open();
    assert_eq!(store.recovery().unwrap().graced, 1);
    assert!((left(&store, "k") - 5.0).abs() < 0.01);
}

/// Tokens rise over every kind of restart, and none is used twice.
#[test]
fn no_token_is_used_twice_over_restarts() {
    let mut machine = Machine::new();
    let mut last: Option<Token> = None;
    for round in 0..12 {
        let store = machine.open();
        for _ in 0..3 {
            let token = store.lock("k").acquire().unwrap().token();
            assert!(Some(token) > last, "round {round}: {token} after {last:?}");
            last = Some(token);
        }
        match round % 3 {
            0 => store.close().unwrap(),
            1 => {
                let next = machine.after_kill();
                drop(store);
                machine = next;
            }
            _ => machine = machine.after_power_loss(store, secs(1)),
        }
    }
}

/// Locks that are bound to a session end with the process; others do not.
#[test]
fn session_bound_locks_end_with_the_process() {
    let machine = Machine::new();
    let store = machine.open();
    let session = store.session().unwrap();
    store.lock("bound").session(&session).acquire().unwrap().leak();
    store.lock("free").holder("me").acquire().unwrap().leak();
    let next = machine.after_kill();
    let store = next.open();
    assert!(!store.is_locked("bound").unwrap());
    assert!(store.is_lock_holder("free", "me").unwrap());
    assert_eq!(store.recovery().unwrap().sessions_ended, 1);
    // A session's number is as little used twice as a token.
    assert!(store.session().unwrap().id() > session.id());
}

/// "The store's file grows for ever": no read transaction is held across a wait.
#[test]
fn the_file_does_not_grow_under_churn_while_others_wait() {
    let machine = Machine::new();
    let store = machine.open();
    let guards: Vec<_> =
        (0..200).map(|i| store.lock(&format!("live {i}")).acquire().unwrap()).collect();
    let waits = Task::pending(store.wait_until_free_async("live 0", None));
    let acquires = Task::pending(store.lock("live 1").acquire_async());
    let events = store.subscribe("none of the keys").unwrap();
    let blocked = Call::start_asleep({
        let store = store.clone();
        move || store.wait_until_free("live 2", None).unwrap()
    });
    let churn = |rounds: u32| {
        for i in 0..rounds {
            let guard = store.lock(&format!("churn {}", i % 100)).ttl(secs(60)).acquire().unwrap();
            guard.renew().unwrap();
            guard.release().unwrap();
            if i % 100 == 0 {
                store.list("", None, 10).unwrap();
                store.audit(None, 10).unwrap();
            }
        }
        store.stats().unwrap().file_bytes
    };
    let settled = churn(500);
    assert_eq!(churn(3_000), settled);
    assert!(settled < 8 << 20, "{settled} bytes");
    assert!(blocked.is_pending());
    for guard in guards {
        guard.release().unwrap();
    }
    assert!(waits.outcome().unwrap());
    acquires.outcome().map(LockGuard::release).unwrap().unwrap();
    assert!(blocked.outcome());
    drop(events);
}

/// A lease is asked for in any length, and its clock may be anywhere: nothing overflows.
#[test]
fn far_deadlines_and_odd_clocks_overflow_nothing() {
    for (now, wall) in [(0, 0), (u64::MAX / 2, u64::MAX / 2), (1, u64::MAX - 1)] {
        let clock = lockstore_testkit::clock::ManualClock::starting_at(
            lockstore::Instant::from_nanos(now),
            WallTime::from_millis(wall),
        );
        let machine = Machine { clock, ..Machine::new() };
        let store = machine.open();
        hold(&store, "short", secs(1));
        hold(&store, "long", lockstore::Ttl::MAX.as_duration());
        machine.clock.advance(secs(2));
        eventually("it ends", || !store.is_locked("short").unwrap());
        let forever = Task::pending(store.lock("long").acquire_timeout_async(Duration::MAX));
        store.lock("tick").acquire().unwrap().release().unwrap();
        drop(forever);
        drop(store);
        let store = machine.open();
        assert!(store.is_locked("long").unwrap(), "now {now}, wall {wall}");
        assert!(store.check().unwrap().is_sound());
    }
}
