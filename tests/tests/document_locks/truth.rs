//! The document is the truth: the grant behind its lock follows it, and it follows the grant, in one commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockstore::bson::{Bson, Document, doc, rawdoc};
use lockstore::{Collection, DocumentLock, LOCK_KEY, ReleaseDocumentError, Store};
use lockstore_tests::machine::secs;

use crate::DEPLOYMENT;

pub(crate) fn jobs_in(store: &Store) -> Collection {
    store.database("factory").collection("jobs")
}

pub(crate) fn one_job(store: &Store) -> Collection {
    let jobs = jobs_in(store);
    jobs.insert_one(doc! { "_id": 1 }).unwrap();
    jobs
}

#[track_caller]
pub(crate) fn get(jobs: &Collection) -> Document {
    jobs.find_one(doc! { "_id": 1 }).run().unwrap().expect("it is there")
}

#[track_caller]
pub(crate) fn assert_sound(store: &Store) {
    DEPLOYMENT.assert_sound(store);
}

#[track_caller]
pub(crate) fn assert_lost(lock: DocumentLock, by: Option<&str>) {
    assert!(!lock.holds());
    for error in [lock.renew().unwrap_err(), lock.release().unwrap_err()] {
        match error {
            ReleaseDocumentError::LockLost { now_held_by, .. } => {
                assert_eq!(now_held_by.as_deref(), by);
            }
            error => panic!("{error}"),
        }
    }
}

/// No grant stands behind a lock that something else has ended. MongoDB leaves it there.
#[track_caller]
fn assert_nothing_behind(store: &Store) {
    let behind = store.stats().unwrap().document_locks;
    assert!(behind == 0 || DEPLOYMENT.is_mongodb(), "{behind}");
}

#[test]
fn an_update_locks_and_unlocks_like_anything_else() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let set = |lock_id: Bson| {
        jobs.update_one(doc! {}, doc! { "$set": { LOCK_KEY: lock_id } }).run().unwrap();
    };
    set("by hand".into());
    assert!(jobs.lock_document(doc! {}).acquire().unwrap().locked_document().is_none());
    set(Bson::Null);
    let lock = jobs.lock_document(doc! {}).ttl(secs(60)).show_token(true).acquire().unwrap();
    set(Bson::Null);
    assert_nothing_behind(&store);
    if !DEPLOYMENT.is_mongodb() {
        assert_eq!(get(&jobs).keys().collect::<Vec<_>>(), ["_id", "lock_id", "lock_time"]);
    }
    assert_lost(lock, None);
    let lock = jobs.lock_document(doc! {}).acquire().unwrap();
    set("by hand".into());
    assert_lost(lock, Some("by hand"));
    assert_sound(&store);
}

#[test]
fn whatever_else_happens_to_a_document_ends_its_lock_unless_it_stays_locked() {
    let store = DEPLOYMENT.in_memory();
    let jobs = jobs_in(&store);
    let locked = || {
        jobs.delete_many(doc! {}).run().unwrap();
        jobs.insert_one(doc! { "_id": 1 }).unwrap();
        jobs.lock_document(doc! {}).lock_id("mine").acquire().unwrap()
    };
    let lock = locked();
    jobs.update_one(doc! {}, doc! { "$set": { "a": 1 } }).run().unwrap();
    jobs.replace_one(doc! {}, doc! { "lock_id": "mine" }).run().unwrap();
    assert!(lock.holds(), "it is locked as before");
    jobs.replace_one(doc! {}, doc! { "a": 1 }).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.delete_one(doc! {}).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.find_one_and_update(doc! {}, vec![doc! { "$unset": "lock_id" }]).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.drop().unwrap();
    assert_nothing_behind(&store);
    assert_lost(lock, None);
    let lock = locked();
    store.database("factory").drop().unwrap();
    assert_lost(lock, None);
    assert_sound(&store);
}

#[test]
fn a_session_that_ends_unlocks_its_documents() {
    let store = DEPLOYMENT.in_memory();
    let jobs = jobs_in(&store);
    jobs.insert_many((0..300).map(|id| doc! { "_id": id })).run().unwrap();
    let session = store.session().unwrap();
    let locks: Vec<_> = (0..300)
        .map(|_| jobs.lock_document(doc! {}).session(&session).acquire().unwrap())
        .collect();
    assert_eq!(store.stats().unwrap().document_locks, 300);
    session.end().unwrap();
    assert_eq!(jobs.count_documents(doc! { "lock_id": null }).run().unwrap(), 300);
    assert!(locks.iter().all(|lock| !lock.holds()));
    assert_sound(&store);
}

/// A reader sees the document and the figures of its lock as of one commit, whatever ends it.
#[test]
fn nobody_sees_the_document_and_its_lock_differ() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_sound(&store);
            }
        });
        for round in 0..60 {
            let session = store.session().unwrap();
            let lock = jobs.lock_document(doc! {}).ttl(secs(60)).session(&session).acquire();
            let lock = lock.unwrap();
            assert!(lock.holds());
            match round % 4 {
                0 => lock.release().unwrap(),
                1 => drop(
                    jobs.update_one(doc! {}, doc! { "$unset": { LOCK_KEY: 1 } }).run().unwrap(),
                ),
                2 => session.end().unwrap(),
                _ => drop(jobs.unlock(doc! {}, "again").unwrap()),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn commands_lock_and_unlock_too() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).acquire().unwrap();
    let update = rawdoc! {
        "update": "jobs",
        "updates": [{ "q": {}, "u": { "$set": { "lock_id": null } } }],
    };
    let reply = store.database("factory").run_command(&update);
    assert_eq!(reply.get_i32("nModified").unwrap(), 1);
    assert_lost(lock, None);
}
