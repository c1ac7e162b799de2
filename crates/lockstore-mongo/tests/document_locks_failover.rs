//! Primaries that are killed and stopped while documents are locked, waited for, changed and released.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use lockstore::{Collection, LockDocumentError, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

const DOCUMENTS: i32 = 200;
const THREADS: usize = 8;

/// What the threads know of a document that one of them has.
#[derive(Default)]
struct Seen {
    /// Who is in it: 0 for nobody.
    holder: AtomicUsize,
    /// The highest token so far.
    token: AtomicU64,
    /// How often it was had and given back.
    done: AtomicU64,
}

/// How many primaries are killed, and as many stopped: 2 of each, or as many as `LOCKSTORE_FAILOVERS` says.
fn rounds() -> usize {
    env::var("LOCKSTORE_FAILOVERS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// Each thread is a client of its own. One half takes what was taken least often, the other waits for the same document.
#[test]
fn nobody_shares_a_document_and_no_update_is_lost_or_done_twice_while_primaries_are_killed_and_stopped()
 {
    let set = ReplicaSet::start().unwrap();
    let (locks, documents) = (new_database(), new_database());
    let connect =
        || -> Store { ReplicaSetOptions::new().database(&locks).connect(&set.uri()).unwrap() };
    let jobs_in = |store: &Store| -> Collection { store.database(&documents).collection("jobs") };
    let store = connect();
    let jobs = jobs_in(&store);
    jobs.insert_many((0..DOCUMENTS).map(|id| doc! { "_id": id, "taken": 0_i64, "done": 0_i64 }))
        .run()
        .unwrap();
    let seen: Vec<Seen> = (0..DOCUMENTS).map(|_| Seen::default()).collect();
    let (is_over, all) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 1..=THREADS {
            let (seen, is_over, all) = (&seen, &is_over, &all);
            let store = connect();
            let jobs = jobs_in(&store);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    work(thread, &jobs, seen).unwrap();
                    all.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let killed = std::panic::catch_unwind(|| {
            for _ in 0..rounds() {
                go_on(&all);
                let primary = set.primary().unwrap();
                set.kill(primary).unwrap();
                go_on(&all);
                set.restart(primary).unwrap();
                go_on(&all);
                let primary = set.primary().unwrap();
                set.stop(primary).unwrap();
                go_on(&all);
                set.go_on(primary).unwrap();
                set.wait_until_whole().unwrap();
            }
            go_on(&all);
        });
        is_over.store(true, Ordering::SeqCst);
        killed.unwrap();
    });
    for (id, seen) in (0_i32..).zip(&seen) {
        let job: Document = jobs.find_one(doc! { "_id": id }).run().unwrap().unwrap();
        let done = i64::try_from(seen.done.load(Ordering::SeqCst)).unwrap();
        let counted = (job.get_i64("taken").unwrap(), job.get_i64("done").unwrap());
        assert_eq!(counted, (done, done), "{job:?}");
        assert!(lockstore::get_lock_id(&job).is_none(), "{job:?}");
    }
}

/// Locks the document that was taken least often, or waits for the last one, and gives it back.
fn work(thread: usize, jobs: &Collection, seen: &[Seen]) -> Result<(), LockDocumentError> {
    let asked = if thread.is_multiple_of(2) {
        jobs.lock_document(doc! {}).sort(doc! { "done": 1, "_id": 1 })
    } else {
        let last = doc! { "_id": DOCUMENTS - 1 };
        jobs.lock_document(last).sleep(PATIENCE).max_wait(PATIENCE)
    };
    let mut lock = asked.update(doc! { "$inc": { "taken": 1_i64 } }).acquire()?;
    let Some(job) = lock.locked_document() else { return Ok(()) };
    let seen = &seen[usize::try_from(job.get_i32("_id").unwrap()).unwrap()];
    assert_eq!(seen.holder.swap(thread, Ordering::SeqCst), 0, "two have {job:?}");
    let token = lock.token().unwrap().get();
    assert!(seen.token.swap(token, Ordering::SeqCst) < token, "tokens rise");
    assert_eq!(
        job.get_i64("taken").unwrap().cast_unsigned(),
        seen.done.fetch_add(1, Ordering::SeqCst) + 1
    );
    lock.set_update_on_release(doc! { "$inc": { "done": 1_i64 } }).unwrap();
    assert_eq!(seen.holder.swap(0, Ordering::SeqCst), thread);
    lock.release().unwrap();
    Ok(())
}

/// Waits until the work has gone on for a while.
fn go_on(all: &AtomicU64) {
    let (start, before) = (Instant::now(), all.load(Ordering::SeqCst));
    while all.load(Ordering::SeqCst) < before + 50 {
        assert!(start.elapsed() < PATIENCE, "nothing goes on any more");
        thread::sleep(Duration::from_millis(1));
    }
}

/// How long all work may stand still.
const PATIENCE: Duration = Duration::from_secs(100);
