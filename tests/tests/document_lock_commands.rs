//! Document locks by commands, as a driver of any language sends them.

use lockstore::bson::{RawBson, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::{Database, Started, Store};
use lockstore_tests::fuzz_document_locks::document_lock_commands;
use lockstore_tests::task::Task;
use proptest::prelude::*;

fn factory() -> (Store, Database) {
    let store = Store::in_memory().unwrap();
    let factory = store.database("factory");
    let documents = [rawdoc! { "_id": 1, "n": 1 }, rawdoc! { "_id": 2, "n": 2 }];
    let documents: RawBson = RawBson::Array(documents.into_iter().collect());
    done(&factory, &rawdoc! { "insert": "jobs", "documents": documents });
    (store, factory)
}

#[track_caller]
fn done(database: &Database, command: &RawDocument) -> RawDocumentBuf {
    let reply = database.run_command(command);
    assert!(matches!(reply.get_f64("ok"), Ok(1.0)), "{command:?}: {reply:?}");
    reply
}

#[track_caller]
fn fence(reply: &RawDocumentBuf) -> RawDocumentBuf {
    reply.get_document("fence").unwrap().to_owned()
}

#[test]
fn a_document_is_locked_renewed_and_released_with_an_update() {
    let (_store, factory) = factory();
    let lock = done(
        &factory,
        &rawdoc! {
            "lockDocument": "jobs", "filter": { "n": { "$gt": 1 } }, "lockId": "worker",
            "update": { "$inc": { "n": 10 } }, "ttlMS": 60_000, "projection": { "n": 1 },
        },
    );
    let document = lock.get_document("lockedDocument").unwrap();
    assert_eq!((document.get_i32("_id").unwrap(), document.get_i32("n").unwrap()), (2, 12));
    assert_eq!(document.get_str("lock_id").unwrap(), lock.get_str("lockId").unwrap());
    assert_eq!(lock.get_i64("ttlMS").unwrap(), 60_000);
    assert!(lock.get_i64("validUntilNS").unwrap() > 0);
    let held = fence(&lock);
    assert_eq!(held.get_str("holder").unwrap(), "worker");

    let renew = rawdoc! { "renewDocumentLock": "jobs", "fence": held.clone(), "ttlMS": 5_000 };
    assert_eq!(done(&factory, &renew).get_i64("ttlMS").unwrap(), 5_000);
    let inspect = rawdoc! { "inspectDocumentLock": "jobs", "fence": held.clone() };
    assert!(done(&factory, &inspect).get_bool("holds").unwrap());
    let listed = done(&factory, &rawdoc! { "lockedDocuments": "jobs" });
    let cursor = listed.get_document("cursor").unwrap();
    let first = cursor.get_array("firstBatch").unwrap().into_iter().next().unwrap().unwrap();
    let first = first.as_document().unwrap();
    assert_eq!((first.get_i32("_id").unwrap(), first.get_str("lockId").unwrap()), (2, "worker"));
    assert_eq!(first.get_i64("token").unwrap(), held.get_i64("token").unwrap());

    let fenced = rawdoc! {
        "insert": "results", "documents": [{ "_id": 1 }], "lockFences": [held.clone()],
    };
    done(&factory, &fenced);
    let unlock = rawdoc! {
        "unlockDocument": "jobs", "fence": held.clone(), "update": { "$set": { "state": "done" } },
    };
    done(&factory, &unlock);
    assert!(!done(&factory, &inspect).get_bool("holds").unwrap());
    let again = factory.run_command(&unlock);
    assert_eq!(again.get_str("codeName").unwrap(), "DocumentLockLost", "{again:?}");
    assert_eq!(again.get_str("lockId").unwrap(), "worker");
    let late = done(&factory, &fenced);
    let refused = late.get_array("writeErrors").unwrap().into_iter().next().unwrap().unwrap();
    assert_eq!(refused.as_document().unwrap().get_i32("code").unwrap(), 107, "LockFailed");
    let count = rawdoc! { "count": "jobs", "query": { "state": "done", "lock_id": null } };
    assert_eq!(done(&factory, &count).get_i32("n").unwrap(), 1);
}

#[test]
fn a_command_that_waits_is_pending_until_the_document_is_released() {
    let (store, factory) = factory();
    let first = done(&factory, &rawdoc! { "lockDocument": "jobs", "filter": { "_id": 1 } });
    let ask = rawdoc! {
        "lockDocument": "jobs", "filter": { "_id": 1 }, "sleepMS": 600_000, "lockId": "second",
    };
    let Started::Pending(given_up) = factory.start_command(&ask) else { panic!("it is locked") };
    let Started::Pending(second) = factory.start_command(&ask) else { panic!("it is locked") };
    drop(given_up);
    done(&factory, &rawdoc! { "unlockDocument": "jobs", "fence": fence(&first) });
    let reply = Task::new(second).outcome();
    assert_eq!(fence(&reply).get_str("holder").unwrap(), "second");
    assert_eq!(store.stats().unwrap().document_locks, 1);
    // What need not wait is done at once, though it might have.
    let other = rawdoc! { "lockDocument": "jobs", "filter": { "_id": 2 }, "sleepMS": 600_000 };
    assert!(matches!(factory.start_command(&other), Started::Reply(_)));
    // Whose time to wait is over is told who has it.
    let late = rawdoc! {
        "lockDocument": "jobs", "filter": { "_id": 1 }, "sleepMS": 5, "maxWaitMS": 0,
    };
    let late = done(&factory, &late);
    let held = late.get_document("unavailableDocument").unwrap();
    assert_eq!(held.get_str("lock_id").unwrap(), "second");
    assert!(late.get("fence").unwrap().is_none());
}

#[test]
fn a_command_that_comes_again_locks_no_second_document() {
    let (store, factory) = factory();
    let mut ask = rawdoc! {
        "lockDocument": "jobs", "filter": { "state": null }, "sort": { "_id": 1 }, "lockId": "new",
        "newLockId": true, "update": { "$set": { "state": "running" }, "$inc": { "n": 10 } },
        "projection": { "n": 1 }, "ttlMS": 60_000,
    };
    let first = done(&factory, &ask);
    ask.append(cstr!("lockRetry"), true);
    for _ in 0..2 {
        let again = done(&factory, &ask);
        for field in ["lockedDocument", "fence", "rejoined", "ttlMS"] {
            assert_eq!(again.get(field).unwrap(), first.get(field).unwrap(), "{field}");
        }
    }
    assert_eq!(store.stats().unwrap().document_locks, 1);
    // One that has locked nothing before locks a document as if it had not come before, whoever uses a `lockId` that is not new.
    let named = rawdoc! {
        "lockDocument": "jobs", "filter": { "_id": 2 }, "lockId": "new", "lockRetry": true,
    };
    let named = done(&factory, &named);
    assert_eq!(named.get_document("lockedDocument").unwrap().get_i32("_id").unwrap(), 2);
    let other = rawdoc! { "lockDocument": "jobs", "filter": {}, "newLockId": true, "lockId": "other", "lockRetry": true };
    assert!(done(&factory, &other).get("lockedDocument").unwrap().is_none(), "all are locked");
}

#[test]
fn a_wait_that_comes_again_is_told_what_it_was_granted() {
    let (store, factory) = factory();
    let first = done(&factory, &rawdoc! { "lockDocument": "jobs", "filter": { "_id": 1 } });
    let mut ask = rawdoc! {
        "lockDocument": "jobs", "filter": { "state": null, "_id": 1 }, "sleepMS": 600_000,
        "lockId": "new", "newLockId": true, "update": { "$set": { "state": "running" } },
    };
    let Started::Pending(waits) = factory.start_command(&ask) else { panic!("it is locked") };
    done(&factory, &rawdoc! { "unlockDocument": "jobs", "fence": fence(&first) });
    let granted = Task::new(waits).outcome();
    ask.append(cstr!("lockRetry"), true);
    let Started::Reply(again) = factory.start_command(&ask) else { panic!("it was granted") };
    assert_eq!(fence(&again), fence(&granted));
    assert_eq!(store.stats().unwrap().document_locks, 1);
}

#[test]
fn arguments_that_make_no_sense_are_refused_and_nothing_is_locked() {
    let (store, factory) = factory();
    for (command, code) in [
        (rawdoc! { "lockDocument": 1 }, 73),
        (rawdoc! { "lockDocument": "jobs", "filter": 1 }, 14),
        (rawdoc! { "lockDocument": "jobs", "filter": { "$no": 1 } }, 2),
        (rawdoc! { "lockDocument": "jobs", "unknown": 1 }, 40415),
        (rawdoc! { "lockDocument": "jobs", "sleepMS": -1 }, 51024),
        (rawdoc! { "lockDocument": "jobs", "maxWaitMS": 1, "waitUntilNS": 1 }, 2),
        (rawdoc! { "lockDocument": "jobs", "update": { "$set": { "lock_id": 1 } } }, 2),
        (rawdoc! { "lockDocument": "jobs", "update": { "n": 1 } }, 2),
        (rawdoc! { "lockDocument": "jobs", "lockId": "x".repeat(1_025) }, 2),
        (rawdoc! { "lockDocument": "jobs", "ttlMS": 0 }, 2),
        (rawdoc! { "unlockDocument": "jobs" }, 40414),
        (rawdoc! { "unlockDocument": "jobs", "fence": { "key": "k" } }, 40414),
        (rawdoc! { "inspectDocumentLock": "jobs", "fence": 1 }, 14),
        (rawdoc! { "renewDocumentLock": "jobs" }, 40414),
        (rawdoc! { "breakDocumentLocks": "jobs" }, 40414),
        (rawdoc! { "breakDocumentLocks": "jobs", "filter": {}, "reason": "x".repeat(1_025) }, 2),
        (rawdoc! { "lockedDocuments": "jobs", "batchSize": -1 }, 51024),
    ] {
        let reply = factory.run_command(&command);
        assert_eq!(reply.get_i32("code").ok(), Some(code), "{command:?}: {reply:?}");
    }
    assert_eq!(store.stats().unwrap().document_locks, 0);
}

#[test]
fn the_listing_of_locked_documents_goes_on_by_its_cursor() {
    let (_store, factory) = factory();
    for _ in 0..2 {
        done(&factory, &rawdoc! { "lockDocument": "jobs" });
    }
    let first = done(&factory, &rawdoc! { "lockedDocuments": "jobs", "batchSize": 1 });
    let cursor = first.get_document("cursor").unwrap().get_i64("id").unwrap();
    assert!(cursor != 0);
    let next = done(&factory, &rawdoc! { "getMore": cursor, "collection": "jobs" });
    let batch = next.get_document("cursor").unwrap().get_array("nextBatch").unwrap();
    assert_eq!(batch.into_iter().count(), 1);
    let broken = rawdoc! { "breakDocumentLocks": "jobs", "filter": {}, "reason": "cleared" };
    let broken = done(&factory, &broken);
    assert_eq!(broken.get_array("records").unwrap().into_iter().count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_sent_is_answered_and_leaves_the_store_sound(
        bytes in proptest::collection::vec(any::<u8>(), 0..2_048),
    ) {
        document_lock_commands(&bytes);
    }
}
