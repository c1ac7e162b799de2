//! The power is lost at every sync of a script of transactions over several collections and named locks: each of them is there as
//! a whole or not at all.

use std::sync::Arc;

use bson::{Document, doc};
use lockstore::{Collection, DocumentError, IndexModel, LockGuard, Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{DiskOp, FailedSync, Fault, PowerLoss, SimDisk};
use lockstore_tests::storage::Storage;

/// All that a store holds: the documents of each collection, and who holds which lock.
#[derive(Clone, Debug, PartialEq)]
struct Content {
    collections: Vec<(String, Vec<Document>)>,
    locks: Vec<(String, String)>,
}

impl Content {
    fn of(store: &Store) -> Self {
        let test = store.database("test");
        let collections = test.collection_names().unwrap().into_iter().map(|name| {
            let found = test.collection::<Document>(&name).find(doc! {}).run().unwrap();
            (name, found.map(Result::unwrap).collect())
        });
        let locks =
            store.list("", None, 100).unwrap().into_iter().map(|lock| {
                (lock.key.as_str().to_owned(), lock.holders[0].holder.as_str().to_owned())
            });
        Self { collections: collections.collect(), locks: locks.collect() }
    }
}

/// Makes a step of the script: every second one commits a transaction. The guard of the lock of the step goes to the next.
fn step(store: &Store, step: i32, guard: Option<&LockGuard>) -> Result<LockGuard, DocumentError> {
    let lock = store.transaction(|tx| {
        let collection = |name: &str| -> Collection { tx.collection("test", name) };
        let accounts = collection("accounts");
        accounts.update_one(doc! { "_id": step % 3 }, doc! { "$inc": { "has": -step } }).run()?;
        accounts
            .update_one(doc! { "_id": (step + 1) % 3 }, doc! { "$inc": { "has": step } })
            .run()?;
        // A unique key that passes from one document to another.
        accounts.update_one(doc! { "turn": "mine" }, doc! { "$unset": { "turn": "" } }).run()?;
        accounts.update_one(doc! { "_id": step % 3 }, doc! { "$set": { "turn": "mine" } }).run()?;
        collection("journal").insert_one(doc! { "_id": step, "text": "x".repeat(2_000) })?;
        collection(&format!("made by {step}")).insert_one(doc! { "_id": 1 })?;
        collection("journal").delete_many(doc! { "_id": { "$lt": step - 3 } }).run()?;
        if let Some(guard) = guard {
            tx.require(guard.fence())?;
            tx.release(guard)?;
        }
        tx.lock(&format!("step {step}")).holder("script").acquire()
    })?;
    Ok(lock.guard().expect("the transaction is committed"))
}

/// How many steps were answered; the first content is that before any.
fn play(store: &Store, mut done: impl FnMut(&Store)) -> Result<(), DocumentError> {
    let accounts = store.database("test").collection::<Document>("accounts");
    accounts.create_index(IndexModel::new(doc! { "turn": 1 }).unique(true).sparse(true))?;
    accounts.insert_many((0..3).map(|id| doc! { "_id": id, "has": 100 })).run()?;
    done(store);
    let mut guard = None;
    for number in 0..STEPS {
        guard = Some(step(store, number, guard.as_ref())?);
        done(store);
    }
    // Its lock stays, as it does when the program ends.
    drop(guard.map(LockGuard::leak));
    Ok(())
}

fn open(storage: Storage, disk: &SimDisk) -> Result<Store, lockstore::OpenError> {
    let options = StoreOptions::new().clock(Arc::new(ManualClock::new())).cache_bytes(1 << 20);
    storage.open(options, disk)
}

/// What a healthy store holds after each step.
fn contents() -> Vec<Content> {
    let store = open(Storage::Plain, &SimDisk::new()).unwrap();
    let mut contents = Vec::new();
    play(&store, |store| contents.push(Content::of(store))).unwrap();
    contents
}

/// Plays the script on a disk that may fail, and answers how many contents were reached.
fn play_on(storage: Storage, disk: &SimDisk) -> usize {
    let mut reached = 0;
    if let Ok(store) = open(storage, disk) {
        // It fails where the disk does.
        drop(play(&store, |_| reached += 1));
    }
    reached
}

#[track_caller]
fn check(storage: Storage, disk: &SimDisk, reached: usize, contents: &[Content], crash: &str) {
    let store = open(storage, disk).unwrap_or_else(|error| panic!("{crash}: {error}"));
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{crash}: {:?}", report.problems);
    let found = Content::of(&store);
    let first = reached.saturating_sub(1);
    let allowed = &contents[first..contents.len().min(reached + 1)];
    // Before the first content there are steps that are no transactions.
    let is_allowed = allowed.contains(&found) || (reached == 0 && found.locks.is_empty());
    assert!(is_allowed, "{crash}: after {reached} steps: {found:#?}");
    // It serves, and the next transaction finds nothing half done.
    let next = step(&store, 1_000, None).unwrap_or_else(|error| panic!("{crash}: {error}"));
    drop(next);
    let sum: i32 = found
        .collections
        .iter()
        .filter(|(name, _)| name == "accounts")
        .flat_map(|(_, accounts)| accounts)
        .map(|account| account.get_i32("has").unwrap())
        .sum();
    assert!(sum == 300 || reached == 0, "{crash}: the sum is {sum}");
}

#[test]
fn a_transaction_is_there_as_a_whole_or_not_at_all_when_the_power_is_lost_at_any_sync() {
    Storage::ALL.into_iter().for_each(check_every_sync);
}

fn check_every_sync(storage: Storage) {
    let contents = contents();
    let mut cuts = 0;
    for sync in 1.. {
        let disk = SimDisk::new();
        disk.lose_power_at_sync(sync);
        let reached = play_on(storage, &disk);
        if !disk.is_off() {
            assert_eq!(reached, contents.len());
            break;
        }
        cuts += 1;
        for loss in
            [PowerLoss::nothing_unsynced(), PowerLoss::everything(), PowerLoss::seeded(sync)]
        {
            let crash = format!("power lost at sync {sync}, {loss:?}");
            check(storage, &disk.after_power_loss(&loss), reached, &contents, &crash);
        }
    }
    eprintln!("{cuts} syncs cut");
    assert!(cuts > STEPS, "the script has only {cuts} syncs");
}

#[test]
fn a_transaction_is_there_as_a_whole_or_not_at_all_when_the_disk_fails_at_any_operation() {
    Storage::ALL.into_iter().for_each(check_every_fault);
}

fn check_every_fault(storage: Storage) {
    let contents = contents();
    let mut struck = 0;
    let faults: [fn() -> Fault; 2] = [
        || Fault::io_error().failed_sync(FailedSync::MarkedClean).from_then_on(),
        || Fault::no_space().failed_sync(FailedSync::Reverted).from_then_on(),
    ];
    for fault in faults {
        for op in [DiskOp::Write, DiskOp::Sync] {
            let mut nth = 1;
            loop {
                let disk = SimDisk::new();
                disk.inject(fault().on(op).nth(nth));
                let reached = play_on(storage, &disk);
                if disk.counts().of(op) < nth {
                    assert_eq!(reached, contents.len());
                    break;
                }
                struck += 1;
                disk.clear_faults();
                let crash = format!("{op:?} {nth} failed");
                check(storage, &disk.after_kill(), reached, &contents, &crash);
                check(
                    storage,
                    &disk.after_power_loss(&PowerLoss::seeded(nth)),
                    reached,
                    &contents,
                    &crash,
                );
                nth += 1 + nth / 6;
            }
        }
    }
    eprintln!("{struck} operations failed");
    assert!(struck > 20, "only {struck} operations failed");
}

const STEPS: i32 = 12;
