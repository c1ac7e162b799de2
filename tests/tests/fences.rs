//! Fences, wherever the store lives, and where time passes.
#![expect(clippy::duplicate_mod, reason = "the scenarios run on each deployment")]

#[path = "fences/scenarios.rs"]
mod commands;
#[path = "fences/scenarios.rs"]
mod embedded;
#[path = "fences/scenarios.rs"]
mod replica_set;
#[path = "fences/scenarios.rs"]
mod socket;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bson::doc;
use crossbeam_channel::bounded;
use embedded::{lost, reports};
use lockstore::{Collection, DocumentError, Fence, Store};
use lockstore_testkit::crash::{CrashTest, Ledger, pause};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::PATIENCE;

fn owner(store: &Store, id: &str) -> String {
    let report = reports(store).find_one(doc! { "_id": id }).run().unwrap().unwrap();
    report.get_str("owner").unwrap().to_owned()
}

fn write(reports: &Collection, id: &str, owner: &str) -> Result<(), DocumentError> {
    let set = doc! { "$set": { "owner": owner } };
    reports.update_one(doc! { "_id": id }, set).upsert(true).run().map(drop)
}

/// A holder stands still past the end of its lease, somebody else takes over, and then it goes on: first without fences, which
/// does the damage, and then with them.
#[test]
fn a_holder_that_was_paused_past_its_lease_does_damage_without_a_fence_and_none_with_one() {
    let machine = Machine::new();
    let store = machine.open();
    let slow = store.lock("report").holder("slow").ttl(secs(10)).acquire().unwrap();
    let fenced = reports(&store).fenced_by(slow.fence());
    for id in ["bare", "fenced", "transaction"] {
        write(&fenced, id, "slow").unwrap();
    }
    // It begins a transaction in time, and commits it late.
    let late = store.begin_transaction().unwrap();
    late.require(slow.fence()).unwrap();
    write(&late.collection("factory", "reports"), "transaction", "slow, late").unwrap();

    machine.clock.advance(secs(4));
    write(&fenced, "fenced", "slow").unwrap();
    machine.clock.advance(secs(7));
    let next = store.lock("report").holder("next").acquire().unwrap();
    for id in ["bare", "fenced", "transaction"] {
        write(&reports(&store).fenced_by(next.fence()), id, "next").unwrap();
    }

    // Without a fence nobody stops it: what its successor wrote is gone.
    write(&reports(&store), "bare", "slow, late").unwrap();
    assert_eq!(owner(&store, "bare"), "slow, late");
    // With one it is refused, and is told who holds the lock now.
    let refused = lost(write(&fenced, "fenced", "slow, late"));
    assert_eq!((refused.holder, refused.token), (slow.holder().clone(), slow.token()));
    assert_eq!(refused.now_held_by.unwrap().token, next.token());
    assert_eq!(owner(&store, "fenced"), "next");
    // Its transaction is over by then; the next one meets the fence.
    late.commit().unwrap_err();
    lost(store.transaction(|tx| {
        tx.require(slow.fence())?;
        write(&tx.collection("factory", "reports"), "transaction", "slow, later")
    }));
    lost(store.transaction(|tx| write(&fenced.in_transaction(tx), "transaction", "slow, later")));
    assert_eq!(owner(&store, "transaction"), "next");
}

/// The same with a process that is really stopped: the one that has the store open, with all its threads, past the lease of one
/// of them.
#[test]
fn a_process_that_was_stopped_past_its_lease_is_refused_when_it_goes_on() {
    if let Some(ledger) = Ledger::from_env() {
        let path = std::env::var(STORE).expect("the parent names the store");
        let store = Store::open(path).unwrap();
        live_through_the_stop(&store, |line| ledger.acknowledge(&line.to_owned()).unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("s.redb");
    let mut test = CrashTest::this_test(
        "a_process_that_was_stopped_past_its_lease_is_refused_when_it_goes_on",
    )
    .unwrap()
    .env(STORE, &path);
    let child = test.start::<String>().unwrap();
    assert!(child.wait_for_records(1, PATIENCE));
    let stopped = pause(child.pid()).unwrap();
    thread::sleep(LEASE + Duration::from_millis(100));
    stopped.resume().unwrap();
    assert!(child.wait_for_end(PATIENCE));
    let round = child.kill().unwrap();
    assert_eq!(round.records, ["holding", "done without a fence", "refused with a fence"]);
    let store = Store::open(path).unwrap();
    assert_eq!(owner(&store, "bare"), "slow");
    assert_eq!(owner(&store, "fenced"), "next");
}

/// One thread holds a lock and does not come to its work until the process goes on; another one waits for the lock.
fn live_through_the_stop(store: &Store, tell: impl Fn(&str)) {
    let slow = store.lock("report").holder("slow").ttl(LEASE).acquire().unwrap();
    let (hand_over, successor) = bounded(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            let next = store.lock("report").holder("next").acquire().unwrap();
            for id in ["bare", "fenced"] {
                write(&reports(store).fenced_by(next.fence()), id, "next").unwrap();
            }
            hand_over.send(next).unwrap();
        });
        tell("holding");
        // It is stopped here, and finds the lock taken when it goes on.
        let _next = successor.recv().unwrap();
        write(&reports(store), "bare", "slow").unwrap();
        tell("done without a fence");
        let refused = lost(write(&reports(store).fenced_by(slow.fence()), "fenced", "slow"));
        assert_eq!(refused.now_held_by.unwrap().holder.as_str(), "next");
        tell("refused with a fence");
    });
}

#[test]
fn a_fence_holds_exactly_as_long_as_its_grant() {
    let machine = Machine::new();
    let store = machine.open();
    let guard = store.lock("k").holder("me").ttl(secs(10)).acquire().unwrap();
    let fence = Fence::new("k", "me", guard.token()).unwrap();
    assert_eq!(fence, guard.fence());
    let fenced = reports(&store).fenced_by(fence);
    for n in 0..5 {
        machine.clock.advance(secs(7));
        guard.renew().unwrap();
        fenced.insert_one(doc! { "_id": n }).unwrap();
    }
    // A restart does not end it.
    let held = guard.leak();
    let machine = machine.after_kill();
    let store = machine.open();
    reports(&store)
        .fenced_by(Fence::new("k", "me", held.token).unwrap())
        .insert_one(doc! { "_id": 5 })
        .unwrap();
    // The same holder with a later grant is not the same grant.
    store.release("k", "me", None).unwrap();
    let later = store.lock("k").holder("me").acquire().unwrap();
    let stale = reports(&store).fenced_by(Fence::new("k", "me", held.token).unwrap());
    let refused = lost(stale.insert_one(doc! { "_id": 6 }));
    assert_eq!(refused.now_held_by.unwrap().token, later.token());
    // Nor is another holder with its token, nor another lock.
    for (key, holder) in [("k", "you"), ("l", "me")] {
        let wrong = reports(&store).fenced_by(Fence::new(key, holder, later.token()).unwrap());
        lost(wrong.insert_one(doc! { "_id": 6 }));
    }
    store.break_lock("k", later.token(), "a test").unwrap();
    lost(reports(&store).fenced_by(later.fence()).insert_one(doc! { "_id": 6 }));
    Fence::new("", "me", held.token).unwrap_err();
}

/// The environment variable that names the store of the process that is stopped.
const STORE: &str = "LOCKSTORE_STOPPED_STORE";

/// The lease that the process is stopped past.
const LEASE: Duration = Duration::from_millis(1_500);
