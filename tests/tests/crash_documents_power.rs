//! The power is lost at every sync of a script that does everything with documents, and the disk fails at any
//! operation: what was answered is there afterwards, nothing is half done, and every index agrees with its collection.

use std::thread;
use std::time::Duration;

use lockstore::Clock;
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{DiskOp, FailedSync, Fault, PowerLoss, SimDisk};
use lockstore_tests::document_script::{DocumentScript, Progress, open};
use lockstore_tests::storage::Storage;

#[test]
fn no_document_is_lost_when_the_power_is_lost_at_any_sync() {
    check_every_sync(Storage::Plain);
}

#[test]
fn no_document_is_lost_with_a_journal_when_the_power_is_lost_at_any_sync() {
    check_every_sync(Storage::Journalled);
}

fn check_every_sync(storage: Storage) {
    let script = DocumentScript::new(&ManualClock::new());
    let cuts: u64 = thread::scope(|scope| {
        let half = |first| {
            let script = &script;
            scope.spawn(move || cut_every_second_sync(storage, script, first))
        };
        [half(1), half(2)].map(|half| half.join().expect("see above")).iter().sum()
    });
    eprintln!("{cuts} syncs cut");
    assert!(cuts > 40, "the script has only {cuts} syncs");
}

/// Returns the number of syncs that were cut.
fn cut_every_second_sync(storage: Storage, script: &DocumentScript, first: u64) -> u64 {
    let mut cuts = 0;
    for sync in (first..).step_by(2) {
        let (disk, clock) = (SimDisk::new(), ManualClock::new());
        disk.lose_power_at_sync(sync);
        let progress = play(storage, script, &disk, &clock);
        if !disk.is_off() {
            assert_eq!(progress.steps, script.len(), "{progress:?}");
            break;
        }
        cuts += 1;
        for loss in
            [PowerLoss::nothing_unsynced(), PowerLoss::everything(), PowerLoss::seeded(sync)]
        {
            let crash = format!("power lost at sync {sync}, {loss:?}");
            check(storage, script, &disk.after_power_loss(&loss), &clock, &progress, &crash);
            // And once more while the store is opened or tidies up.
            let again = disk.after_power_loss(&loss);
            again.lose_power_at_sync(1 + sync % 5);
            if let Ok(store) = open(storage, &again, &clock) {
                drop(store);
            }
            let crash = format!("{crash}; and again in opening");
            check(storage, script, &again.after_power_loss(&loss), &clock, &progress, &crash);
        }
    }
    cuts
}

#[test]
fn no_document_is_lost_when_the_disk_is_full_or_broken_at_any_operation() {
    check_every_fault(Storage::Plain);
}

#[test]
fn no_document_is_lost_with_a_journal_when_the_disk_is_full_or_broken_at_any_operation() {
    check_every_fault(Storage::Journalled);
}

fn check_every_fault(storage: Storage) {
    let script = DocumentScript::new(&ManualClock::new());
    let faults: [fn() -> Fault; 4] = [
        Fault::io_error,
        || Fault::io_error().failed_sync(FailedSync::MarkedClean).from_then_on(),
        || Fault::no_space().after_bytes(700),
        || Fault::no_space().failed_sync(FailedSync::Reverted).from_then_on(),
    ];
    let struck: Vec<u64> = thread::scope(|scope| {
        let halves = faults.chunks(2).map(|half| {
            let script = &script;
            scope.spawn(move || half.iter().map(|fault| strike(storage, script, *fault)).sum())
        });
        let halves: Vec<_> = halves.collect();
        halves.into_iter().map(|half| half.join().expect("see above")).collect()
    });
    eprintln!("{struck:?} operations failed");
}

/// Strikes operations all over the script, and returns how many.
fn strike(storage: Storage, script: &DocumentScript, fault: fn() -> Fault) -> u64 {
    let mut struck = 0;
    for op in [DiskOp::Read, DiskOp::Write, DiskOp::Sync, DiskOp::SetLen, DiskOp::Name] {
        let mut nth = 1;
        loop {
            let (disk, clock) = (SimDisk::new(), ManualClock::new());
            let fault = fault().on(op).nth(nth);
            let struck_by = format!("{fault:?}");
            disk.inject(fault);
            let progress = play(storage, script, &disk, &clock);
            if disk.counts().of(op) < nth {
                assert_eq!(progress.steps, script.len(), "{progress:?}");
                break;
            }
            struck += 1;
            disk.clear_faults();
            check(storage, script, &disk.after_kill(), &clock, &progress, &struck_by);
            let loss = disk.after_power_loss(&PowerLoss::seeded(nth));
            check(storage, script, &loss, &clock, &progress, &struck_by);
            nth += 1 + nth / 4;
        }
    }
    struck
}

/// Plays the script on a disk that may fail. What was not even opened has done nothing.
fn play(
    storage: Storage,
    script: &DocumentScript,
    disk: &SimDisk,
    clock: &ManualClock,
) -> Progress {
    match open(storage, disk, clock) {
        Ok(store) => script.play(&store, clock),
        Err(error) => Progress { steps: 0, error: Some(error.to_string()) },
    }
}

fn check(
    storage: Storage,
    script: &DocumentScript,
    disk: &SimDisk,
    clock: &ManualClock,
    progress: &Progress,
    crash: &str,
) {
    // A clock of its own: what is checked lets time pass.
    let clock = ManualClock::starting_at(clock.now(), clock.wall());
    if progress.steps.is_multiple_of(2) {
        clock.reboot(Duration::from_secs(3));
    }
    let store = open(storage, disk, &clock).unwrap_or_else(|error| panic!("{crash}: {error}"));
    script.check(&store, &clock, progress, crash);
    store.close().unwrap_or_else(|error| panic!("{crash}: {error}"));
}
