//! Primaries that are killed while documents are written.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use lockstore::{Collection, DocumentError, ErrorCode, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// The replica set, for one test at a time.
fn alone() -> (&'static ReplicaSet, MutexGuard<'static, ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let set = ReplicaSet::shared();
    set.wait_until_whole().unwrap();
    (set, alone)
}

fn connect(set: &ReplicaSet) -> Store {
    ReplicaSetOptions::new().database(new_database()).connect(&set.uri()).unwrap()
}

/// Work that goes on until this is dropped.
struct Working<'w> {
    is_over: &'w AtomicBool,
    progress: &'w AtomicU64,
}

impl Working<'_> {
    /// Kills the primary, starts it again, and so on, each time after the work has gone on for a while.
    fn kill_primaries(&self, set: &ReplicaSet, times: usize) {
        for _ in 0..times {
            self.go_on();
            let primary = set.primary().unwrap();
            set.kill(primary).unwrap();
            self.go_on();
            set.restart(primary).unwrap();
        }
    }

    fn go_on(&self) {
        let (start, before) = (Instant::now(), self.progress.load(Ordering::SeqCst));
        while self.progress.load(Ordering::SeqCst) < before + 20 {
            assert!(start.elapsed() < PATIENCE, "nothing goes on any more");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// How long all work may stand still.
const PATIENCE: Duration = Duration::from_secs(100);

#[test]
fn what_was_acknowledged_is_there_once_whichever_primary_was_killed() {
    let (set, _alone) = alone();
    let (store, database) = (connect(set), new_database());
    let jobs: Collection = store.database(&database).collection("jobs");
    let counters: Collection = store.database(&database).collection("counters");
    let (is_over, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    let done: Vec<(BTreeSet<i64>, i64)> = thread::scope(|scope| {
        let work = |worker: i64| {
            let (mut inserted, mut counted) = (BTreeSet::new(), 0);
            for turn in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    return (inserted, counted);
                }
                let id = worker * 1_000_000 + turn;
                jobs.insert_one(doc! { "_id": id }).unwrap();
                inserted.insert(id);
                let add = doc! { "$inc": { "n": 1_i64 } };
                counters.update_one(doc! { "_id": worker }, add).upsert(true).run().unwrap();
                counted += 1;
                progress.fetch_add(1, Ordering::SeqCst);
                // What this process was told it sees, also on the next primary.
                assert!(jobs.find_one(doc! { "_id": id }).run().unwrap().is_some());
            }
            unreachable!("it ends when it is told")
        };
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || work(worker))).collect();
        let working = Working { is_over: &is_over, progress: &progress };
        working.kill_primaries(set, 3);
        drop(working);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let expected: BTreeSet<i64> =
        done.iter().flat_map(|(inserted, _)| inserted.iter().copied()).collect();
    let found = jobs.find(doc! {}).run().unwrap();
    let found: BTreeSet<i64> = found.map(|job| job.unwrap().get_i64("_id").unwrap()).collect();
    assert_eq!(found, expected);
    for (worker, (_, counted)) in (0_i64..).zip(done) {
        let counter: Document = counters.find_one(doc! { "_id": worker }).run().unwrap().unwrap();
        assert_eq!(
            counter.get_i64("n").unwrap(),
            counted,
            "no update is lost, and none is done twice"
        );
    }
}

#[test]
fn transactions_go_on_with_the_next_primary() {
    let (set, _alone) = alone();
    let store = connect(set);
    let accounts: Collection = store.database("bank").collection("accounts");
    accounts
        .insert_many([doc! { "_id": "a", "has": 0_i64 }, doc! { "_id": "b", "has": 0_i64 }])
        .run()
        .unwrap();
    let (is_over, progress) = (AtomicBool::new(false), AtomicU64::new(0));
    let moved = thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut moved = 0_i64;
            while !is_over.load(Ordering::SeqCst) {
                let done = store.transaction(|tx| {
                    let accounts = accounts.in_transaction(tx);
                    accounts
                        .update_one(doc! { "_id": "a" }, doc! { "$inc": { "has": -1_i64 } })
                        .run()?;
                    accounts
                        .update_one(doc! { "_id": "b" }, doc! { "$inc": { "has": 1_i64 } })
                        .run()
                        .map(drop)
                });
                done.unwrap();
                moved += 1;
                progress.fetch_add(1, Ordering::SeqCst);
            }
            moved
        });
        let working = Working { is_over: &is_over, progress: &progress };
        working.kill_primaries(set, 2);
        drop(working);
        worker.join().unwrap()
    });
    let has = |id: &str| {
        let account = accounts.find_one(doc! { "_id": id }).run().unwrap().unwrap();
        account.get_i64("has").unwrap()
    };
    assert_eq!((has("a"), has("b")), (-moved, moved));
}

#[test]
fn a_cursor_whose_primary_was_killed_is_not_found() {
    let (set, _alone) = alone();
    let (store, database) = (connect(set), new_database());
    let jobs: Collection = store.database(&database).collection("jobs");
    jobs.insert_many((0..100).map(|id| doc! { "_id": id })).run().unwrap();
    let mut found = jobs.find(doc! {}).batch_size(10).run().unwrap();
    found.next().unwrap().unwrap();
    let killed = set.primary().unwrap();
    set.kill(killed).unwrap();
    let error = found.find_map(Result::err).unwrap();
    let DocumentError::Refused(error) = error else { panic!("{error:?}") };
    assert_eq!(error.code(), ErrorCode::CURSOR_NOT_FOUND);
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 100);
    set.restart(killed).unwrap();
}
