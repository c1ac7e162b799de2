//! Primaries that are killed and stopped, and clients that are stopped, while locks are acquired, handed on, renewed and released.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "locks_failover/client.rs"]
mod client;
#[path = "locks_failover/told.rs"]
mod told;

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::{Duration, Instant};

use bson::{doc, rawdoc};
use lockstore::{Collection, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::crash::{CrashTest, Ledger, Running, pause};
use lockstore_testkit::history::{History, Operation};
use lockstore_testkit::linearizability::Checker;
use lockstore_testkit::replica_set::{MemberNumber, ReplicaSet, new_database};

use client::Client;
use told::{Answer, Told};

/// How many primaries are killed, as many stopped, and as many clients: 2 of each, or as many as `LOCKSTORE_FAILOVERS` says.
fn rounds() -> usize {
    env::var("LOCKSTORE_FAILOVERS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// The collection in which the holders write their tokens.
fn witness(store: &Store, database: &str) -> Collection {
    store.database(database).collection("witness")
}

/// A client that is stopped while it commits a guarded write has the lock stay as it is until MongoDB ends its transactions: after 60 to 90 s, unless
/// it is told otherwise.
fn end_transactions_soon(set: &ReplicaSet, member: MemberNumber) {
    let command =
        rawdoc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 6, "$db": "admin" };
    let reply = set.run(member, &command).unwrap();
    assert!(matches!(reply.get_f64("ok"), Ok(1.0)), "{reply:?}");
}

/// The processes that fight for the lock.
struct Arena {
    set: ReplicaSet,
    store: Store,
    clients: Vec<Running<Told>>,
}

impl Arena {
    fn open(locks: &str, documents: &str) -> Self {
        let set = ReplicaSet::start().unwrap();
        set.members().for_each(|member| end_transactions_soon(&set, member));
        let store = ReplicaSetOptions::new().database(locks).connect(&set.uri()).unwrap();
        let tokens = doc! { "_id": "w", "tokens": [] };
        witness(&store, documents).insert_one(tokens).unwrap();
        let client = |number: u64| {
            let test = CrashTest::this_test(NAME).unwrap().seed(number);
            let test = test.env(URI, set.uri()).env(DATABASE, locks).env(WITNESS, documents);
            let mut test = test;
            test.start().unwrap()
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { set, store, clients }
    }

    /// Waits until the clients have gone on for a while.
    fn go_on(&self) {
        let told = || self.clients.iter().map(Running::records).sum::<u64>();
        let (start, before) = (Instant::now(), told());
        while told() < before + 60 {
            assert!(start.elapsed() < STANDSTILL_MAX, "nothing goes on any more");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops the process that holds the lock until others have had it, which its lease or its session has to end for.
    fn stop_a_holder(&self) {
        let start = Instant::now();
        let holder = loop {
            assert!(start.elapsed() < STANDSTILL_MAX, "nobody holds the lock");
            if let Some(pid) = self.holder() {
                break pid;
            }
        };
        let paused = pause(holder).unwrap();
        // It may have released it just before.
        self.go_on();
        thread::sleep(TTL.max(SESSION_TTL));
        self.go_on();
        paused.resume().unwrap();
    }

    /// The process that holds the lock.
    fn holder(&self) -> Option<u32> {
        let lock = self.store.inspect(KEY).ok()??;
        let (pid, _) = lock.holders.first()?.holder.as_str().split_once('-')?;
        Some(pid.parse().unwrap())
    }

    fn fail_over(&self) {
        self.go_on();
        let primary = self.set.primary().unwrap();
        self.set.kill(primary).unwrap();
        self.go_on();
        self.set.restart(primary).unwrap();
        end_transactions_soon(&self.set, primary);
        self.stop_a_holder();
        let primary = self.set.primary().unwrap();
        self.set.stop(primary).unwrap();
        self.go_on();
        self.set.go_on(primary).unwrap();
        self.set.wait_until_whole().unwrap();
        self.go_on();
    }
}

/// Each client is a process. In its grant it adds its token to a document by a guarded write. Who is told what is linearizable, and nobody
/// writes who is not the holder.
#[test]
fn one_at_a_time_holds_a_lock_whichever_primary_or_client_is_killed_or_stopped() {
    if let Some(ledger) = Ledger::from_env() {
        Client::from_env(ledger).contend();
    }
    let (locks, documents) = (new_database(), new_database());
    let mut arena = Arena::open(&locks, &documents);
    (0..rounds()).for_each(|_| arena.fail_over());
    let told: Vec<Vec<Told>> =
        arena.clients.drain(..).map(|client| client.kill().unwrap().records).collect();
    let operations: Vec<Operation> =
        (0..).zip(&told).flat_map(|(client, told)| told::operations(client, told)).collect();
    let is_unknown = |told: &&Told| matches!(told, Told::Answered { answer: Answer::Unknown, .. });
    let unknown = told.iter().flatten().filter(is_unknown).count();
    let judged = Checker::new().slack(PATIENCE).check(&History::new(operations));
    let summary = judged.unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(summary.undecided, []);
    eprintln!(
        "{} operations, {} grants, {unknown} of unknown outcome",
        summary.operations, summary.grants
    );

    let written = witness(&arena.store, &documents).find_one(doc! {}).run().unwrap().unwrap();
    let written: Vec<u64> = written
        .get_array("tokens")
        .unwrap()
        .iter()
        .map(|token| token.as_i64().unwrap().cast_unsigned())
        .collect();
    assert!(written.is_sorted(), "{written:?}");
    let mut by_token: BTreeMap<u64, Writes> = BTreeMap::new();
    for told in told.iter().flatten() {
        match told {
            Told::Writes { token } => by_token.entry(*token).or_default().asked += 1,
            Told::Wrote { token, is_done: Some(true) } => {
                by_token.entry(*token).or_default().done += 1;
            }
            Told::Wrote { token, is_done: Some(false) } => {
                by_token.entry(*token).or_default().refused += 1;
            }
            Told::Wrote { is_done: None, .. } | Told::Asked { .. } | Told::Answered { .. } => {}
        }
    }
    for (token, writes) in by_token {
        let times = written.iter().filter(|written| **written == token).count();
        let allowed = writes.done..=writes.asked - writes.refused;
        assert!(allowed.contains(&times), "{token}: {times} of {writes:?} in {written:?}");
    }
}

/// How often the token of a grant was to be written, and was told to be or not to be. Of the others nobody knows: also of one whose client was
/// killed before it was told.
#[derive(Debug, Default)]
struct Writes {
    asked: usize,
    done: usize,
    refused: usize,
}

const NAME: &str = "one_at_a_time_holds_a_lock_whichever_primary_or_client_is_killed_or_stopped";
const KEY: &str = "contended";
const CLIENTS: u64 = 4;

const TTL: Duration = Duration::from_secs(3);
const SESSION_TTL: Duration = Duration::from_secs(3);
/// How long a client waits for the lock.
const WAIT: Duration = Duration::from_secs(60);
/// How long a client looks for what has become of a call.
const PATIENCE: Duration = Duration::from_secs(100);
/// How long everything may stand still.
const STANDSTILL_MAX: Duration = Duration::from_secs(200);

/// Environment variables of a client: the replica set, and the databases of the locks and of the witness.
const URI: &str = "LOCKSTORE_FAILOVER_URI";
const DATABASE: &str = "LOCKSTORE_FAILOVER_DATABASE";
const WITNESS: &str = "LOCKSTORE_FAILOVER_WITNESS";
