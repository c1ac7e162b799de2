//! The server is killed between its commit and its reply: what was done is not done again, and is answered as it would have been.

use std::thread;
use std::time::{Duration, Instant};

use lockstore::bson::{Document, doc};
use lockstore::{Collection, DocumentError, Store};

use crate::between::Between;
use crate::crowd::PATIENCE;

fn jobs(store: &Store) -> Collection<Document> {
    store.database("proof").collection("jobs")
}

/// The jobs as they are, without the fields of their locks.
fn tries(store: &Store) -> Vec<(i32, i32)> {
    let found = jobs(store).find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    let job = |job: Document| (job.get_i32("_id").unwrap(), job.get_i32("tries").unwrap());
    found.map(|found| job(found.unwrap())).collect()
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never came that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_write_is_done_once() {
    let between = Between::new();
    let (store, direct) = (between.client(), between.direct());
    let jobs = jobs(&store);
    between.kill_behind(&["insert", "txnNumber"]);
    jobs.insert_one(doc! { "_id": 1, "tries": 0 }).unwrap();
    assert!(between.has_killed());
    between.kill_behind(&["update", "txnNumber"]);
    let one = || doc! { "$inc": { "tries": 1 } };
    let updated = jobs.update_one(doc! { "_id": 1 }, one()).run().unwrap();
    assert!(between.has_killed());
    assert_eq!(updated.modified_count, 1);
    between.kill_behind(&["findAndModify", "txnNumber"]);
    let before = jobs.find_one_and_update(doc! { "_id": 1 }, one()).run().unwrap().unwrap();
    assert!(between.has_killed());
    assert_eq!(before.get_i32("tries").unwrap(), 1);
    between.kill_behind(&["commitTransaction"]);
    let transaction = store.transaction(|tx| {
        let jobs: Collection<Document> = tx.collection("proof", "jobs");
        jobs.update_one(doc! { "_id": 1 }, one()).run()?;
        Ok::<_, DocumentError>(())
    });
    transaction.unwrap();
    assert!(between.has_killed());
    assert_eq!(tries(&direct), [(1, 3)]);
}

#[test]
fn a_lock_by_a_name_that_was_chosen_is_granted_once_and_not_refused_to_itself() {
    let between = Between::new();
    let (store, direct) = (between.client(), between.direct());
    between.kill_behind(&["lockAcquire", "txnNumber"]);
    let guard = store.lock("k").holder("me").try_acquire().unwrap();
    assert!(between.has_killed());
    assert!(!guard.rejoined(), "it is told what it would have been told");
    assert_eq!(direct.inspect("k").unwrap().unwrap().holders[0].token, guard.token());
    between.kill_behind(&["lockRelease"]);
    guard.release().unwrap();
    assert!(between.has_killed());

    let held = direct.lock("k").acquire().unwrap();
    between.kill_behind(&["lockAcquire", "forever"]);
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| store.lock("k").holder("me").acquire().unwrap());
        eventually("it waits", || direct.stats().unwrap().waiters == 1);
        held.release().unwrap();
        waiting.join().unwrap()
    });
    assert!(between.has_killed());
    assert!(!waited.rejoined());
    assert_eq!(direct.inspect("k").unwrap().unwrap().holders[0].token, waited.token());
    // Nobody else has it by that name: it is one lock, and released once.
    waited.release().unwrap();
    assert!(!direct.is_locked("k").unwrap());
}

/// The update of each lock makes its document one that is not looked for any more: a second look would lock another.
#[test]
fn a_document_is_locked_once_by_a_lock_id_that_was_chosen() {
    let between = Between::new();
    let (store, direct) = (between.client(), between.direct());
    let new = |id| doc! { "_id": id, "state": "READY", "tries": 0 };
    jobs(&direct).insert_many([new(1), new(2), new(3)]).run().unwrap();
    let run = || doc! { "$set": { "state": "RUNNING" }, "$inc": { "tries": 1 } };
    let jobs = jobs(&store);
    let ready = || {
        let wanted = jobs.lock_document(doc! { "state": "READY" }).sort(doc! { "_id": 1 });
        wanted.update(run()).lock_id("worker-1")
    };
    // The same `lock_id` holds another document already, so it alone does not tell which one was locked.
    let first = ready().acquire().unwrap();
    between.kill_behind(&["lockDocument", "txnNumber"]);
    let mut second = ready().acquire().unwrap();
    assert!(between.has_killed());
    assert_eq!(second.locked_document().unwrap().get_i32("_id").unwrap(), 2);
    assert_eq!(tries(&direct), [(1, 1), (2, 1), (3, 0)]);
    second.set_update_on_release(doc! { "$inc": { "tries": 10 } }).unwrap();
    between.kill_behind(&["unlockDocument"]);
    second.release().unwrap();
    assert!(between.has_killed());
    assert_eq!(tries(&direct), [(1, 1), (2, 11), (3, 0)]);

    let other = direct.database("proof").collection::<Document>("jobs");
    let held = other.lock_document(doc! { "_id": 3 }).acquire().unwrap();
    between.kill_behind(&["lockDocument", "waitUntilNS"]);
    let waited = thread::scope(|scope| {
        let waiting = scope.spawn(|| ready().sleep(PATIENCE).acquire().unwrap());
        eventually("it waits", || direct.stats().unwrap().waiters == 1);
        held.release().unwrap();
        waiting.join().unwrap()
    });
    assert!(between.has_killed());
    assert_eq!(waited.locked_document().unwrap().get_i32("_id").unwrap(), 3);
    assert_eq!(tries(&direct), [(1, 1), (2, 11), (3, 1)]);
    waited.release().unwrap();
    first.release().unwrap();
    assert!(direct.check().unwrap().is_sound());
}

/// What is sent again names the same moment, on a clock that no restart sets back.
#[test]
fn a_wait_that_is_asked_for_again_has_the_deadline_that_it_had() {
    let between = Between::new();
    let (store, direct) = (between.client(), between.direct());
    jobs(&direct).insert_one(doc! { "_id": 1, "tries": 0 }).unwrap();
    let lock = direct.lock("k").acquire().unwrap();
    let other = jobs(&direct);
    let document = other.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.lock("k").acquire_timeout(PATIENCE * 60).map(drop));
        let locking = scope.spawn(|| {
            let jobs = jobs(&store);
            let wanted = jobs.lock_document(doc! { "_id": 1 }).sleep(PATIENCE);
            wanted.max_wait(PATIENCE * 60).acquire().unwrap().release()
        });
        for _ in 0..2 {
            eventually("both wait", || direct.stats().unwrap().waiters == 2);
            between.kill();
        }
        eventually("both wait", || direct.stats().unwrap().waiters == 2);
        assert_eq!(
            direct.check().unwrap().problems,
            <[String; 0]>::default(),
            "while they wait too"
        );
        let deadlines = |words: &[&str], of: fn(&Document) -> i64| {
            let commands = between.commands(words).into_iter();
            let commands = commands.map(|command| Document::try_from(command).unwrap());
            commands.map(|command| of(&command)).collect::<Vec<_>>()
        };
        let locks = deadlines(&["lockAcquire", "untilNS"], |command| {
            command.get_document("wait").unwrap().get_i64("untilNS").unwrap()
        });
        assert!(locks.len() == 3 && locks.iter().all(|at| *at == locks[0]), "{locks:?}");
        let documents = deadlines(&["lockDocument", "waitUntilNS"], |command| {
            command.get_i64("waitUntilNS").unwrap()
        });
        assert!(
            documents.len() == 3 && documents.iter().all(|at| *at == documents[0]),
            "{documents:?}"
        );
        lock.release().unwrap();
        document.release().unwrap();
        waiting.join().unwrap().unwrap();
        locking.join().unwrap().unwrap();
    });
}
