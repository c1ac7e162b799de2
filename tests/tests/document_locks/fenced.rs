//! Document locks beside transactions and fences.

use std::thread;
use std::time::Duration;

use lockstore::bson::{Bson, Document, doc};
use lockstore::{
    Collection, DocumentError, ErrorCode, LockDocumentError, ReleaseDocumentError, Store,
};

use crate::DEPLOYMENT;

fn jobs() -> (Store, Collection) {
    let store = DEPLOYMENT.in_memory();
    let jobs = store.database("factory").collection("jobs");
    jobs.insert_one(doc! { "_id": 1, "state": "ready" }).unwrap();
    (store, jobs)
}

fn find(jobs: &Collection<Document>) -> Document {
    jobs.find_one(doc! { "_id": 1 }).run().unwrap().unwrap()
}

#[test]
fn a_transaction_that_unlocks_a_document_ends_its_lock_and_wakes_who_waits() {
    let (store, jobs) = jobs();
    let held = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let lock = jobs.lock_document(doc! { "_id": 1 }).lock_id("second");
            lock.sleep(Duration::from_secs(3_600)).acquire().unwrap().release().unwrap();
        });
        while store.stats().unwrap().waiters == 0 {
            thread::yield_now();
        }
        store
            .transaction(|tx| {
                let inside = jobs.in_transaction(tx);
                let unlock = doc! { "$set": { "lock_id": null, "state": "new" } };
                inside.update_one(doc! { "_id": 1 }, unlock).run()?;
                assert!(held.holds(), "nobody sees it before the commit");
                Ok::<_, DocumentError>(())
            })
            .unwrap();
        assert!(!held.holds());
        waiting.join().unwrap();
    });
    let lost = held.release().unwrap_err();
    assert!(matches!(lost, ReleaseDocumentError::LockLost { .. }), "{lost}");
    assert_eq!(find(&jobs).get_str("state").unwrap(), "new");
}

#[test]
fn a_transaction_that_relies_on_a_document_lock_is_refused_once_it_is_broken() {
    let (store, jobs) = jobs();
    let results = store.database("factory").collection::<Document>("results");
    let lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    let fence = lock.fence().unwrap();
    let record = |number: i32| {
        store.transaction(|tx| {
            tx.require(fence.clone())?;
            results.in_transaction(tx).insert_one(doc! { "_id": number })?;
            jobs.in_transaction(tx)
                .update_one(doc! { "_id": 1 }, doc! { "$inc": { "results": 1 } })
                .run()?;
            Ok::<_, DocumentError>(())
        })
    };
    record(1).unwrap();
    let broken = jobs.lock_document(doc! { "_id": 1 }).break_lock(true).acquire().unwrap();
    assert!(broken.token() > lock.token());
    let refused = record(2).unwrap_err();
    assert!(matches!(refused, DocumentError::LockLost(_)), "{refused}");
    assert_eq!(results.count_documents(doc! {}).run().unwrap(), 1);
    assert_eq!(find(&jobs).get_i32("results").unwrap(), 1);
}

#[test]
fn a_document_is_not_locked_in_a_transaction() {
    let (store, jobs) = jobs();
    let refused = store.transaction(|tx| {
        let inside = jobs.in_transaction(tx);
        assert!(inside.unlock(doc! {}, "no reason").is_err());
        let lock = inside.lock_document(doc! { "_id": 1 }).acquire();
        match lock {
            Err(LockDocumentError::Document(error)) => Err::<(), _>(error),
            other => panic!("{other:?}"),
        }
    });
    let code = refused.unwrap_err().code();
    assert_eq!(code, ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION);
    assert_eq!(find(&jobs), doc! { "_id": 1, "state": "ready" });
}

#[test]
fn a_document_lock_relies_on_the_fences_of_its_collection() {
    let (store, jobs) = jobs();
    let guard = store.lock("shift").acquire().unwrap();
    let fenced = jobs.fenced_by(guard.fence());
    let mut lock = fenced.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    lock.set_update_on_release(doc! { "$set": { "state": "done" } }).unwrap();
    guard.release().unwrap();

    let refused = fenced.lock_document(doc! { "_id": 1 }).break_lock(true).acquire().unwrap_err();
    let is_lost = matches!(&refused, LockDocumentError::Document(DocumentError::LockLost(_)));
    assert!(is_lost, "{refused}");
    assert!(lock.holds());

    let not_updated = lock.release().unwrap_err();
    assert!(matches!(not_updated, ReleaseDocumentError::NotUpdated { .. }), "{not_updated}");
    let job = find(&jobs);
    assert_eq!((job.get_str("state").unwrap(), job.get("lock_id")), ("ready", Some(&Bson::Null)));
}
