//! Primaries that are killed and stopped while locks are acquired, handed on and released.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bson::doc;
use lockstore::{AcquireError, Collection, Store, Token};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// A grant as its holder saw it.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: Token,
    from: Instant,
    /// Until when the holder relied on it.
    until: Instant,
}

/// What the workers share.
struct Arena {
    is_over: AtomicBool,
    progress: AtomicU64,
    set: ReplicaSet,
    locks: String,
    documents: String,
}

impl Arena {
    fn store(&self) -> Store {
        let options = ReplicaSetOptions::new().database(&self.locks).patience(PATIENCE);
        options.connect(&self.set.uri()).unwrap()
    }

    fn witness(&self, store: &Store) -> Collection {
        store.database(&self.documents).collection("witness")
    }

    /// Waits until the work has gone on for a while.
    fn go_on(&self) {
        let (start, before) = (Instant::now(), self.progress.load(Ordering::SeqCst));
        while self.progress.load(Ordering::SeqCst) < before + 10 {
            assert!(start.elapsed() < PATIENCE, "nothing goes on any more");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// How long all work may stand still.
const PATIENCE: Duration = Duration::from_secs(100);
const TTL: Duration = Duration::from_secs(3);
const WORKERS: usize = 4;

/// How many primaries are killed, and as many stopped: 3 of each, or as many as `LOCKSTORE_FAILOVERS` says.
fn rounds() -> usize {
    env::var("LOCKSTORE_FAILOVERS").map_or(3, |rounds| rounds.parse().unwrap())
}

/// Each worker is a client of its own. In its grant it adds its token to a document by a guarded write: whoever is not the holder any more is
/// refused, so the tokens in the document rise.
#[test]
fn one_at_a_time_holds_a_lock_whichever_primary_is_killed_or_stopped() {
    let arena = Arena {
        is_over: AtomicBool::new(false),
        progress: AtomicU64::new(0),
        set: ReplicaSet::start().unwrap(),
        locks: new_database(),
        documents: new_database(),
    };
    let first = arena.store();
    arena.witness(&first).insert_one(doc! { "_id": "w", "tokens": [] }).unwrap();
    let mut held: Vec<Held> = thread::scope(|scope| {
        let arena = &arena;
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(move || work(arena))).collect();
        let mut failovers = (0..rounds()).map(|_| {
            || {
                arena.go_on();
                let primary = arena.set.primary().unwrap();
                arena.set.kill(primary).unwrap();
                arena.go_on();
                arena.set.restart(primary).unwrap();
                arena.go_on();
                let primary = arena.set.primary().unwrap();
                arena.set.stop(primary).unwrap();
                arena.go_on();
                arena.set.go_on(primary).unwrap();
                arena.set.wait_until_whole().unwrap();
            }
        });
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            failovers.by_ref().for_each(|failover| failover());
        }));
        arena.is_over.store(true, Ordering::SeqCst);
        let held = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        failed.unwrap();
        held
    });
    held.sort_by_key(|held| held.token);
    for pair in held.windows(2) {
        let [one, next] = pair else { unreachable!("they are pairs") };
        assert!(one.token < next.token, "{one:?} and {next:?} have the same token");
        assert!(one.until <= next.from, "{one:?} and {next:?} overlap");
    }
    let witness = arena.witness(&first).find_one(doc! { "_id": "w" }).run().unwrap().unwrap();
    let tokens: Vec<i64> =
        witness.get_array("tokens").unwrap().iter().map(|token| token.as_i64().unwrap()).collect();
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
    assert!(tokens.len() >= held.len() / 2, "{} of {} were written", tokens.len(), held.len());
}

/// Acquires, writes and releases until it is over. What the grants were, as far as it is known that they were used.
fn work(arena: &Arena) -> Vec<Held> {
    let store = arena.store();
    let witness = arena.witness(&store);
    let mut held = Vec::new();
    while !arena.is_over.load(Ordering::SeqCst) {
        let request = store.lock("contended").ttl(TTL);
        let guard = match request.acquire_timeout(PATIENCE) {
            Ok(guard) => guard,
            // It may have been granted; the lease ends it.
            Err(AcquireError::Store(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        let from = Instant::now();
        let token = i64::try_from(guard.token().get()).unwrap();
        let fenced = witness.fenced_by(guard.fence());
        let push = doc! { "$push": { "tokens": token } };
        let written = fenced.update_one(doc! { "_id": "w" }, push).run();
        // Where the outcome is not known, the token may stand there; it is the holder's own.
        let until = Instant::now();
        let remaining = guard.remaining().unwrap_or_default();
        if written.is_ok() && !remaining.is_zero() {
            held.push(Held { token: guard.token(), from, until });
        }
        // A release that fails leaves the lock to its lease.
        drop(guard.release());
        arena.progress.fetch_add(1, Ordering::SeqCst);
    }
    held
}
