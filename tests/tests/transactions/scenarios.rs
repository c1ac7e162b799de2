//! Inside a transaction: it sees what was committed when it began and what it has changed itself, with the same calls, results and
//! errors as outside; and nobody else sees anything of it before its commit.

use bson::{Document, RawDocument, doc, rawdoc};
use lockstore::collection::{DeleteModel, InsertModel, UpdateModel};
use lockstore::{
    Collection, DocumentError, ErrorCode, IndexModel, ReturnDocument, Store, Transaction,
    TransactionEnd, WriteModel,
};
use lockstore_tests::deployment::Deployment;
use lockstore_tests::patience::patient;

fn jobs(store: &Store) -> Collection {
    store.database("factory").collection("jobs")
}

fn deployment() -> Deployment {
    Deployment::of(module_path!())
}

/// A store with ten jobs of three kinds, and indexes on `kind` and `cost`.
fn filled() -> Store {
    let store = deployment().in_memory();
    let jobs = jobs(&store);
    jobs.insert_many(
        (0..10).map(|n| doc! { "_id": n, "kind": n % 3, "cost": 100 - n, "tags": [n, n + 1] }),
    )
    .run()
    .unwrap();
    jobs.create_index(IndexModel::new(doc! { "kind": 1 })).unwrap();
    jobs.create_index(IndexModel::new(doc! { "cost": 1 }).unique(true)).unwrap();
    jobs.create_index(IndexModel::new(doc! { "tags": 1 })).unwrap();
    store
}

fn begin(store: &Store) -> (Transaction, Collection) {
    let transaction = store.begin_transaction_with(&patient()).unwrap();
    let inside = transaction.collection("factory", "jobs");
    (transaction, inside)
}

fn all(collection: &Collection) -> Vec<Document> {
    collection.find(doc! {}).run().unwrap().map(Result::unwrap).collect()
}

fn ids(found: lockstore::Cursor<Document>) -> Vec<i32> {
    found.map(|document| document.unwrap().get_i32("_id").unwrap()).collect()
}

#[track_caller]
fn assert_sound(store: &Store) {
    deployment().assert_sound(store);
}

#[test]
fn nobody_sees_a_transaction_before_its_commit_and_then_all_of_it() {
    let store = filled();
    let outside = jobs(&store);
    let before = all(&outside);
    let (tx, inside) = begin(&store);
    inside.insert_one(doc! { "_id": 10, "kind": 1, "cost": 7 }).unwrap();
    inside.update_many(doc! { "kind": 0 }, doc! { "$set": { "kind": 5 } }).run().unwrap();
    inside.delete_one(doc! { "_id": 1 }).run().unwrap();
    tx.collection::<Document>("factory", "notes").insert_one(doc! { "_id": 1 }).unwrap();
    assert_eq!(all(&outside), before);
    assert_eq!(store.database("factory").collection_names().unwrap(), ["jobs"]);
    let seen = all(&inside);
    assert_ne!(seen, before);
    tx.commit().unwrap();
    assert_eq!(all(&outside), seen);
    assert_eq!(store.database("factory").collection_names().unwrap(), ["jobs", "notes"]);
    assert_eq!(outside.count_documents(doc! { "kind": 5 }).run().unwrap(), 4);
    let late = inside.find_one(doc! {}).run().unwrap_err();
    assert!(matches!(late, DocumentError::TransactionOver(TransactionEnd::Committed)), "{late:?}");
    assert_sound(&store);
}

#[test]
fn a_transaction_that_is_dropped_or_aborted_has_changed_nothing() {
    let store = filled();
    let before = all(&jobs(&store));
    for is_dropped in [true, false] {
        let (tx, inside) = begin(&store);
        inside.delete_many(doc! {}).run().unwrap();
        tx.collection::<Document>("factory", "notes").insert_one(doc! { "_id": 1 }).unwrap();
        if is_dropped {
            drop(tx);
        } else {
            tx.abort();
        }
        assert_eq!(all(&jobs(&store)), before);
        assert_eq!(store.database("factory").collection_names().unwrap(), ["jobs"]);
        let late = inside.insert_one(doc! { "_id": 11 }).unwrap_err();
        assert!(
            matches!(late, DocumentError::TransactionOver(TransactionEnd::Aborted)),
            "{late:?}"
        );
        assert_eq!(late.code(), ErrorCode::NO_SUCH_TRANSACTION);
    }
    assert_sound(&store);
}

#[test]
fn a_panic_or_an_error_in_the_closure_aborts() {
    let store = filled();
    let before = all(&jobs(&store));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.transaction(|tx| -> Result<(), DocumentError> {
            jobs(&store).in_transaction(tx).delete_many(doc! {}).run()?;
            panic!("on purpose")
        })
    }));
    panicked.unwrap_err();
    assert_eq!(all(&jobs(&store)), before);
    let failed: Result<(), Box<dyn std::error::Error>> = store.transaction(|tx| {
        jobs(&store).in_transaction(tx).delete_many(doc! {}).run()?;
        Err("an error of the caller's own".into())
    });
    assert_eq!(failed.unwrap_err().to_string(), "an error of the caller's own");
    assert_eq!(all(&jobs(&store)), before);
    // The store serves on.
    jobs(&store).insert_one(doc! { "_id": 11 }).unwrap();
}

#[test]
fn what_it_reads_stays_as_it_was_when_it_began() {
    let store = filled();
    let (tx, inside) = begin(&store);
    let first = all(&inside);
    let outside = jobs(&store);
    outside.insert_one(doc! { "_id": 20, "kind": 0, "cost": 1_000 }).unwrap();
    outside.update_many(doc! {}, doc! { "$set": { "kind": 9 } }).run().unwrap();
    outside.delete_one(doc! { "_id": 3 }).run().unwrap();
    store.database("factory").collection::<Document>("others").insert_one(doc! {}).unwrap();
    assert_eq!(all(&inside), first);
    assert_eq!(inside.count_documents(doc! { "kind": 9 }).run().unwrap(), 0);
    assert_eq!(inside.estimated_document_count().unwrap(), 10);
    assert_eq!(ids(inside.find(doc! { "kind": 0 }).run().unwrap()), [0, 3, 6, 9]);
    let kinds = inside.distinct("kind", doc! {}).run().unwrap();
    assert_eq!(kinds, [0.into(), 1.into(), 2.into()]);
    let others: Collection = tx.collection("factory", "others");
    match others.find(doc! {}).run() {
        Ok(found) => assert_eq!(found.count(), 0),
        Err(lost) => {
            assert!(deployment().is_mongodb(), "{lost:?}");
            let is_lost = matches!(lost, DocumentError::TransactionOver(TransactionEnd::Lost));
            assert!(is_lost && lost.is_transient(), "{lost:?}");
        }
    }
}

#[test]
fn it_finds_its_own_writes_by_index_in_order_and_through_pipelines() {
    let store = filled();
    let (tx, inside) = begin(&store);
    inside.insert_one(doc! { "_id": 10, "kind": 1, "cost": 50, "tags": [5, 99] }).unwrap();
    inside
        .update_one(doc! { "_id": 4 }, doc! { "$set": { "cost": 500, "kind": 8 } })
        .run()
        .unwrap();
    inside.delete_one(doc! { "_id": 7 }).run().unwrap();

    // By index: what has come, gone and moved.
    assert_eq!(ids(inside.find(doc! { "kind": 1 }).hint("kind_1").run().unwrap()), [1, 10]);
    assert_eq!(ids(inside.find(doc! { "kind": 8 }).run().unwrap()), [4]);
    assert_eq!(ids(inside.find(doc! { "tags": 5 }).run().unwrap()), [4, 5, 10]);
    let dear = inside.find(doc! { "cost": { "$gte": 98 } }).sort(doc! { "cost": 1 });
    assert_eq!(ids(dear.run().unwrap()), [2, 1, 0, 4]);
    let cheap = inside.find(doc! {}).sort(doc! { "cost": 1 }).limit(3);
    assert_eq!(ids(cheap.run().unwrap()), [10, 9, 8]);
    let backwards = inside.find(doc! {}).sort(doc! { "cost": -1 }).limit(3);
    assert_eq!(ids(backwards.run().unwrap()), [4, 0, 1]);
    // By the order of insertion, both ways.
    assert_eq!(ids(inside.find(doc! {}).run().unwrap()), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]);
    let natural = inside.find(doc! {}).sort(doc! { "$natural": -1 }).limit(3);
    assert_eq!(ids(natural.run().unwrap()), [10, 9, 8]);
    // Counted and summed up.
    assert_eq!(inside.count_documents(doc! {}).run().unwrap(), 10);
    assert_eq!(inside.count_documents(doc! { "kind": { "$lte": 1 } }).run().unwrap(), 6);
    assert_eq!(inside.estimated_document_count().unwrap(), 10);
    let sums = inside.aggregate([
        doc! { "$match": { "kind": { "$in": [1, 8] } } },
        doc! { "$group": { "_id": "$kind", "cost": { "$sum": "$cost" } } },
        doc! { "$sort": { "_id": 1 } },
    ]);
    let sums: Vec<Document> = sums.run().unwrap().map(Result::unwrap).collect();
    assert_eq!(sums, [doc! { "_id": 1, "cost": 149 }, doc! { "_id": 8, "cost": 500 }]);
    // A pipeline that looks into another collection sees the transaction there too.
    let kinds: Collection = tx.collection("factory", "kinds");
    kinds.insert_one(doc! { "_id": 8, "name": "eight" }).unwrap();
    let joined = inside.aggregate([
        doc! { "$match": { "_id": 4 } },
        doc! { "$lookup": { "from": "kinds", "localField": "kind", "foreignField": "_id", "as": "kind" } },
    ]);
    let joined: Document = joined.run().unwrap().next().unwrap().unwrap();
    assert_eq!(joined.get_array("kind").unwrap()[0], doc! { "_id": 8, "name": "eight" }.into());

    let seen = all(&inside);
    tx.commit().unwrap();
    assert_eq!(all(&jobs(&store)), seen);
    assert_sound(&store);
}

#[test]
fn all_kinds_of_writes_see_those_before_them() {
    let store = filled();
    let (tx, inside) = begin(&store);
    // An upsert inserts, and the next one updates what it inserted.
    let count = doc! { "$inc": { "n": 1 } };
    let first =
        inside.update_one(doc! { "_id": "c", "cost": -1 }, &count).upsert(true).run().unwrap();
    assert_eq!(first.upserted_id, Some("c".into()));
    let second = inside.update_one(doc! { "_id": "c" }, &count).upsert(true).run().unwrap();
    assert_eq!((second.matched_count, second.modified_count, second.upserted_id), (1, 1, None));
    // One document is found, changed and given back, and by another of its fields once more.
    let running = inside
        .find_one_and_update(doc! { "kind": 2 }, doc! { "$set": { "kind": "running" } })
        .sort(doc! { "cost": 1 })
        .return_document(ReturnDocument::After);
    assert_eq!(running.run().unwrap().unwrap().get_i32("_id").unwrap(), 8);
    let gone = inside.find_one_and_delete(doc! { "kind": "running" }).run().unwrap().unwrap();
    assert_eq!(gone.get_i32("_id").unwrap(), 8);
    let none = inside.find_one_and_replace(doc! { "_id": 8 }, doc! { "x": 1 }).run().unwrap();
    assert_eq!(none, None);
    inside.replace_one(doc! { "_id": 9 }, doc! { "cost": "nine" }).run().unwrap();
    let models = [
        WriteModel::InsertOne(InsertModel::new(doc! { "_id": "m", "cost": -2 })),
        WriteModel::UpdateOne(UpdateModel::new(
            doc! { "_id": "m" },
            doc! { "$set": { "cost": -3 } },
        )),
        WriteModel::DeleteOne(DeleteModel::new(doc! { "_id": 0 })),
    ];
    let bulk = inside.bulk_write(models).run().unwrap();
    assert_eq!((bulk.modified_count, bulk.deleted_count), (1, 1));
    // What is changed back, or comes and goes, is no change.
    inside.insert_one(doc! { "_id": "short", "cost": -4 }).unwrap();
    inside.delete_one(doc! { "_id": "short" }).run().unwrap();

    let seen = all(&inside);
    tx.commit().unwrap();
    assert_eq!(all(&jobs(&store)), seen);
    assert_eq!(seen.len(), 10);
    assert_sound(&store);
}

/// Changes that may be much work are worked out by their caller, and then looked at once more: also where the document is one that
/// the transaction has changed before.
#[test]
fn changes_that_may_be_much_work_see_those_before_them() {
    let store = filled();
    let (tx, inside) = begin(&store);
    let much =
        || doc! { "$expr": { "$eq": ["$tags", { "$map": { "input": "$tags", "in": "$$this" } }] } };
    let twice = || vec![doc! { "$set": { "tags": { "$concatArrays": ["$tags", "$tags"] } } }];
    for round in 1..=3 {
        let one =
            inside.update_one(doc! { "$and": [{ "_id": 0 }, much()] }, twice()).run().unwrap();
        assert_eq!((one.matched_count, one.modified_count), (1, 1), "round {round}");
        let many = inside.update_many(much(), twice()).run().unwrap();
        assert_eq!((many.matched_count, many.modified_count), (10, 10), "round {round}");
    }
    let tags = |jobs: &Collection, id: i32| {
        jobs.find_one(doc! { "_id": id }).run().unwrap().unwrap().get_array("tags").unwrap().len()
    };
    assert_eq!((tags(&inside, 0), tags(&inside, 1)), (2 << 6, 2 << 3));
    assert_eq!(
        inside
            .delete_many(doc! { "$and": [{ "_id": { "$gt": 1 } }, much()] })
            .run()
            .unwrap()
            .deleted_count,
        8
    );
    tx.commit().unwrap();
    assert_eq!((tags(&jobs(&store), 0), tags(&jobs(&store), 1)), (2 << 6, 2 << 3));
    assert_sound(&store);
}

#[test]
fn unique_keys_pass_from_one_document_to_another_in_one_transaction() {
    let store = filled();
    let (tx, inside) = begin(&store);
    // Deleted, and inserted again with the same keys.
    inside.delete_one(doc! { "_id": 3 }).run().unwrap();
    inside.insert_one(doc! { "_id": 3, "cost": 97, "again": true }).unwrap();
    // Two exchange their keys by way of a third.
    for (id, cost) in [(0, -1), (1, 100), (0, 99)] {
        inside.update_one(doc! { "_id": id }, doc! { "$set": { "cost": cost } }).run().unwrap();
    }
    tx.commit().unwrap();
    let outside = jobs(&store);
    let by_cost = |cost: i32| ids(outside.find(doc! { "cost": cost }).run().unwrap());
    assert_eq!((by_cost(99), by_cost(100), by_cost(97)), (vec![0], vec![1], vec![3]));
    // What was deleted and inserted stands where what is inserted stands.
    assert_eq!(ids(outside.find(doc! {}).run().unwrap()).last(), Some(&3));
    assert_sound(&store);
}

/// A command that fails has changed nothing. In a file the transaction goes on; MongoDB has aborted it.
#[test]
fn a_key_that_is_there_already_is_an_error_of_its_command() {
    type Step = fn(&Collection) -> Result<(), DocumentError>;
    let refused: [Step; 3] = [
        |inside| inside.insert_one(doc! { "_id": 11, "cost": 95, "tags": [99] }).map(drop),
        |inside| inside.insert_one(doc! { "_id": 3, "cost": 5 }).map(drop),
        |inside| {
            let taken = doc! { "$set": { "cost": 99 } };
            inside.update_one(doc! { "_id": 2 }, taken).run().map(drop)
        },
    ];
    for refused in refused {
        let store = filled();
        let before = all(&jobs(&store));
        let (tx, inside) = begin(&store);
        inside.insert_one(doc! { "_id": 10, "cost": 50 }).unwrap();
        let error = refused(&inside).unwrap_err();
        assert!(matches!(error, DocumentError::DuplicateKey(_)), "{error:?}");
        if deployment().is_mongodb() {
            let over = inside.find_one(doc! {}).run().unwrap_err();
            let is_aborted =
                matches!(over, DocumentError::TransactionOver(TransactionEnd::Aborted));
            assert!(is_aborted, "{over:?}");
            tx.commit().unwrap_err();
            assert_eq!(all(&jobs(&store)), before);
        } else {
            assert_eq!(inside.find(doc! { "tags": 99 }).run().unwrap().count(), 0);
            tx.commit().unwrap();
            assert_eq!(jobs(&store).estimated_document_count().unwrap(), 11);
        }
        assert_sound(&store);
    }
}

#[test]
fn many_documents_take_many_steps_and_one_commit() {
    let store = filled();
    let (tx, inside) = begin(&store);
    inside
        .insert_many((101..3_101).map(|n| doc! { "_id": n, "kind": 7, "cost": n }))
        .run()
        .unwrap();
    let upserts = (0..1_500).map(|n| (5_000 + n, doc! { "$set": { "cost": 5_000 + n } }));
    for (id, update) in upserts {
        inside.update_one(doc! { "_id": id }, update).upsert(true).run().unwrap();
    }
    let changed =
        inside.update_many(doc! { "kind": 7 }, doc! { "$inc": { "kind": 1 } }).run().unwrap();
    assert_eq!(changed.modified_count, 3_000);
    assert_eq!(
        inside
            .delete_many(doc! { "cost": { "$lt": 1_000, "$gte": 200 } })
            .run()
            .unwrap()
            .deleted_count,
        800
    );
    let commits = store.stats().unwrap().commits;
    tx.commit().unwrap();
    assert_eq!(store.stats().unwrap().commits, commits + deployment().commits());
    assert_eq!(jobs(&store).count_documents(doc! { "kind": 8 }).run().unwrap(), 2_200);
    assert_eq!(jobs(&store).estimated_document_count().unwrap(), 10 + 2_200 + 1_500);
    assert_sound(&store);
}

#[test]
fn a_cursor_of_a_transaction_goes_on_in_it() {
    let store = filled();
    let (tx, inside) = begin(&store);
    inside.insert_one(doc! { "_id": 10, "cost": 1 }).unwrap();
    let mut found = inside.find(doc! {}).batch_size(3).run().unwrap();
    assert_eq!(found.next().unwrap().unwrap().get_i32("_id").unwrap(), 0);
    jobs(&store).delete_many(doc! { "_id": { "$ne": 9 } }).run().unwrap();
    inside.delete_one(doc! { "_id": 9 }).run().unwrap();
    assert_eq!(found.by_ref().take(5).count(), 5);
    assert_eq!(ids_left(&mut found), [6, 7, 8, 10]);
    let mut late = inside.find(doc! {}).batch_size(3).run().unwrap();
    late.next().unwrap().unwrap();
    tx.abort();
    let told = late.find_map(Result::err).expect("the transaction is over");
    assert_eq!(told.code(), ErrorCode::NO_SUCH_TRANSACTION);
    assert!(late.next().is_none());
}

fn ids_left(found: &mut lockstore::Cursor<Document>) -> Vec<i32> {
    found.map(|document| document.unwrap().get_i32("_id").unwrap()).collect()
}

#[test]
fn definitions_are_refused_with_a_typed_error() {
    let store = filled();
    let (mut tx, inside) = begin(&store);
    let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
    assert_eq!(inside.create_index(IndexModel::new(doc! { "z": 1 })).unwrap_err().code(), code);
    assert_eq!(inside.drop_index("kind_1").unwrap_err().code(), code);
    assert_eq!(inside.drop().unwrap_err().code(), code);
    for command in [
        rawdoc! { "create": "more" },
        rawdoc! { "drop": "jobs" },
        rawdoc! { "dropDatabase": 1 },
        rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "z": 1 }, "name": "z" }] },
        rawdoc! { "listCollections": 1 },
        rawdoc! { "count": "jobs" },
    ] {
        let reply = tx.run_command("factory", &command);
        assert_eq!(reply.get_i32("code").unwrap(), 263, "{command:?}: {reply:?}");
    }
    // It goes on.
    inside.insert_one(doc! { "_id": 10 }).unwrap();
    tx.commit().unwrap();
    assert_eq!(all(&jobs(&store)).len(), 11);
}

fn ok(reply: &RawDocument) -> bool {
    reply.get_f64("ok").unwrap() > 0.0
}

#[test]
fn commands_run_one_after_the_other_in_one_transaction() {
    let store = filled();
    let mut tx = store.begin_transaction().unwrap();
    let insert = rawdoc! { "insert": "jobs", "documents": [{ "_id": 10, "cost": 1 }], "readConcern": { "level": "snapshot" } };
    assert_eq!(tx.run_command("factory", &insert).get_i32("n").unwrap(), 1);
    let update = rawdoc! { "update": "jobs", "updates": [{ "q": { "_id": 10 }, "u": { "$inc": { "cost": 1 } } }] };
    assert_eq!(tx.run_command("factory", &update).get_i32("nModified").unwrap(), 1);
    let found = tx.run_command("factory", &rawdoc! { "find": "jobs", "batchSize": 4 });
    let cursor = found.get_document("cursor").unwrap().get_i64("id").unwrap();
    assert_ne!(cursor, 0);
    let more = rawdoc! { "getMore": cursor, "collection": "jobs" };
    let more = tx.run_command("factory", &more);
    let batch = more.get_document("cursor").unwrap().get_array("nextBatch").unwrap();
    assert_eq!(batch.into_iter().count(), 7);
    let outside =
        store.database("factory").run_command(&rawdoc! { "find": "jobs", "filter": { "_id": 10 } });
    assert!(ok(&outside));
    assert_eq!(
        outside
            .get_document("cursor")
            .unwrap()
            .get_array("firstBatch")
            .unwrap()
            .into_iter()
            .count(),
        0
    );
    tx.commit().unwrap();
    assert_eq!(
        jobs(&store).find_one(doc! { "cost": 2 }).run().unwrap(),
        Some(doc! { "_id": 10, "cost": 2 })
    );
}

/// The handles of a transaction may go to other threads: what they do is done one after the other, and each reading is whole.
#[test]
fn several_threads_may_work_in_one_transaction() {
    let store = filled();
    let (tx, inside) = begin(&store);
    let pairs = 50;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let inside = &inside;
            scope.spawn(move || {
                for n in 0..pairs {
                    let id = 1_000 + thread * pairs + n;
                    inside.insert_one(doc! { "_id": id, "cost": id, "kind": "new" }).unwrap();
                    let counted = doc! { "$inc": { "n": 1 } };
                    inside.update_one(doc! { "_id": "c" }, counted).upsert(true).run().unwrap();
                    let all = inside.find(doc! { "kind": "new" }).run().unwrap();
                    let first = 1_000 + thread * pairs;
                    let found =
                        ids(all).into_iter().filter(|id| (first..=first + n).contains(id)).count();
                    assert_eq!(found, usize::try_from(n + 1).unwrap());
                }
            });
        }
    });
    tx.commit().unwrap();
    let outside = jobs(&store);
    let counter = outside.find_one(doc! { "_id": "c" }).run().unwrap().unwrap();
    assert_eq!(counter.get_i32("n").unwrap(), 4 * pairs);
    assert_eq!(outside.count_documents(doc! { "kind": "new" }).run().unwrap(), 200);
    assert_sound(&store);
}

/// Many that are begun and left open do not hold each other, and each sees its own moment: elsewhere, that of its first operation.
#[test]
fn open_transactions_each_see_their_own_moment() {
    let store = deployment().in_memory();
    store.database("factory").create_collection("jobs").unwrap();
    let open: Vec<_> = (0..20)
        .map(|n| {
            let (tx, inside) = begin(&store);
            assert_eq!(inside.find_one(doc! { "_id": n }).run().unwrap(), None);
            jobs(&store).insert_one(doc! { "_id": n }).unwrap();
            tx
        })
        .collect();
    for (n, tx) in open.iter().enumerate() {
        let inside: Collection = tx.collection("factory", "jobs");
        assert_eq!(all(&inside).len(), n);
        assert_eq!(inside.estimated_document_count().unwrap(), n as u64);
    }
}
