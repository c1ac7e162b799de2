//! `EIO` and `ENOSPC` at every operation of a script that does everything a store can do: each call is told of
//! it, nothing wrong is answered, and a healthy copy of the disk has everything that was answered before.

use std::thread;

use lockstore::ReadError;
use lockstore::{
    AcquireError, BreakError, Clock, JournalError, OpenError, ReleaseError, RenewError, Store,
    StoreError, Token, WaitError,
};
use lockstore_testkit::disk::{DiskOp, FailedSync, Fault, PowerLoss, SimDisk};
use lockstore_tests::script::{Played, Script, open};
use lockstore_tests::storage::Storage;

#[test]
fn a_full_or_broken_disk_at_any_operation_is_told_and_loses_nothing() {
    check_every_fault(Storage::Plain);
}

#[test]
fn a_full_or_broken_disk_with_a_journal_is_told_and_loses_nothing() {
    check_every_fault(Storage::Journalled);
}

fn check_every_fault(storage: Storage) {
    let faults: [fn() -> Fault; 4] = [
        Fault::io_error,
        || Fault::io_error().failed_sync(FailedSync::MarkedClean).from_then_on(),
        || Fault::no_space().after_bytes(700),
        || Fault::no_space().failed_sync(FailedSync::Reverted).from_then_on(),
    ];
    let struck: Vec<_> = thread::scope(|scope| {
        let halves = faults.chunks(2).map(|half| {
            let strike = move |fault: &fn() -> Fault| strike_every_operation(storage, *fault);
            scope.spawn(move || half.iter().map(strike).sum::<u64>())
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().map(|half| half.join().expect("see above")).collect()
    });
    eprintln!("{struck:?} operations failed");
}

/// Returns how many operations failed.
fn strike_every_operation(storage: Storage, fault: fn() -> Fault) -> u64 {
    let mut struck = 0;
    for op in [DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::SetLen, DiskOp::Name] {
        for nth in 1.. {
            let mut script = Script::on(storage);
            script.disk.inject(fault().on(op).nth(nth));
            let played = script.play();
            if script.disk.counts().of(op) < nth {
                assert!(matches!(played, Played::Whole), "{played:?}");
                break;
            }
            struck += 1;
            let struck_by = format!("{:?}", fault().on(op).nth(nth));
            check_told(&script, played, &struck_by);
            script.disk.clear_faults();
            check_healthy(&script, &script.disk.after_kill(), &struck_by);
            let loss = PowerLoss::seeded(nth);
            check_healthy(&script, &script.disk.after_power_loss(&loss), &struck_by);
        }
    }
    struck
}

fn check_told(script: &Script, played: Played, struck_by: &str) {
    match played {
        // redb did without what failed, or the store did: it was closed.
        Played::Whole => {}
        Played::Unopened(error) => {
            let told = matches!(
                error,
                OpenError::Disk { .. } | OpenError::Journal { source: JournalError::Io(_), .. }
            );
            assert!(told, "{struck_by}: {error:?}");
        }
        Played::Unclosed(error) => {
            assert!(matches!(error, StoreError::Disk(_)), "{struck_by}: {error:?}");
        }
        Played::Stopped(store, StoreError::Poisoned { .. }) => check_poisoned(&store, struck_by),
        // A compaction or a check that fails tells its caller why, and has the store stopped; something that
        // could not be read has it stopped at the latest when something is to be written. Until then all that
        // it says is true.
        Played::Stopped(store, StoreError::Disk(_)) => {
            if store.is_locked("endless").is_ok() {
                script.account.clone().compare(&store, || script.clock.now());
            }
            if let Err(error) = store.lock("(next)").try_acquire() {
                assert!(matches!(error, AcquireError::Store(_)), "{struck_by}: {error:?}");
                check_poisoned(&store, struck_by);
            }
        }
        Played::Stopped(_, error) => panic!("{struck_by}: {error:?}"),
    }
}

/// Every call says that the store has stopped, reads included.
fn check_poisoned(store: &Store, struck_by: &str) {
    let stopped = |error: &StoreError| matches!(error, StoreError::Poisoned { .. });
    let read_stopped = |error| matches!(error, ReadError::Store(error) if stopped(&error));
    let told = [
        store.is_locked("endless").is_err_and(read_stopped),
        store.is_lock_holder("endless", "a").is_err_and(read_stopped),
        store.inspect("endless").is_err_and(read_stopped),
        store.list("", None, 9).is_err_and(|error| stopped(&error)),
        store.audit(None, 9).is_err_and(|error| stopped(&error)),
        store.stats().is_err_and(|error| stopped(&error)),
        store.check().is_err_and(|error| stopped(&error)),
        store.compact().is_err_and(|error| stopped(&error)),
        store.subscribe("").is_err_and(|error| stopped(&error)),
        matches!(store.lock("k").try_acquire(), Err(AcquireError::Store(error)) if stopped(&error)),
        matches!(store.renew("k", "a", None, None), Err(RenewError::Store(error)) if stopped(&error)),
        matches!(store.release("k", "a", None), Err(ReleaseError::Store(error)) if stopped(&error)),
        matches!(store.wait_until_free("k", None), Err(WaitError::Store(error)) if stopped(&error)),
        matches!(
            store.break_lock("k", Token::FIRST, ""),
            Err(BreakError::Store(error)) if stopped(&error)
        ),
        matches!(store.clone().close(), Err(error) if stopped(&error)),
    ];
    assert_eq!(told, [true; 15], "{struck_by}");
}

/// The same disk, repaired or copied to a healthy one.
fn check_healthy(script: &Script, disk: &SimDisk, struck_by: &str) {
    let opened = open(script.storage, disk, &script.clock);
    let store = opened.unwrap_or_else(|error| panic!("{struck_by}: {error}"));
    let mut account = script.account.clone();
    account.check(&store, || script.clock.now());
    account.check_next_token(&store);
    store.close().unwrap_or_else(|error| panic!("{struck_by}: {error}"));
}
