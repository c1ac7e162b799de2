//! Documents on a disk that fails, loses power or is slow, and beside locks.

use std::sync::Arc;

use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use lockstore::{Database, EventKind, Store, Subscription};
use lockstore_testkit::disk::{DiskOp, Fault, PowerLoss};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};

fn run(database: &Database, command: &RawDocumentBuf) -> Result<RawDocumentBuf, RawDocumentBuf> {
    let reply = database.run_command(command);
    let is_ok = reply.get_f64("ok").unwrap() > 0.0 && reply.get("writeErrors").unwrap().is_none();
    if is_ok { Ok(reply) } else { Err(reply) }
}

fn insert(
    database: &Database,
    ids: std::ops::Range<i32>,
) -> Result<RawDocumentBuf, RawDocumentBuf> {
    let documents = ids.map(|id| rawdoc! { "_id": id, "a": -id, "tags": [id % 3, id % 7] });
    let documents: RawArrayBuf = documents.collect();
    run(database, &rawdoc! { "insert": "jobs", "documents": documents })
}

fn count(database: &Database) -> i32 {
    let reply = run(database, &rawdoc! { "count": "jobs" }).unwrap();
    reply.get_i32("n").unwrap()
}

fn create_index(database: &Database, field: &str) -> Result<RawDocumentBuf, RawDocumentBuf> {
    let mut key = rawdoc! {};
    key.append(<&bson::raw::CStr>::try_from(field).unwrap(), 1);
    let indexes = [rawdoc! { "key": key, "name": field }];
    let indexes: RawArrayBuf = indexes.into_iter().collect();
    run(database, &rawdoc! { "createIndexes": "jobs", "indexes": indexes })
}

#[track_caller]
fn assert_sound(store: &Store) {
    let report = store.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// A commit that fails stops documents too, reads included; what was answered is there after the next opening.
#[test]
fn a_commit_that_fails_stops_documents_too() {
    for fault in [Fault::io_error().on(DiskOp::Sync), Fault::no_space().on(DiskOp::Write)] {
        let machine = Machine::new();
        let store = machine.open();
        let jobs = store.database("test");
        insert(&jobs, 0..100).unwrap();
        machine.disk.inject(fault);
        insert(&jobs, 100..101).unwrap_err();
        run(&jobs, &rawdoc! { "find": "jobs" }).unwrap_err();
        create_index(&jobs, "a").unwrap_err();
        let machine = machine.after_kill();
        drop(store);
        let store = machine.open();
        let found = count(&store.database("test"));
        assert!(found == 100 || found == 101, "{found}");
        assert_sound(&store);
    }
}

/// Power is lost at some step of writing documents, building an index and dropping it. What was answered is there, and every
/// index agrees with its collection.
#[test]
fn indexes_agree_after_power_was_lost_at_any_step() {
    let script = |jobs: &Database, told: &mut Vec<&'static str>| -> Result<(), RawDocumentBuf> {
        insert(jobs, 0..60)?;
        told.push("inserted");
        create_index(jobs, "a")?;
        told.push("built");
        let change = rawdoc! { "q": { "a": { "$lt": -30 } }, "u": { "$set": { "tags": "x" } }, "multi": true };
        let updates: RawArrayBuf = [change].into_iter().collect();
        run(jobs, &rawdoc! { "update": "jobs", "updates": updates })?;
        told.push("updated");
        create_index(jobs, "tags")?;
        let deletion = rawdoc! { "q": { "tags": "x" }, "limit": 0 };
        let deletes: RawArrayBuf = [deletion].into_iter().collect();
        run(jobs, &rawdoc! { "delete": "jobs", "deletes": deletes })?;
        told.push("deleted");
        run(jobs, &rawdoc! { "dropIndexes": "jobs", "index": "a" })?;
        run(jobs, &rawdoc! { "drop": "jobs" })?;
        told.push("dropped");
        Ok(())
    };
    let operations = {
        let machine = Machine::new();
        let store = machine.open();
        let before = machine.disk.counts().total();
        script(&store.database("test"), &mut Vec::new()).unwrap();
        machine.disk.counts().total() - before
    };
    assert!(operations > 50, "{operations}");
    for (round, nth) in (1..operations).step_by(7).enumerate() {
        let machine = Machine::new();
        let store = machine.open();
        machine.disk.lose_power_at_operation(nth);
        let mut told = Vec::new();
        let done = script(&store.database("test"), &mut told);
        let disk = machine.disk.after_power_loss(&PowerLoss::seeded(round as u64));
        drop(store);
        let machine = Machine { disk, ..machine };
        let store = machine.open();
        let jobs = store.database("test");
        let found = count(&jobs);
        // The step that was on its way may have come true as well.
        let expected: &[i32] = match told.last() {
            _ if done.is_ok() => &[0],
            None => &[0, 60],
            Some(&("inserted" | "built")) => &[60],
            Some(&"updated") => &[60, 31],
            Some(_) => &[31, 0],
        };
        assert!(expected.contains(&found), "operation {nth}: {found} documents after {told:?}");
        assert_sound(&store);
        insert(&jobs, 1_000..1_001).unwrap();
    }
}

/// The sequence of the next event of a kind.
fn sequence(events: &Subscription, is_meant: impl Fn(&EventKind) -> bool) -> u64 {
    loop {
        let event = events.recv_timeout(PATIENCE).unwrap();
        if is_meant(&event.kind) {
            return event.sequence;
        }
    }
}

/// Renews a lease behind the first of the many tasks of `write`, and counts the batches that passed before the
/// renewal, and all.
fn batches_before_a_renewal(
    filled: std::ops::Range<i32>,
    write: impl FnOnce(&Database) -> Result<RawDocumentBuf, RawDocumentBuf> + Send + 'static,
) -> (u64, u64) {
    let machine = Machine::new();
    let store = machine.open();
    let jobs = store.database("test");
    if !filled.is_empty() {
        insert(&jobs, filled).unwrap();
    }
    let events = store.subscribe("").unwrap();
    let lease = Arc::new(store.lock("lease").ttl(secs(60)).acquire().unwrap());
    let start = sequence(&events, |kind| matches!(kind, EventKind::Granted { .. }));
    let held = machine.disk.hold_syncs();
    let writing = Call::start(move || write(&jobs));
    assert!(held.wait_for_sync(PATIENCE));
    let renewing = Arc::clone(&lease);
    let renewal = Call::start_asleep(move || renewing.renew());
    drop(held);
    renewal.outcome().unwrap();
    writing.outcome().unwrap();
    let renewed = sequence(&events, |kind| matches!(kind, EventKind::Renewed { .. }));
    store.lock("end").acquire().unwrap().release().unwrap();
    let end = sequence(&events, |kind| matches!(kind, EventKind::Granted { .. }));
    assert_sound(&store);
    (renewed - start, end - start)
}

#[test]
fn a_renewal_goes_before_the_rest_of_a_long_insertion() {
    let (before, all) = batches_before_a_renewal(0..0, |jobs| insert(jobs, 0..5_000));
    assert!(before <= 2 && all >= 20, "{before} of {all}");
}

#[test]
fn a_renewal_goes_before_the_rest_of_an_index_build() {
    let (before, all) = batches_before_a_renewal(0..5_000, |jobs| create_index(jobs, "tags"));
    assert!(before <= 2 && all >= 10, "{before} of {all}");
}

#[test]
fn a_renewal_goes_before_the_rest_of_a_long_deletion() {
    let (before, all) = batches_before_a_renewal(0..5_000, |jobs| {
        let deletes: RawArrayBuf = [rawdoc! { "q": {}, "limit": 0 }].into_iter().collect();
        run(jobs, &rawdoc! { "delete": "jobs", "deletes": deletes })
    });
    assert!(before <= 2 && all >= 20, "{before} of {all}");
}

/// What was dropped is cleared away when nobody asks for anything, and asking waits for one step of it at most.
#[test]
fn what_was_dropped_is_cleared_away_in_the_background() {
    let machine = Machine::new();
    let store = machine.open();
    let jobs = store.database("test");
    insert(&jobs, 0..5_000).unwrap();
    create_index(&jobs, "tags").unwrap();
    run(&jobs, &rawdoc! { "drop": "jobs" }).unwrap();
    insert(&jobs, 0..10).unwrap();
    eventually("all is cleared away", || store.stats().unwrap().documents == 10);
    assert_sound(&store);
    let stats = store.stats().unwrap();
    assert_eq!((stats.collections, stats.indexes, stats.index_entries), (1, 1, 10));
}
