//! Leases live on while another thread inserts many documents, scans them, changes them all, builds an index and drops it,
//! and while updates run that are much work for each document.
//!
//! `LOCKSTORE_RENEWALS_DOCUMENTS` says how many documents, where [`DOCUMENTS`] are too few.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Database, Store};

/// How long one lease lasts.
const TTL: Duration = Duration::from_secs(2);

/// How many leases are kept alive.
const LEASES: u64 = 4;

/// How many documents the collection has.
const DOCUMENTS: i32 = 100_000;

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
        let acquire = || {
            let guard = self.store.lock(&format!("lease/{number}")).ttl(TTL).try_acquire();
            guard.expect("nobody else wants it")
        };
        let mut guard = acquire();
        while !self.stop.load(Ordering::Relaxed) {
            // A machine that did not let this thread run for so long says nothing of the store.
            let in_time = !guard.is_lost();
            match guard.renew() {
                Ok(()) => drop(self.renewals.fetch_add(1, Ordering::Relaxed)),
                Err(error) if in_time => panic!("it is renewed in time, and lost: {error}"),
                Err(_) => guard = acquire(),
            }
            thread::sleep(TTL / 10);
        }
        guard.release().expect("it was held all the time");
    }

    /// Does `work`, again until leases were renewed meanwhile.
    fn during(&self, name: &str, mut work: impl FnMut()) {
        let before = self.renewals.load(Ordering::Relaxed);
        loop {
            work();
            let renewals = self.renewals.load(Ordering::Relaxed) - before;
            if renewals > 0 {
                eprintln!("{name}: {renewals} renewals");
                return;
            }
        }
    }
}

/// Keeps leases while `work` is done; none may be lost.
fn keeping_leases(store: &Store, work: impl FnOnce(&Keeper<'_>)) {
    let keeper = Keeper { store, stop: AtomicBool::new(false), renewals: AtomicU64::new(0) };
    thread::scope(|scope| {
        let keep = |number| {
            let keeper = &keeper;
            scope.spawn(move || keeper.keep(number))
        };
        let keepers: Vec<_> = (0..LEASES).map(keep).collect();
        // Whatever fails here, the keepers end.
        let stop = StopOnDrop(&keeper.stop);
        work(&keeper);
        drop(stop);
        for keeper in keepers {
            keeper.join().expect("no lease is lost");
        }
    });
    let report = store.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

#[test]
fn leases_live_while_a_large_collection_is_written_scanned_and_indexed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let database = store.database("test");
    let wanted = std::env::var("LOCKSTORE_RENEWALS_DOCUMENTS");
    let wanted = wanted.map_or(DOCUMENTS, |wanted| wanted.parse().expect("a number of documents"));
    let mut documents = 0;
    keeping_leases(&store, |keeper| {
        keeper.during("inserting", || {
            while documents < wanted {
                insert(&database, documents);
                documents += INSERTED_AT_ONCE;
            }
        });
        keeper.during("scanning", || scan(&database));
        keeper.during("updating", || {
            let all = rawdoc! { "q": {}, "u": { "$inc": { "n": 1 } }, "multi": true };
            assert_eq!(update(&database, all), (documents, documents));
        });
        keeper.during("building and dropping", || {
            let index = rawdoc! { "key": { "kind": 1, "n": -1 }, "name": "kind" };
            let indexes: RawArrayBuf = [index].into_iter().collect();
            run(&database, &rawdoc! { "createIndexes": "events", "indexes": indexes });
            run(&database, &rawdoc! { "dropIndexes": "events", "index": "*" });
        });
        keeper.during("deleting", || {
            let half: RawArrayBuf =
                [rawdoc! { "q": { "n": { "$lt": documents / 2 } }, "limit": 0 }]
                    .into_iter()
                    .collect();
            run(&database, &rawdoc! { "delete": "events", "deletes": half });
        });
        keeper.during("dropping", || {
            run(&database, &rawdoc! { "drop": "events" });
            insert(&database, 0);
        });
    });
}

/// All of these together take longer than a lease lives, and each document is a small part of that. Others change the same
/// documents meanwhile, so that what was found has to be looked at again.
#[test]
fn leases_live_while_updates_are_much_work_for_each_document() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store.redb")).unwrap();
    let database = store.database("test");
    let dear = || rawdoc! { "$regex": "(a+)+$" };
    let text = format!("{}b", "a".repeat(17));
    let jobs: RawArrayBuf = (0..DEAR)
        .map(|n| rawdoc! { "_id": n, "n": 0, "other": 0, "text": &*text, "tags": [&*text] })
        .collect();
    run(&database, &rawdoc! { "insert": "events", "documents": jobs });
    keeping_leases(&store, |keeper| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in (0..DEAR).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let one = rawdoc! { "q": { "_id": number }, "u": { "$inc": { "other": 1 } } };
                    assert_eq!(update(&database, one), (1, 1));
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let stop = StopOnDrop(&stop);
            keeper.during("updating by a filter that is much work", || {
                let query = rawdoc! { "text": { "$not": dear() } };
                let all = rawdoc! { "q": query, "u": { "$inc": { "n": 1 } }, "multi": true };
                assert_eq!(update(&database, all), (DEAR, DEAR));
            });
            keeper.during("updates that are much work", || {
                let all = rawdoc! { "q": {}, "u": { "$pull": { "tags": dear() } }, "multi": true };
                assert_eq!(update(&database, all), (DEAR, 0));
            });
            drop(stop);
        });
    });
}

/// How many documents are much work.
const DEAR: i32 = 120;

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

/// Runs one update, and gives how many documents matched and were changed.
fn update(database: &Database, update: RawDocumentBuf) -> (i32, i32) {
    let updates: RawArrayBuf = [update].into_iter().collect();
    let reply = run(database, &rawdoc! { "update": "events", "updates": updates });
    (reply.get_i32("n").unwrap(), reply.get_i32("nModified").unwrap())
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
