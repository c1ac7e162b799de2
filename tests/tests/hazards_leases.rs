//! What went wrong with leases, renewals and expiry in other lock systems: each test is a row of the
//! table of hazards, quoted as far as it goes.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstore::ReadError;
use lockstore::{AcquireError, EndCause, Event, EventKind, LockGuard, ReleaseError, RenewError};
use lockstore::{ResumeError, Store, StoreError, Token};
use lockstore_testkit::disk::{DiskOp, Fault};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

/// What a lock protects: it refuses whoever comes with a lower token than the highest that it has seen.
#[derive(Debug, Default)]
struct Ledger {
    highest: Option<Token>,
    lines: Vec<&'static str>,
}

impl Ledger {
    fn write(&mut self, token: Token, line: &'static str) -> bool {
        if self.highest > Some(token) {
            return false;
        }
        self.highest = Some(token);
        self.lines.push(line);
        true
    }
}

/// "The holder pauses, expires, wakes and writes": a token on every grant; what is guarded compares it.
#[test]
fn a_paused_holder_is_refused_after_its_lease() {
    let machine = Machine::new();
    let store = machine.open();
    let mut ledger = Ledger::default();
    let paused = store.lock("k").ttl(secs(10)).acquire().unwrap();
    assert!(ledger.write(paused.token(), "before the pause"));
    machine.clock.advance(secs(11));
    let next = store.lock("k").holder("next").acquire().unwrap();
    assert!(next.token() > paused.token());
    assert!(ledger.write(next.token(), "the next holder"));

    assert!(paused.is_lost());
    assert!(!ledger.write(paused.token(), "after the pause"));
    match paused.renew() {
        Err(RenewError::LeaseLost { now_held_by: Some(by), .. }) => {
            assert_eq!(by.token, next.token());
        }
        other => panic!("{other:?}"),
    }
    let refused = paused.release().unwrap_err();
    assert!(matches!(refused, ReleaseError::HeldByOther { .. }), "{refused:?}");
    assert!(store.is_lock_holder("k", "next").unwrap());
    assert_eq!(ledger.lines, ["before the pause", "the next holder"]);
}

/// "Renewal races expiry and answers success for a lease that is gone": one transition, and expiry wins
/// once it is decided.
#[test]
fn a_renewal_that_races_its_expiry_tells_the_truth() {
    let machine = Machine::new();
    let store = machine.open();
    let (mut renewed, mut lost) = (0, 0);
    for round in 0..200 {
        let guard = store.lock("k").ttl(secs(10)).acquire().unwrap();
        let token = guard.token();
        // Who comes first is left to the threads: the call, or the background thread that is woken.
        machine.clock.advance(secs(10));
        match guard.renew() {
            Ok(()) => {
                renewed += 1;
                let lock = store.inspect("k").unwrap().expect("it was renewed");
                assert_eq!(lock.holders[0].token, token, "round {round}");
                let until = lock.holders[0].expires_at.unwrap();
                assert!(guard.valid_until().unwrap() <= until, "round {round}");
                guard.release().unwrap();
            }
            Err(RenewError::LeaseLost { .. }) => {
                lost += 1;
                assert!(!store.is_locked("k").unwrap(), "round {round}");
                assert!(guard.is_lost());
                assert!(guard.renew().is_err(), "a renewal revives nothing");
                assert!(!store.is_locked("k").unwrap(), "round {round}");
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(renewed + lost, 200);
}

/// "A failed expiry is dropped from the queue and never tried again": the timer leaves only with the
/// durable commit.
#[test]
fn an_expiry_that_could_not_be_written_is_tried_again_by_the_next_process() {
    let machine = Machine::new();
    let store = machine.open();
    store.lock("k").holder("gone").ttl(secs(10)).acquire().unwrap().leak();
    machine.disk.inject(Fault::io_error().on(DiskOp::Sync));
    let expiry = store.subscribe("k").unwrap();
    machine.clock.advance(secs(10));
    // The subscription ends because the store stops, and nothing was told.
    assert!(expiry.recv_timeout(PATIENCE).is_err());
    assert!(matches!(store.is_locked("k"), Err(ReadError::Store(StoreError::Poisoned { .. }))));

    let reopened = machine.after_kill().open();
    assert!(!reopened.is_locked("k").unwrap());
    assert!(reopened.lock("k").try_acquire().is_ok());
}

/// "A stalled disk kills every lease at once": after a stall, renewals in the queue go before expiries.
#[test]
fn renewals_behind_a_stalled_disk_go_before_expiries() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").ttl(secs(10)).acquire().unwrap();
    let token = guard.token();

    let stall = machine.disk.hold_syncs();
    let other = store.clone();
    let stalled = Call::start(move || other.lock("other").acquire().map(LockGuard::leak));
    assert!(stall.wait_for_sync(PATIENCE));
    let renewal = Call::start_asleep(move || guard.renew().map(|()| guard));
    machine.clock.advance(secs(20));
    drop(stall);

    let guard = renewal.outcome().expect("the renewal was there before the expiry");
    stalled.outcome().unwrap();
    assert_eq!(guard.token(), token);
    assert!(store.is_lock_holder("k", guard.holder()).unwrap());
    // The holder itself counts from before it asked, which was before the stall.
    assert!(guard.is_lost());
    guard.renew().unwrap();
    assert!(!guard.is_lost());
}

/// The same for leases that are kept alive: nobody has to ask.
#[test]
fn kept_leases_outlast_a_stalled_disk() {
    let machine = Machine::new();
    let store = machine.open();
    let guards: Vec<_> = (0..20)
        .map(|i| store.lock(&format!("k{i}")).ttl(secs(10)).acquire().unwrap())
        .inspect(LockGuard::keep_alive)
        .collect();
    let stall = machine.disk.hold_syncs();
    let other = store.clone();
    let stalled = Call::start(move || other.lock("other").acquire().map(LockGuard::leak));
    assert!(stall.wait_for_sync(PATIENCE));
    machine.clock.advance(secs(30));
    drop(stall);
    stalled.outcome().unwrap();
    eventually("all are renewed", || guards.iter().all(|guard| !guard.is_lost()));
    for guard in guards {
        let lock = store.inspect(guard.key()).unwrap().expect("it is held");
        assert_eq!(lock.holders[0].token, guard.token());
        guard.release().unwrap();
    }
}

/// "A renewal succeeded but the client saw an error, and gave up the lock": operations are idempotent by
/// (holder, token).
#[test]
fn who_saw_an_error_can_ask_again() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").holder("me").ttl(secs(10)).acquire().unwrap();
    let token = guard.token();
    for _ in 0..3 {
        guard.renew().unwrap();
        assert_eq!(
            store.lock("k").holder("me").ttl(secs(10)).acquire().unwrap().leak().token,
            token
        );
    }
    // The renewal's commit fails: it may or may not be on disk, and the lock is held in any case.
    machine.disk.inject(Fault::io_error().on(DiskOp::Sync));
    let failed = guard.renew().unwrap_err();
    assert!(matches!(failed, RenewError::Store(StoreError::Poisoned { .. })), "{failed:?}");

    let store = machine.after_kill().open();
    let guard = store.lock("k").holder("me").resume(token).unwrap();
    assert_eq!(guard.token(), token);
    store.release("k", "me", Some(token)).unwrap();
    let again = store.release("k", "me", Some(token)).unwrap_err();
    assert!(matches!(again, ReleaseError::NotHeld { .. }), "{again:?}");
    // A release that is sent once more does not hit a later grant of the same holder.
    let later = store.lock("k").holder("me").acquire().unwrap();
    let again = store.release("k", "me", Some(token)).unwrap_err();
    assert!(matches!(again, ReleaseError::OtherToken { held, .. } if held == later.token()));
    let resumed = store.lock("k").holder("me").resume(token).unwrap_err();
    assert!(matches!(resumed, ResumeError::LeaseLost { .. }), "{resumed:?}");
}

/// "The renewal thread revives a lock just released": renewal is bound to the token; release ends it.
#[test]
fn a_kept_lease_is_not_revived_after_its_release() {
    let machine = Machine::new();
    let store = machine.open();
    for round in 0..100 {
        let guard = store.lock("k").holder("me").ttl(secs(9)).acquire().unwrap();
        guard.keep_alive();
        let token = guard.token();
        // The renewal is due now; it and the release are let loose on each other.
        machine.clock.advance(secs(3));
        guard.release().unwrap();
        assert!(!store.is_locked("k").unwrap(), "round {round}");
        let renewed = store.renew("k", "me", Some(token), None);
        assert!(matches!(renewed, Err(RenewError::LeaseLost { .. })), "{renewed:?}");
        machine.clock.advance(secs(3));
        assert!(!store.is_locked("k").unwrap(), "round {round}");
    }
    // A successor with the same holder is not renewed by what kept its predecessor alive.
    let first = store.lock("k").holder("me").ttl(secs(9)).acquire().unwrap();
    first.keep_alive();
    first.release().unwrap();
    store.lock("k").holder("me").ttl(secs(9)).acquire().unwrap().leak();
    machine.clock.advance(secs(9));
    assert!(store.wait_until_free("k", None).unwrap());
}

/// "Local state forgotten although the release failed": state changes only with a confirmed result.
#[test]
fn a_release_that_failed_is_not_taken_for_done() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").holder("me").acquire().unwrap();
    let token = guard.token();
    machine.disk.inject(Fault::no_space().on(DiskOp::Write).from_then_on());
    let failed = guard.release().unwrap_err();
    assert!(matches!(failed, ReleaseError::Store(StoreError::Poisoned { .. })), "{failed:?}");
    // Not even a reader is told that it is free.
    assert!(matches!(store.is_locked("k"), Err(ReadError::Store(StoreError::Poisoned { .. }))));
    assert!(matches!(store.inspect("k"), Err(ReadError::Store(StoreError::Poisoned { .. }))));

    let store = machine.after_kill().open();
    let lock = store.inspect("k").unwrap().expect("the release never reached the disk");
    assert_eq!(lock.holders[0].token, token);
    assert!(store.lock("k").holder("me").resume(token).is_ok());
}

/// "Breaking a stale lock breaks its successor": a break compares the token, and is audited.
#[test]
fn a_break_never_hits_the_successor() {
    let store = Machine::new().open();
    let stale = store.lock("k").holder("stale").acquire().unwrap();
    let token = store.inspect("k").unwrap().unwrap().holders[0].token;
    stale.release().unwrap();
    let successor = store.lock("k").holder("successor").acquire().unwrap();
    let refused = store.break_lock("k", token, "it looked stale").unwrap_err();
    assert!(
        matches!(&refused, lockstore::BreakError::OtherToken { by, .. }
            if by.token == successor.token()),
        "{refused:?}"
    );
    assert!(store.is_lock_holder("k", "successor").unwrap());
    assert!(store.audit(None, 10).unwrap().is_empty());
    // Not even when it is the same holder again.
    successor.release().unwrap();
    let again = store.lock("k").holder("stale").acquire().unwrap();
    store.break_lock("k", token, "it looked stale").unwrap_err();
    assert!(store.is_lock_holder("k", "stale").unwrap());

    let record = store.break_lock("k", again.token(), "now it is").unwrap();
    assert_eq!(
        (&*record.holder, record.token, &*record.reason),
        ("stale", again.token(), "now it is")
    );
    assert_eq!(store.audit(None, 10).unwrap(), [record]);
    assert!(!store.is_locked("k").unwrap());
}

/// Of many who break one stale lock at once, one does, and nobody breaks what was granted after it.
#[test]
fn of_many_who_break_one_lock_one_does() {
    let store = Store::in_memory().unwrap();
    for round in 0..50 {
        let stale = store.lock("k").holder("stale").acquire().unwrap().leak();
        let breakers: Vec<_> = (0..4)
            .map(|i| {
                let store = store.clone();
                Call::start(move || {
                    let broken = store.break_lock("k", stale.token, "stale").is_ok();
                    let name = format!("breaker {i}");
                    let guard = store.lock("k").holder(&name).acquire().unwrap();
                    assert!(store.is_lock_holder("k", &name).unwrap());
                    guard.release().unwrap();
                    broken
                })
            })
            .collect();
        let broken = breakers.into_iter().map(Call::outcome);
        assert_eq!(broken.filter(|broken| *broken).count(), 1, "round {round}");
    }
    assert_eq!(store.audit(None, 100).unwrap().len(), 50);
}

/// "A thousand leases expire in one moment and stop the store": bounded batches.
#[test]
fn ten_thousand_leases_that_end_in_one_moment_do_not_stop_the_store() {
    const LEASES: usize = 10_000;
    let machine = Machine::new();
    let store = machine.options().events_max(2 * LEASES).open_in_memory().unwrap();
    let mut tasks: Vec<_> = (0..LEASES)
        .map(|i| {
            let key = format!("k{i:05}");
            Task::pending(store.lock(&key).ttl(secs(60)).acquire_async())
        })
        .collect();
    for task in tasks.drain(..) {
        task.outcome().unwrap().leak();
    }
    let kept = store.lock("kept").ttl(secs(60)).acquire().unwrap();
    kept.keep_alive();
    let events = store.subscribe("k").unwrap();
    machine.clock.advance(secs(60));

    // The store serves others meanwhile, one of the expired keys included.
    assert!(store.lock("k09999").try_acquire().is_ok());
    store.lock("another").acquire().unwrap().release().unwrap();
    kept.renew().expect("renewals go first");

    let mut ended = BTreeMap::<u64, usize>::new();
    while ended.values().sum::<usize>() < LEASES {
        let Event { sequence, kind } = events.recv_timeout(PATIENCE).expect("all of them end");
        match kind {
            EventKind::Ended { key, cause: EndCause::Expired, .. } => {
                assert_ne!(&*key, "kept");
                *ended.entry(sequence).or_default() += 1;
            }
            EventKind::Gap => panic!("there is room for all"),
            _ => {}
        }
    }
    let most = *ended.values().max().unwrap();
    assert!(most <= 1_100, "one commit carried {most} expiries");
    assert!(store.check().unwrap().is_sound());
    assert!(!kept.is_lost());
}

/// Bounds hold for one session too: none can make its end take for ever.
#[test]
fn the_locks_of_one_session_are_bounded() {
    let machine = Machine::new();
    let limits = lockstore::Limits { locks_per_session_max: 3, ..Default::default() };
    let store = machine.open_with(machine.options().limits(limits));
    let session = store.session().unwrap();
    let _guards: Vec<_> =
        ["a", "b", "c"].map(|key| store.lock(key).session(&session).acquire().unwrap()).into();
    let refused = store.lock("d").session(&session).acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::LimitReached { max: 3, .. }), "{refused:?}");
    assert!(!store.is_locked("d").unwrap());
    assert_eq!(store.lock("d").acquire_timeout(Duration::ZERO).unwrap().key().as_str(), "d");
}
