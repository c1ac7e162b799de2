//! Leases live on while another thread scans a large collection, inserts many documents and builds an index.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Database, Store};

/// How long one lease lasts.
const TTL: Duration = Duration::from_secs(2);

/// How many leases are kept alive.
const LEASES: u64 = 4;

/// The collection grows until it has so many documents, or so much time is over.
const DOCUMENTS_MAX: i32 = 1_000_000;
const GROWTH_MAX: Duration = Duration::from_secs(12);

/// Documents of one insertion, which is many tasks of the writer.
const INSERTED_AT_ONCE: i32 = 5_000;

/// Renews leases until it is told to stop.
struct Keeper<'a> {
    store: &'a Store,
    stop: AtomicBool,
    renewals: AtomicU64,
}

impl Keeper<'_> {
    /// Keeps one lease.
    fn keep(&self, number: u64) {
        let guard = self.store.lock(&format!("lease/{number}")).ttl(TTL).try_acquire();
        let guard = guard.expect("nobody else wants it");
        while !self.stop.load(Ordering::Relaxed) {
            guard.renew().expect("a lease that is renewed in time is not lost");
            self.renewals.fetch_add(1, Ordering::Relaxed);
            thread::sleep(TTL / 10);
        }
        guard.release().expect("it was held all the time");
    }

    /// How often leases were renewed while `work` was done; `work` is repeated until they were at all.
    fn renewals_during(&self, mut work: impl FnMut()) -> u64 {
        let before = self.renewals.load(Ordering::Relaxed);
        loop {
            work();
            let renewals = self.renewals.load(Ordering::Relaxed) - before;
            if renewals > 0 {
                return renewals;
            }
        }
    }
}

#[test]
fn leases_live_while_a_large_collection_is_written_scanned_and_indexed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let database = store.database("test");
    let keeper =
        Keeper { store: &store, stop: AtomicBool::new(false), renewals: AtomicU64::new(0) };
    thread::scope(|scope| {
        let keepers: Vec<_> = (0..LEASES)
            .map(|number| {
                scope.spawn({
                    let keeper = &keeper;
                    move || keeper.keep(number)
                })
            })
            .collect();
        // Whatever fails here, the keepers end.
        let stop = StopOnDrop(&keeper.stop);
        let (start, mut documents) = (Instant::now(), 0);
        let inserting = keeper.renewals_during(|| {
            while documents < DOCUMENTS_MAX && start.elapsed() < GROWTH_MAX {
                insert(&database, documents);
                documents += INSERTED_AT_ONCE;
            }
        });
        let scanning = keeper.renewals_during(|| scan(&database));
        let building = keeper.renewals_during(|| {
            run(&database, &rawdoc! { "dropIndexes": "events", "index": "*" });
            let index = rawdoc! { "key": { "kind": 1, "n": -1 }, "name": "kind" };
            let indexes: RawArrayBuf = [index].into_iter().collect();
            run(&database, &rawdoc! { "createIndexes": "events", "indexes": indexes });
        });
        drop(stop);
        for keeper in keepers {
            keeper.join().expect("no lease is lost");
        }
        eprintln!(
            "{documents} documents; renewals: {inserting} inserting, {scanning} scanning, {building} building"
        );
    });
    let report = store.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Tells the keepers to stop, even when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn insert(database: &Database, first: i32) {
    let documents: RawArrayBuf = (first..first + INSERTED_AT_ONCE)
        .map(|n| rawdoc! { "_id": n, "kind": n % 97, "n": n })
        .collect();
    run(database, &rawdoc! { "insert": "events", "documents": documents });
}

fn scan(database: &Database) {
    let reply =
        run(database, &rawdoc! { "find": "events", "filter": { "absent": { "$exists": true } } });
    assert_eq!(reply.get_document("cursor").unwrap().get_i64("id").unwrap(), 0);
}

fn run(database: &Database, command: &RawDocument) -> RawDocumentBuf {
    let reply = database.run_command(command);
    assert_eq!(reply.get_i32("code").ok(), None, "{reply:?}");
    assert!(reply.get("writeErrors").unwrap().is_none(), "{reply:?}");
    reply
}
