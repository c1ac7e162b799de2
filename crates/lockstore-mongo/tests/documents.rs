//! Documents on a replica set, through the same interface as anywhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod own;

use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use lockstore::{
    Collection, DocumentError, ErrorCode, IndexModel, StoreError, TransactionEnd,
    TransactionOptions,
};
use lockstore_mongo::{Reads, ReplicaSetOptions};

use lockstore_testkit::replica_set::{ReplicaSet, new_database};
use own::Own;

impl Own {
    fn filled(count: i32) -> Self {
        let own = Self::new();
        own.jobs()
            .insert_many((0..count).map(|id| doc! { "_id": id, "kind": id % 3 }))
            .run()
            .unwrap();
        own
    }

    fn run(&self, command: &RawDocumentBuf) -> RawDocumentBuf {
        self.store.database(&self.database).run_command(command)
    }
}

fn ids(jobs: &Collection) -> Vec<i32> {
    let found = jobs.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    found.map(|job| job.unwrap().get_i32("_id").unwrap()).collect()
}

#[track_caller]
fn is_over(error: &DocumentError, expected: TransactionEnd) {
    match error {
        DocumentError::TransactionOver(end) if *end == expected => {}
        other => panic!("the transaction is over: {expected:?}, and not {other:?}"),
    }
}

#[test]
fn what_is_written_is_found_changed_and_deleted() {
    let own = Own::filled(10);
    let jobs = own.jobs();
    let updated =
        jobs.update_many(doc! { "kind": 0 }, doc! { "$set": { "kind": 7 } }).run().unwrap();
    assert_eq!((updated.matched_count, updated.modified_count), (4, 4));
    let upserted = jobs.update_one(doc! { "_id": 20 }, doc! { "$set": { "kind": 8 } }).upsert(true);
    assert_eq!(upserted.run().unwrap().upserted_id, Some(Bson::Int32(20)));
    let before = jobs.find_one_and_update(doc! { "_id": 20 }, doc! { "$inc": { "kind": 1 } });
    assert_eq!(before.run().unwrap(), Some(doc! { "_id": 20, "kind": 8 }));
    assert_eq!(jobs.delete_many(doc! { "kind": { "$lt": 7 } }).run().unwrap().deleted_count, 6);
    assert_eq!(ids(&jobs), [0, 3, 6, 9, 20]);
    assert_eq!(jobs.count_documents(doc! { "kind": 7 }).run().unwrap(), 4);
    assert_eq!(jobs.distinct("kind", doc! {}).run().unwrap(), [Bson::Int32(7), Bson::Int32(9)]);
    let summed = jobs.aggregate([
        doc! { "$group": { "_id": "$kind", "n": { "$sum": 1 } } },
        doc! { "$sort": { "_id": 1 } },
    ]);
    let summed: Vec<Document> = summed.run().unwrap().map(Result::unwrap).collect();
    assert_eq!(summed, [doc! { "_id": 7, "n": 4 }, doc! { "_id": 9, "n": 1 }]);
    assert_eq!(own.store.database(&own.database).collection_names().unwrap(), ["jobs"]);
}

#[test]
fn an_error_of_mongodb_is_told_as_it_is() {
    let own = Own::filled(3);
    let twice = own.jobs().insert_one(doc! { "_id": 1 }).unwrap_err();
    let DocumentError::DuplicateKey(twice) = twice else { panic!("{twice:?}") };
    assert_eq!(twice.value(), &*rawdoc! { "_id": 1 });
    let unknown = own.run(&rawdoc! { "somethingNew": 1 });
    assert_eq!(unknown.get_i32("code").unwrap(), ErrorCode::COMMAND_NOT_FOUND.value());
    let bad = own.jobs().find(doc! { "a": { "$noSuchOperator": 1 } }).run().unwrap_err();
    assert_eq!(bad.code(), ErrorCode::BAD_VALUE);
}

#[test]
fn a_cursor_goes_on_in_batches_and_can_be_left() {
    let own = Own::filled(1_000);
    let mut found = own.jobs().find(doc! {}).batch_size(70).run().unwrap();
    for _ in 0..100 {
        found.next().unwrap().unwrap();
    }
    let begun = own.run(&rawdoc! { "find": "jobs", "batchSize": 10 });
    let id = begun.get_document("cursor").unwrap().get_i64("id").unwrap();
    let killed = own.run(&rawdoc! { "killCursors": "jobs", "cursors": [id] });
    assert_eq!(killed.get_array("cursorsKilled").unwrap().into_iter().count(), 1, "{killed:?}");
    let gone = own.run(&rawdoc! { "getMore": id, "collection": "jobs" });
    assert_eq!(gone.get_i32("code").unwrap(), ErrorCode::CURSOR_NOT_FOUND.value(), "{gone:?}");
    // The other one is as it was.
    assert_eq!(found.count(), 900);
}

#[test]
fn indexes_are_made_listed_and_kept() {
    let own = Own::filled(3);
    let name = own
        .jobs()
        .create_index(IndexModel::new(doc! { "name": 1 }).unique(true).sparse(true))
        .unwrap();
    assert_eq!(name, "name_1");
    own.jobs().create_index(IndexModel::new(doc! { "name": 1 }).unique(true).sparse(true)).unwrap();
    assert_eq!(own.jobs().list_indexes().unwrap().len(), 2);
    own.jobs().update_one(doc! { "_id": 1 }, doc! { "$set": { "name": "a" } }).run().unwrap();
    let twice = own.jobs().update_one(doc! { "_id": 2 }, doc! { "$set": { "name": "a" } }).run();
    assert!(matches!(twice, Err(DocumentError::DuplicateKey(_))), "{twice:?}");
    own.jobs().drop_indexes().unwrap();
    assert_eq!(own.jobs().list_indexes().unwrap().len(), 1);
}

#[test]
fn a_batch_larger_than_a_document_goes_in_parts() {
    let own = Own::new();
    let large = "x".repeat(7_000_000);
    let (inserted, last) = (5, 2);
    let done = own
        .jobs()
        .insert_many((0..inserted).map(|id| doc! { "_id": id, "large": &large }))
        .run()
        .unwrap();
    assert_eq!(done.inserted_ids.len(), 5);
    // Beside one that is there already.
    let more = [last, 5, 6].map(|id| doc! { "_id": id, "large": &large });
    let again = own.jobs().insert_many(more).ordered(false).run();
    let Err(DocumentError::Partial(partial)) = again else { panic!("{again:?}") };
    assert_eq!(partial.errors().keys().collect::<Vec<_>>(), [&0]);
    assert_eq!(ids(&own.jobs()), [0, 1, 2, 3, 4, 5, 6]);
    let set = doc! { "$set": { "large": "" } };
    own.store
        .transaction(|tx| own.jobs().in_transaction(tx).update_many(doc! {}, set.clone()).run())
        .unwrap();
}

#[test]
fn reads_may_make_sure_that_the_primary_is_the_primary() {
    let own = Own::with(ReplicaSetOptions::new().reads(Reads::Linearizable));
    own.jobs().insert_one(doc! { "_id": 1 }).unwrap();
    assert_eq!(ids(&own.jobs()), [1]);
    assert_eq!(own.jobs().count_documents(doc! {}).run().unwrap(), 1);
    drop(own.jobs().aggregate([doc! { "$out": "copies" }]).run().unwrap());
    let copies: Collection = own.store.database(&own.database).collection("copies");
    assert_eq!(ids(&copies), [1]);
}

#[test]
fn nobody_sees_a_transaction_before_its_commit_and_then_all_of_it() {
    let own = Own::filled(3);
    let tx = own.store.begin_transaction().unwrap();
    let inside = own.jobs().in_transaction(&tx);
    inside.insert_one(doc! { "_id": 3 }).unwrap();
    inside.delete_one(doc! { "_id": 0 }).run().unwrap();
    let notes: Collection = tx.collection(&own.database, "notes");
    notes.insert_one(doc! { "_id": 1 }).unwrap();
    assert_eq!(ids(&inside), [1, 2, 3]);
    assert_eq!(ids(&own.jobs()), [0, 1, 2]);
    tx.commit().unwrap();
    assert_eq!(ids(&own.jobs()), [1, 2, 3]);
    is_over(&inside.find_one(doc! {}).run().unwrap_err(), TransactionEnd::Committed);

    let tx = own.store.begin_transaction().unwrap();
    own.jobs().in_transaction(&tx).delete_many(doc! {}).run().unwrap();
    tx.abort();
    assert_eq!(ids(&own.jobs()), [1, 2, 3]);
}

#[test]
fn of_two_transactions_that_change_a_document_one_is_run_again() {
    let own = Own::new();
    own.jobs().insert_one(doc! { "_id": 1, "n": 0 }).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let added = own.store.transaction(|tx| {
                        let jobs = own.jobs().in_transaction(tx);
                        let n =
                            jobs.find_one(doc! { "_id": 1 }).run()?.unwrap().get_i32("n").unwrap();
                        jobs.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": n + 1 } })
                            .run()
                            .map(drop)
                    });
                    added.unwrap();
                }
            });
        }
    });
    assert_eq!(own.jobs().find_one(doc! {}).run().unwrap(), Some(doc! { "_id": 1, "n": 40 }));
}

#[test]
fn a_command_that_fails_ends_its_transaction_and_whoever_goes_on_is_told() {
    let own = Own::filled(3);
    let tx = own.store.begin_transaction().unwrap();
    let inside = own.jobs().in_transaction(&tx);
    inside.insert_one(doc! { "_id": 9 }).unwrap();
    let twice = inside.insert_one(doc! { "_id": 1 }).unwrap_err();
    assert!(matches!(twice, DocumentError::DuplicateKey(_)), "{twice:?}");
    is_over(&tx.commit().unwrap_err(), TransactionEnd::Aborted);
    assert_eq!(ids(&own.jobs()), [0, 1, 2]);
}

#[test]
fn what_cannot_be_in_a_transaction_is_refused_and_does_not_end_it() {
    let own = Own::filled(3);
    let mut tx = own.store.begin_transaction().unwrap();
    let first = rawdoc! {
        "insert": "jobs", "documents": [{ "_id": 10 }], "readConcern": { "level": "snapshot" },
    };
    assert_eq!(tx.run_command(&own.database, &first).get_i32("n").unwrap(), 1);
    for (command, code) in [
        (rawdoc! { "drop": "jobs" }, ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION),
        (first, ErrorCode::INVALID_OPTIONS),
        (
            rawdoc! { "delete": "jobs", "deletes": [], "writeConcern": { "w": 1 } },
            ErrorCode::INVALID_OPTIONS,
        ),
    ] {
        let refused = tx.run_command(&own.database, &command);
        assert_eq!(refused.get_i32("code").unwrap(), code.value(), "{refused:?}");
    }
    tx.commit().unwrap();
    assert_eq!(ids(&own.jobs()), [0, 1, 2, 10]);
}

#[test]
fn a_transaction_ends_with_its_lifetime() {
    let own = Own::filled(3);
    let lifetime = Duration::from_millis(200);
    let tx =
        own.store.begin_transaction_with(&TransactionOptions::new().lifetime(lifetime)).unwrap();
    own.jobs().in_transaction(&tx).delete_one(doc! { "_id": 1 }).run().unwrap();
    // It is what stands in the way until then.
    own.jobs().update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).run().unwrap();
    is_over(&tx.commit().unwrap_err(), TransactionEnd::Expired { lifetime });
    assert_eq!(ids(&own.jobs()), [0, 1, 2]);
}

/// Nobody has to wait until MongoDB ends them.
#[test]
fn a_store_that_is_closed_ends_its_transactions() {
    let own = Own::filled(1);
    let set = doc! { "$set": { "kind": 7 } };
    let address = ReplicaSet::shared().uri();
    let elsewhere = ReplicaSetOptions::new().database(new_database()).connect(&address).unwrap();
    let tx = elsewhere.begin_transaction().unwrap();
    let theirs = elsewhere.database(&own.database).collection::<Document>("jobs");
    theirs.in_transaction(&tx).update_one(doc! {}, set.clone()).run().unwrap();
    elsewhere.close().unwrap();
    let jobs = own.jobs();
    let changed = jobs.update_one(doc! { "kind": 0 }, set);
    assert_eq!(changed.max_time(Duration::from_secs(20)).run().unwrap().modified_count, 1);
    let told = tx.commit().unwrap_err();
    assert!(matches!(told, DocumentError::Store(StoreError::Closed)), "{told:?}");
}

#[test]
fn what_relies_on_a_grant_is_refused_when_it_is_gone() {
    let own = Own::filled(3);
    let guard = own.store.lock("nightly").holder("early").acquire().unwrap();
    let fenced = own.jobs().fenced_by(guard.fence());
    fenced.insert_one(doc! { "_id": 10 }).unwrap();
    let tx = own.store.begin_transaction().unwrap();
    own.jobs().in_transaction(&tx).fenced_by(guard.fence()).insert_one(doc! { "_id": 11 }).unwrap();
    guard.release().unwrap();
    let late = fenced.insert_one(doc! { "_id": 12 }).unwrap_err();
    let DocumentError::LockLost(lost) = late else { panic!("{late:?}") };
    assert_eq!((lost.key.as_str(), &lost.now_held_by), ("nightly", &None));
    let late = tx.commit().unwrap_err();
    assert!(matches!(late, DocumentError::LockLost(_)), "{late:?}");

    let other =
        own.store.lock("nightly").holder("other").ttl(Duration::from_secs(60)).acquire().unwrap();
    let late = fenced.update_many(doc! {}, doc! { "$set": { "n": 1 } }).run().unwrap_err();
    let DocumentError::LockLost(lost) = late else { panic!("{late:?}") };
    let by = lost.now_held_by.unwrap();
    assert_eq!((by.holder.as_str(), by.token), ("other", other.token()));
    assert!(by.remaining.unwrap() > Duration::from_secs(30));
    let late = fenced.create_index(IndexModel::new(doc! { "kind": 1 })).unwrap_err();
    assert!(matches!(late, DocumentError::LockLost(_)), "{late:?}");
    assert_eq!(ids(&own.jobs()), [0, 1, 2, 10]);
}

#[test]
fn of_a_batch_that_relies_on_a_grant_what_fails_does_not_undo_the_rest() {
    let own = Own::filled(3);
    let guard = own.store.lock("nightly").acquire().unwrap();
    let fenced = own.jobs().fenced_by(guard.fence());
    for (is_ordered, first, expected) in [(true, 10, vec![10]), (false, 20, vec![20, 22])] {
        let batch = [first, 1, first + 2].map(|id| doc! { "_id": id });
        let done = fenced.insert_many(batch).ordered(is_ordered).run();
        let Err(DocumentError::Partial(partial)) = done else { panic!("{done:?}") };
        assert_eq!(partial.errors().keys().collect::<Vec<_>>(), [&1]);
        let there: Vec<_> = ids(&own.jobs()).into_iter().filter(|id| *id >= first).collect();
        assert_eq!(there, expected);
    }
}

#[test]
fn a_commit_acquires_renews_and_releases_locks_with_its_documents() {
    let own = Own::filled(1);
    let held = own.store.lock("held").ttl(Duration::from_secs(30)).acquire().unwrap();
    let released = own.store.lock("released").acquire().unwrap();
    let acquired = own.store.transaction(|tx| {
        own.jobs().in_transaction(tx).insert_one(doc! { "_id": 5 })?;
        tx.renew(&held)?;
        tx.release(&released)?;
        tx.lock("acquired").acquire()
    });
    let acquired = acquired.unwrap();
    let guard = acquired.guard().unwrap();
    assert!(own.store.is_lock_holder("acquired", guard.holder()).unwrap());
    assert!(guard.token() > released.token());
    assert!(!own.store.is_locked("released").unwrap());
    assert_eq!(ids(&own.jobs()), [0, 5]);

    // What is held by then is told at once, and nothing is done.
    let tx = own.store.begin_transaction().unwrap();
    own.jobs().in_transaction(&tx).insert_one(doc! { "_id": 6 }).unwrap();
    let refused = tx.lock("held").acquire().unwrap_err();
    assert!(matches!(refused, DocumentError::Acquire(_)), "{refused:?}");
    drop(tx);
    assert_eq!(ids(&own.jobs()), [0, 5]);
}
