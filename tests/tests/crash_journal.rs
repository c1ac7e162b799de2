//! The power is lost, or the disk fails, at every operation of a journal's life: while it is made, appended to, begun anew,
//! replayed and removed. What was answered is there afterwards, and each commit as a whole or not at all.

use std::sync::Arc;
use std::time::Duration;

use bson::{Document, doc};
use lockstore::{
    AcquireError, JournalError, LockGuard, OpenError, Store, StoreError, StoreOptions,
};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{DiskOp, Fault, PowerLoss, SimDisk, Tearing};
use lockstore_tests::dice::{Dice, seed};
use lockstore_tests::journal_bytes::journal_bytes;
use lockstore_tests::patience::eventually;
use lockstore_tests::storage::Storage;

fn open(disk: &SimDisk) -> Result<Store, OpenError> {
    open_at(disk, &ManualClock::new())
}

fn open_at(disk: &SimDisk, clock: &ManualClock) -> Result<Store, OpenError> {
    let options = StoreOptions::new().clock(Arc::new(clock.clone())).cache_bytes(1 << 20);
    Storage::Journalled.open(options, disk)
}

/// Takes locks one after the other, and documents two at a time, until something fails. Answers how many commits were answered.
fn work(store: &Store) -> usize {
    let jobs = store.database("test").collection::<Document>("jobs");
    for commit in 0..COMMITS {
        let done = if commit % 4 == 3 {
            let pair = [doc! { "_id": key(commit) }, doc! { "of": key(commit) }];
            jobs.insert_many(pair).run().is_ok()
        } else {
            store.lock(&key(commit)).holder("h").try_acquire().map(LockGuard::leak).is_ok()
        };
        if !done {
            return commit;
        }
    }
    COMMITS
}

fn key(commit: usize) -> String {
    format!("commit {commit}")
}

/// How many commits of [`work`] a store has: the first so many, each as a whole.
#[track_caller]
fn found(store: &Store, crash: &str) -> usize {
    let jobs = store.database("test").collection::<Document>("jobs");
    let has = |commit: usize| {
        if commit % 4 != 3 {
            return store.is_locked(&key(commit)).unwrap();
        }
        let either = doc! { "$or": [{ "_id": key(commit) }, { "of": key(commit) }] };
        let found = jobs.count_documents(either).run().unwrap();
        assert!(found == 0 || found == 2, "{crash}: half of commit {commit} is there");
        found == 2
    };
    let first = (0..COMMITS).take_while(|commit| has(*commit)).count();
    let behind = (first..COMMITS).find(|commit| has(*commit));
    assert_eq!(behind, None, "{crash}: commit {first} is missing");
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{crash}: {:?}", report.problems);
    first
}

/// Opens what a crash has left, where `answered` commits were answered and one more may have been on its way.
fn check(disk: &SimDisk, answered: usize, crash: &str) {
    let store = open(disk).unwrap_or_else(|error| panic!("{crash}: {error}"));
    let found = found(&store, crash);
    assert!((answered..=answered + 1).contains(&found), "{crash}: {found} of {answered} commits");
    store.close().unwrap_or_else(|error| panic!("{crash}: {error}"));
    assert_eq!(disk.journal_contents(), None, "{crash}: a journal stays");
}

#[test]
fn no_commit_is_lost_when_the_power_is_lost_at_any_operation() {
    let (mut cuts, mut again) = (0, 0);
    for operation in 1.. {
        let disk = SimDisk::new();
        disk.lose_power_at_operation(operation);
        let answered = open(&disk).map_or(0, |store| work(&store));
        if !disk.is_off() {
            assert_eq!(answered, COMMITS);
            break;
        }
        cuts += 1;
        let seeded = PowerLoss::seeded(operation);
        for loss in [PowerLoss::nothing_unsynced(), PowerLoss::everything(), seeded] {
            let crash = format!("power lost at operation {operation}, {loss:?}");
            let left = disk.after_power_loss(&loss);
            if left.journal_contents().is_some() && operation % 9 == 0 {
                again += check_every_recovery(&left, answered, &crash);
            }
            check(&left, answered, &crash);
        }
    }
    eprintln!("{cuts} operations cut, and {again} in recovery");
    assert!(cuts > 100 && again > 500, "only {cuts} and {again} cuts");
}

/// Loses the power once more at each operation of the opening that replays the journal.
fn check_every_recovery(left: &SimDisk, answered: usize, crash: &str) -> usize {
    let mut cuts = 0;
    for operation in 1.. {
        let again = left.after_kill();
        again.lose_power_at_operation(operation);
        let opened = open(&again);
        if !again.is_off() {
            return cuts;
        }
        drop(opened);
        cuts += 1;
        let loss = PowerLoss::seeded(operation);
        let crash = format!("{crash}; and again in opening, at operation {operation}");
        check(&again.after_power_loss(&loss), answered, &crash);
    }
    cuts
}

#[test]
fn no_commit_is_lost_when_the_disk_fails_at_any_operation() {
    for op in [DiskOp::Write, DiskOp::Sync, DiskOp::Name, DiskOp::SetLen] {
        for nth in 1.. {
            let disk = SimDisk::new();
            disk.inject(Fault::no_space().after_bytes(700).on(op).nth(nth).from_then_on());
            let answered = open(&disk).map_or(0, |store| work(&store));
            if disk.counts().of(op) < nth {
                break;
            }
            disk.clear_faults();
            let crash = format!("no space from {op:?} {nth} on");
            check(&disk.after_kill(), answered, &crash);
            check(&disk.after_power_loss(&PowerLoss::seeded(nth)), answered, &crash);
        }
    }
}

/// Each way in which the sectors of a record can reach the medium or not, one by one.
#[test]
fn a_record_is_whole_or_not_there_whichever_of_its_sectors_survive() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let before = work(&store);
    assert_eq!(before, COMMITS);
    disk.lose_power_at_sync(1);
    let long = "x".repeat(700);
    store.lock(&long).holder(&long).try_acquire().unwrap_err();
    let mut sectors = 0;
    let _ = disk.after_power_loss_choosing(|_| {
        sectors += 1;
        0
    });
    assert!((2..=16).contains(&sectors), "{sectors} sectors are on their way");
    for survivors in 0..1_u32 << sectors {
        let mut nth = 0;
        let after = disk.after_power_loss_choosing(|_| {
            nth += 1;
            usize::from(survivors & (1 << (nth - 1)) != 0)
        });
        let store = open(&after).unwrap();
        assert!(store.is_locked(&key(0)).unwrap());
        assert!(!store.is_locked(&long).unwrap() || survivors.count_ones() > 2, "{survivors:b}");
    }
    let store = open(&disk.after_power_loss(&PowerLoss::everything())).unwrap();
    assert!(store.is_locked(&long).unwrap());
}

/// Even sectors that hold what nobody wrote do no harm in a journal: nothing that was answered shares a block with them.
#[test]
fn garbage_in_the_sectors_of_a_record_is_no_record() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    work(&store);
    disk.lose_power_at_sync(1);
    store.lock("last").try_acquire().unwrap_err();
    for seed in 0..2_000 {
        let loss = PowerLoss::seeded(seed).tearing(Tearing::Garbage);
        let store = open(&disk.after_power_loss(&loss)).unwrap();
        assert!(store.is_locked(&key(COMMITS - 2)).unwrap(), "seed {seed}");
    }
}

#[test]
fn a_store_whose_journal_cannot_be_written_stops_and_reopens_with_the_truth() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    store.lock("a").holder("h").try_acquire().unwrap().leak();
    store.lock("b").holder("h").try_acquire().unwrap().leak();
    disk.inject(Fault::no_space().after_bytes(40).on(DiskOp::Write));
    let error = store.lock("c").holder("h").try_acquire().unwrap_err();
    assert!(matches!(error, AcquireError::Store(StoreError::Poisoned { .. })), "{error}");
    assert!(error.to_string().contains("commit to the journal of the store's file"), "{error}");
    drop(store);
    let store = open(&disk).unwrap();
    let held = |key| store.is_locked(key).unwrap();
    assert_eq!((held("a"), held("b"), held("c")), (true, true, false));
}

#[test]
fn a_store_that_has_nothing_to_do_makes_its_file_complete() {
    let (disk, clock) = (SimDisk::new(), ManualClock::new());
    let store = open_at(&disk, &clock).unwrap();
    for key in ["a", "b", "c"] {
        store.lock(key).holder("h").try_acquire().unwrap().leak();
    }
    // Without its records: "a" made the journal, and "b" and "c" are in it.
    let without_records = || {
        let after = disk.after_power_loss(&PowerLoss::nothing_unsynced());
        after.damage_journal(4096, &vec![0; 60 << 10]);
        open(&after).unwrap()
    };
    assert!(!without_records().is_locked("b").unwrap());
    clock.advance(Duration::from_secs(5));
    eventually("a checkpoint is made", || without_records().is_locked("c").unwrap());
    // It is not made again and again.
    let syncs = disk.counts().syncs;
    clock.advance(Duration::from_secs(50));
    assert!(store.is_locked("a").unwrap());
    store.close().unwrap();
    assert!(disk.counts().syncs < syncs + 10);
}

#[test]
fn a_store_needs_the_place_of_its_journal_until_it_was_closed() {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    work(&store);
    let killed = disk.after_kill();
    let error = StoreOptions::new().open_backend(killed.backend()).unwrap_err();
    let missing = |error| matches!(error, OpenError::Journal { source: JournalError::Missing, .. });
    assert!(missing(error));
    assert!(missing(open(&killed.with_journal(None)).unwrap_err()));
    store.close().unwrap();
    StoreOptions::new().open_backend(disk.backend()).unwrap();
}

/// More than fit into the journal at once, so that it begins anew in between.
const COMMITS: usize = 24;

/// A quick look at what the fuzzer looks at for long.
#[test]
fn a_journal_that_is_anything_is_refused_or_replayed_up_to_some_commit() {
    let seed = seed(7);
    let mut dice = Dice::new(seed);
    for _ in 0..1_500 {
        let bytes: Vec<u8> = (0..dice.below(200)).map(|_| dice.roll().to_le_bytes()[0]).collect();
        journal_bytes(&bytes);
    }
}
