//! Fences: a write is done only if the grant that it relies on is still there, which is looked at in the commit that does it.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use crossbeam_channel::bounded;
use lockstore::collection::{InsertModel, UpdateModel};
use lockstore::{
    Collection, DocumentError, ErrorCode, Fence, IndexModel, LockLost, Store, Token, WriteModel,
};
use lockstore_testkit::crash::{CrashTest, Ledger, pause};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::PATIENCE;

fn reports(store: &Store) -> Collection {
    store.database("factory").collection("reports")
}

#[track_caller]
fn lost<T: std::fmt::Debug>(result: Result<T, DocumentError>) -> LockLost {
    match result {
        Err(error @ DocumentError::LockLost(_)) => {
            assert_eq!(error.code(), ErrorCode::LOCK_FAILED);
            assert!(!error.is_transient());
            let DocumentError::LockLost(lost) = error else { unreachable!("it was looked at") };
            *lost
        }
        other => panic!("the lock is lost, and not {other:?}"),
    }
}

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
fn every_kind_of_write_carries_its_fence() {
    let store = Store::in_memory().unwrap();
    reports(&store).insert_one(doc! { "_id": 1, "n": 1 }).unwrap();
    reports(&store).create_index(IndexModel::new(doc! { "n": 1 })).unwrap();
    let guard = store.lock("k").acquire().unwrap();
    let other = store.lock("other").acquire().unwrap();
    let fenced = reports(&store).fenced_by(other.fence()).fenced_by(guard.fence());
    fenced.insert_one(doc! { "_id": 2, "n": 2 }).unwrap();
    guard.release().unwrap();
    let before = all(&store);
    let one = doc! { "_id": 1 };
    let set = doc! { "$set": { "n": 7 } };
    assert_eq!(lost(fenced.insert_one(doc! { "_id": 3 })).now_held_by, None);
    lost(fenced.update_one(one.clone(), set.clone()).run());
    lost(fenced.update_one(doc! { "_id": 9 }, set.clone()).upsert(true).run());
    lost(fenced.update_many(doc! {}, set.clone()).run());
    lost(fenced.replace_one(one.clone(), doc! { "n": 8 }).run());
    lost(fenced.delete_one(one.clone()).run());
    lost(fenced.delete_many(doc! {}).run());
    lost(fenced.find_one_and_update(one.clone(), set.clone()).run());
    lost(fenced.find_one_and_replace(one.clone(), doc! { "n": 8 }).run());
    lost(fenced.find_one_and_delete(one.clone()).run());
    lost(fenced.create_index(IndexModel::new(doc! { "m": 1 })));
    lost(fenced.drop_index("n_1"));
    lost(fenced.drop());
    let many = fenced.insert_many([doc! { "_id": 3 }, doc! { "_id": 4 }]).run();
    lost(many.map_err(first));
    let many = fenced.insert_many((3..600).map(|n| doc! { "_id": n })).ordered(false).run();
    let Err(DocumentError::Partial(partial)) = many else { panic!("{many:?}") };
    assert_eq!(partial.errors().len(), 597);
    let models = [
        WriteModel::InsertOne(InsertModel::new(doc! { "_id": 3 })),
        WriteModel::UpdateOne(UpdateModel::new(one, set)),
    ];
    lost(fenced.bulk_write(models).run().map_err(first));
    // To read needs no lock.
    assert_eq!(fenced.count_documents(doc! {}).run().unwrap(), 2);
    assert_eq!(all(&store), before);
    assert_eq!(reports(&store).list_indexes().unwrap().len(), 2);
}

/// The first error of many writes.
fn first(error: DocumentError) -> DocumentError {
    match error {
        DocumentError::Partial(partial) => partial.errors().values().next().unwrap().clone(),
        error => error,
    }
}

fn all(store: &Store) -> Vec<Document> {
    reports(store).find(doc! {}).run().unwrap().map(Result::unwrap).collect()
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

#[test]
fn what_a_transaction_relies_on_is_looked_at_in_its_commit() {
    let store = Store::in_memory().unwrap();
    let guard = store.lock("k").acquire().unwrap();
    let fence = guard.fence();
    // Also where it changes nothing: what it has read was under the lock.
    let reads = store.begin_transaction().unwrap();
    reads.require(fence.clone()).unwrap();
    let writes = store.begin_transaction().unwrap();
    writes.require(fence.clone()).unwrap();
    writes.require(fence.clone()).unwrap();
    writes.collection::<Document>("factory", "reports").insert_one(doc! { "_id": 1 }).unwrap();
    let new = writes.lock("new").acquire().unwrap();
    guard.release().unwrap();
    lost(reads.commit());
    lost(writes.commit());
    assert!(new.guard().is_none());
    assert!(!store.is_locked("new").unwrap());
    assert_eq!(store.database("factory").collection_names().unwrap(), Vec::<String>::new());
    // A transaction may rely on what it releases itself, and a release of what is lost is refused.
    let guard = store.lock("k").acquire().unwrap();
    store
        .transaction(|tx| {
            tx.require(guard.fence())?;
            tx.release(&guard)
        })
        .unwrap();
    lost(store.transaction(|tx| tx.release(&guard)));
    lost(store.transaction(|tx| tx.renew(&guard)));
}

fn code(reply: &RawDocumentBuf) -> Option<i32> {
    let errors = reply.get_array("writeErrors").ok();
    let first = errors.and_then(|errors| errors.get_document(0).ok());
    reply.get_i32("code").ok().or_else(|| first?.get_i32("code").ok())
}

#[test]
fn a_command_carries_fences_in_a_field_of_ours() {
    let store = Store::in_memory().unwrap();
    let factory = store.database("factory");
    let guard = store.lock("k").holder("me").acquire().unwrap();
    let token = i64::try_from(guard.token().get()).unwrap();
    let fences = || rawdoc! { "key": "k", "holder": "me", "token": token };
    let commands = [
        rawdoc! { "insert": "reports", "documents": [{ "n": 1 }], "lockFences": [fences()] },
        rawdoc! { "update": "reports", "updates": [{ "q": {}, "u": { "$inc": { "n": 1 } } }], "lockFences": [fences()] },
        rawdoc! { "findAndModify": "reports", "update": { "$inc": { "n": 1 } }, "lockFences": [fences()] },
        rawdoc! { "find": "reports", "lockFences": [fences()] },
        rawdoc! { "createIndexes": "reports", "indexes": [{ "key": { "n": 1 }, "name": "n" }], "lockFences": [fences()] },
        rawdoc! { "delete": "reports", "deletes": [{ "q": {}, "limit": 1 }], "lockFences": [fences()] },
        rawdoc! { "drop": "reports", "lockFences": [fences()] },
    ];
    for command in &commands {
        let reply = factory.run_command(command);
        assert_eq!(code(&reply), None, "{command:?}: {reply:?}");
    }
    reports(&store).insert_one(doc! { "n": 1 }).unwrap();
    guard.release().unwrap();
    let before = all(&store);
    for command in &commands {
        let reply = factory.run_command(command);
        let reads = command.get("find").unwrap().is_some();
        assert_eq!(code(&reply), (!reads).then_some(107), "{command:?}: {reply:?}");
    }
    let drop = rawdoc! { "dropDatabase": 1, "lockFences": [fences()] };
    assert_eq!(code(&factory.run_command(&drop)), Some(107));
    let mut tx = store.begin_transaction().unwrap();
    assert_eq!(code(&tx.run_command("factory", &commands[0])), None);
    lost(tx.commit());
    assert_eq!(all(&store), before);
    for (wrong, expected) in [
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": 1 }, 14),
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [1] }, 14),
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k" }] }, 40414),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k", "holder": "me", "token": 0 }] },
            2,
        ),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "", "holder": "me", "token": 1 }] },
            2,
        ),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k", "holder": "me", "token": 1, "x": 1 }] },
            40415,
        ),
    ] {
        assert_eq!(code(&factory.run_command(&wrong)), Some(expected), "{wrong:?}");
    }
    assert!(Token::new(0).is_none());
}

/// The environment variable that names the store of the process that is stopped.
const STORE: &str = "LOCKSTORE_STOPPED_STORE";

/// The lease that the process is stopped past.
const LEASE: Duration = Duration::from_millis(1_500);
