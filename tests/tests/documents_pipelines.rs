//! Pipelines that programs and tools run: what they use, and what they write.

use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bson::{Bson, Document, RawDocument, doc, rawdoc};
use lockstore::{Collection, Database, DocumentError, ErrorCode, Store, StoreError};
use lockstore_tests::machine::{Machine, secs};

fn filled(store: &Store, name: &str, numbers: std::ops::Range<i32>) -> Collection {
    let jobs = store.database("factory").collection(name);
    jobs.insert_many(numbers.map(|n| doc! { "_id": n, "n": n % 7 })).run().unwrap();
    jobs
}

fn run(database: &Database, command: &RawDocument) -> Document {
    Document::try_from(database.run_command(command)).unwrap()
}

#[track_caller]
fn run_well(database: &Database, command: &RawDocument) -> Document {
    let reply = run(database, command);
    assert!(reply.get_f64("ok").is_ok_and(|ok| ok > 0.0), "{reply}");
    reply
}

/// Runs a pipeline that writes: it gives nothing.
#[track_caller]
fn write(jobs: &Collection, stages: &[Document]) {
    assert_eq!(jobs.aggregate(stages).run().unwrap().count(), 0);
}

/// The names of the stages of a plan, from the top.
fn stages(plan: &Document) -> Vec<String> {
    let mut names = vec![plan.get_str("stage").unwrap().to_owned()];
    if let Ok(inner) = plan.get_document("inputStage") {
        names.extend(stages(inner));
    }
    names
}

#[test]
fn a_match_and_a_sort_in_front_use_an_index_and_explain_shows_it() {
    let store = Store::in_memory().unwrap();
    filled(&store, "jobs", 0..100);
    let database = store.database("factory");
    let explain = |pipeline: Bson| {
        let pipeline = bson::RawBson::try_from(pipeline).unwrap();
        let command =
            rawdoc! { "explain": { "aggregate": "jobs", "pipeline": pipeline, "cursor": {} } };
        let reply = run_well(&database, &command);
        stages(reply.get_document("queryPlanner").unwrap().get_document("winningPlan").unwrap())
    };
    let pipeline = bson::bson!([
        { "$match": { "n": { "$gte": 2 } } },
        { "$match": { "n": { "$lt": 5 } } },
        { "$sort": { "n": 1 } },
        { "$group": { "_id": "$n" } },
    ]);
    assert_eq!(explain(pipeline.clone()), ["SORT", "COLLSCAN"]);
    run_well(
        &database,
        &rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "n": 1 }, "name": "n" }] },
    );
    assert_eq!(explain(pipeline), ["FETCH", "IXSCAN"]);
}

#[test]
fn readers_see_a_collection_before_an_output_or_behind_it() {
    let store = Store::in_memory().unwrap();
    let (small, large) = (filled(&store, "small", 0..10), filled(&store, "large", 0..600));
    let target: Collection = store.database("factory").collection("target");
    let out = [doc! { "$out": "target" }];
    write(&small, &out);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let count = target.estimated_document_count().unwrap();
                assert!(count == 10 || count == 600, "{count} documents are neither collection");
            }
        });
        for _ in 0..20 {
            write(&large, &out);
            write(&small, &out);
        }
        done.store(true, Ordering::Relaxed);
    });
    let names: Vec<_> = store.database("factory").list_collections().unwrap();
    assert_eq!(names.len(), 3, "nothing but the three is left: {names:?}");
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn an_output_that_was_cut_short_is_gone_at_the_next_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let store = Store::open(&path).unwrap();
    filled(&store, "jobs", 0..10);
    filled(&store, "tmp.agg_out.cut-short", 0..300);
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    let names: Vec<_> = store.database("factory").list_collections().unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    let left: Collection = store.database("factory").collection("tmp.agg_out.cut-short");
    assert_eq!(left.count_documents(doc! {}).run().unwrap(), 0);
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_collection_that_is_renamed_keeps_its_documents_and_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.redb");
    let store = Store::open(&path).unwrap();
    filled(&store, "old", 0..10);
    filled(&store, "other", 0..3);
    let (factory, admin) = (store.database("factory"), store.database("admin"));
    run_well(
        &factory,
        &rawdoc! { "createIndexes": "old", "indexes": [{ "key": { "n": 1 }, "name": "n" }] },
    );
    let rename = |to: &str, drop_target: bool| {
        rawdoc! { "renameCollection": "factory.old", "to": to, "dropTarget": drop_target }
    };
    let code = |reply: Document| reply.get_i32("code").unwrap();
    assert_eq!(code(run(&factory, &rename("factory.new", false))), ErrorCode::UNAUTHORIZED.value());
    assert_eq!(
        code(run(&admin, &rename("factory.other", false))),
        ErrorCode::NAMESPACE_EXISTS.value()
    );
    assert_eq!(
        code(run(&admin, &rename("factory.old", true))),
        ErrorCode::ILLEGAL_OPERATION.value()
    );
    run_well(&admin, &rename("factory.other", true));
    assert_eq!(
        code(run(&admin, &rename("factory.new", true))),
        ErrorCode::NAMESPACE_NOT_FOUND.value()
    );
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    let other: Collection = store.database("factory").collection("other");
    assert_eq!(other.count_documents(doc! {}).run().unwrap(), 10);
    assert_eq!(other.count_documents(doc! { "n": 2 }).hint(doc! { "n": 1 }).run().unwrap(), 2);
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn an_upsert_that_was_planned_before_a_rename_looks_again() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..50);
    thread::scope(|scope| {
        let upserts = scope.spawn(|| {
            for _ in 0..200 {
                let target: Collection = store.database("factory").collection("target");
                let update = doc! { "$inc": { "count": 1 } };
                target.update_one(doc! { "n": 3 }, update).upsert(true).run().unwrap();
            }
        });
        while !upserts.is_finished() {
            write(&jobs, &[doc! { "$out": "target" }]);
            let target: Collection = store.database("factory").collection("target");
            let threes = target.count_documents(doc! { "n": 3 }).run().unwrap();
            assert_eq!(threes, 7, "no upsert has inserted what was there");
        }
    });
}

#[test]
fn a_merge_gives_each_document_to_its_own_and_inserts_the_others() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..2_500);
    let sums: Collection = store.database("factory").collection("sums");
    let merge = [
        doc! { "$group": { "_id": "$n", "count": { "$sum": 1 } } },
        doc! { "$merge": { "into": "sums", "whenMatched": [
            { "$set": { "count": { "$add": ["$count", "$$new.count"] } } },
        ] } },
    ];
    for round in 1..=2 {
        write(&jobs, &merge);
        let count = sums.aggregate([doc! { "$group": { "_id": null, "n": { "$sum": "$count" } } }]);
        let count: Vec<Document> = count.run().unwrap().map(Result::unwrap).collect();
        assert_eq!(count, [doc! { "_id": null, "n": 2_500 * round }]);
    }
    // What is inserted is not read again.
    let shift =
        [doc! { "$set": { "_id": { "$add": ["$_id", 10_000] } } }, doc! { "$merge": "jobs" }];
    write(&jobs, &shift);
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 5_000);
}

#[test]
fn a_merge_of_many_documents_takes_few_commits() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..2_000);
    filled(&store, "target", 1_000..5_000);
    let commits = store.stats().unwrap().commits;
    write(&jobs, &[doc! { "$set": { "new": true } }, doc! { "$merge": "target" }]);
    write(&jobs, &[doc! { "$project": { "_id": 0 } }, doc! { "$merge": "target" }]);
    let commits = store.stats().unwrap().commits - commits;
    assert!(commits < 30, "{commits} for 4,000 documents, of which 256 go into one");
    let target: Collection = store.database("factory").collection("target");
    assert_eq!(target.count_documents(doc! {}).run().unwrap(), 7_000);
    assert_eq!(target.count_documents(doc! { "new": true }).run().unwrap(), 2_000);
}

#[test]
fn merges_into_one_collection_lose_nothing_of_each_other() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..300);
    let sums: Collection = store.database("factory").collection("sums");
    let merge = [
        doc! { "$project": { "n": { "$literal": 1 } } },
        doc! { "$merge": { "into": "sums", "whenMatched": [
            { "$set": { "n": { "$add": ["$n", "$$new.n"] } } },
        ] } },
    ];
    let (threads, rounds) = (4, 5);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..rounds).for_each(|_| write(&jobs, &merge)));
        }
    });
    assert_eq!(sums.count_documents(doc! { "n": threads * rounds }).run().unwrap(), 300);
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_merge_keeps_its_order_where_another_unique_index_refuses() {
    let store = Store::in_memory().unwrap();
    let database = store.database("factory");
    let (source, target): (Collection, Collection) =
        (database.collection("source"), database.collection("target"));
    target.insert_one(doc! { "_id": 2, "u": 1 }).unwrap();
    let index = rawdoc! { "key": { "u": 1 }, "name": "u", "unique": true };
    run_well(&database, &rawdoc! { "createIndexes": "target", "indexes": [index] });
    // The first frees what the second takes; the third takes it too.
    let new = [doc! { "_id": 2, "u": 7 }, doc! { "_id": 3, "u": 1 }, doc! { "_id": 4, "u": 1 }];
    source.insert_many(new).run().unwrap();
    let merge = [doc! { "$sort": { "_id": 1 } }, doc! { "$merge": "target" }];
    let refused = source.aggregate(merge).run().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::DUPLICATE_KEY);
    let found = target.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    let found: Vec<_> = found.map(Result::unwrap).collect();
    assert_eq!(found, [doc! { "_id": 2, "u": 7 }, doc! { "_id": 3, "u": 1 }]);
}

#[test]
fn a_sample_differs_from_the_next() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..1_000);
    let sample = || -> Vec<i32> {
        let found = jobs.aggregate([doc! { "$sample": { "size": 20 } }]).run().unwrap();
        found.map(|job| job.unwrap().get_i32("_id").unwrap()).collect()
    };
    let (one, other) = (sample(), sample());
    assert_eq!((one.len(), other.len()), (20, 20));
    assert_ne!(one, other);
}

#[test]
fn a_pipeline_in_a_transaction_sees_what_the_transaction_has_written_and_writes_nothing_itself() {
    let store = Store::in_memory().unwrap();
    filled(&store, "jobs", 0..10);
    filled(&store, "other", 0..5);
    store
        .transaction(|transaction| {
            let jobs: Collection = transaction.collection("factory", "jobs");
            let other: Collection = transaction.collection("factory", "other");
            other.insert_one(doc! { "_id": 50, "n": 3 })?;
            jobs.delete_many(doc! { "_id": { "$lt": 3 } }).run()?;
            let join =
                doc! { "from": "other", "localField": "n", "foreignField": "n", "as": "same" };
            let stages = [
                doc! { "$match": { "n": 3 } },
                doc! { "$lookup": join },
                doc! { "$unwind": "$same" },
                doc! { "$sort": { "_id": 1, "same._id": 1 } },
                doc! { "$project": { "same": "$same._id" } },
            ];
            let found: Vec<Document> = jobs.aggregate(stages).run()?.collect::<Result<_, _>>()?;
            assert_eq!(found, [doc! { "_id": 3, "same": 3 }, doc! { "_id": 3, "same": 50 }]);
            let refused = jobs.aggregate([doc! { "$out": "target" }]).run().unwrap_err();
            assert_eq!(refused.code(), ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION);
            Ok::<_, lockstore::DocumentError>(())
        })
        .unwrap();
}

/// Fails with the document 1000.
fn trap() -> Document {
    doc! { "$divide": [1, { "$subtract": [1000, "$_id"] }] }
}

#[test]
fn what_is_behind_a_limit_is_never_looked_at() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..1010);
    let limit = doc! { "$limit": 3 };
    let lazy = [
        doc! { "$match": { "$expr": { "$ne": [trap(), 0] } } },
        doc! { "$addFields": { "x": trap() } },
        doc! { "$project": { "x": trap() } },
        doc! { "$replaceWith": { "x": trap() } },
        doc! { "$redact": { "$cond": [{ "$ne": [trap(), 0] }, "$$KEEP", "$$PRUNE"] } },
        doc! { "$lookup": { "from": "jobs", "let": { "id": "$_id" }, "as": "x", "pipeline": [
            { "$match": { "$expr": { "$eq": ["$_id", "$$id"] } } }, { "$addFields": { "x": trap() } },
        ] } },
    ];
    for stage in &lazy {
        let all =
            jobs.aggregate([stage.clone()]).run().and_then(Iterator::collect::<Result<Vec<_>, _>>);
        assert_eq!(all.unwrap_err().code(), ErrorCode::BAD_VALUE, "{stage}: the trap works");
        let some = jobs.aggregate([stage.clone(), limit.clone()]).run().unwrap();
        assert_eq!(some.map(Result::unwrap).count(), 3, "{stage}");
    }
    let set = &lazy[1];
    let unwind = [set.clone(), doc! { "$unwind": "$x" }, limit.clone()];
    assert_eq!(jobs.aggregate(&unwind).run().unwrap().map(Result::unwrap).count(), 3);
    let union =
        [doc! { "$unionWith": { "coll": "jobs", "pipeline": [set.clone()] } }, limit.clone()];
    assert_eq!(jobs.aggregate(&union).run().unwrap().map(Result::unwrap).count(), 3);
    for blocking in [doc! { "$sort": { "n": 1 } }, doc! { "$group": { "_id": "$n" } }] {
        let stages = [set.clone(), blocking, limit.clone()];
        let all = jobs.aggregate(&stages).run().and_then(Iterator::collect::<Result<Vec<_>, _>>);
        all.unwrap_err();
    }
}

#[test]
fn a_cursor_comes_to_an_error_when_it_comes_to_the_document() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..1010);
    let mut cursor =
        jobs.aggregate([doc! { "$addFields": { "x": trap() } }]).batch_size(2).run().unwrap();
    let before: Vec<_> = cursor.by_ref().take_while(Result::is_ok).collect();
    assert_eq!(before.len(), 1000);
}

/// Finds as many documents as there are of four of `jobs` together.
fn multiplying() -> Vec<Document> {
    let lookup = doc! { "$lookup": { "from": "jobs", "pipeline": [], "as": "x" } };
    let unwind = doc! { "$unwind": "$x" };
    iter::repeat_n([lookup, unwind], 3).flatten().collect()
}

/// Takes years for 300 documents, and asks their collection for nothing meanwhile.
fn endless() -> Vec<Document> {
    let mut stages = multiplying();
    stages.push(doc! { "$match": { "none": 1 } });
    stages
}

#[test]
fn the_time_of_a_pipeline_is_up_where_documents_are_multiplied() {
    let store = Store::in_memory().unwrap();
    let jobs = filled(&store, "jobs", 0..300);
    let error = jobs.aggregate(endless()).max_time(Duration::from_millis(50)).run().unwrap_err();
    assert_eq!(error.code(), ErrorCode::MAX_TIME_MS_EXPIRED);
    let mut stages = multiplying();
    stages.push(doc! { "$group": { "_id": "$x.n", "count": { "$sum": 1 } } });
    stages.push(doc! { "$out": "target" });
    let error = jobs.aggregate(stages).max_time(Duration::from_millis(50)).run().unwrap_err();
    assert_eq!(error.code(), ErrorCode::MAX_TIME_MS_EXPIRED);
    let pipeline = bson::RawBson::try_from(Bson::from(endless())).unwrap();
    let command =
        rawdoc! { "aggregate": "jobs", "pipeline": pipeline, "cursor": {}, "maxTimeMS": 50 };
    let reply = run(&store.database("factory"), &command);
    assert_eq!(reply.get_i32("code").unwrap(), 50, "{reply}");
}

#[test]
fn a_store_that_is_closed_ends_its_pipelines() {
    let mut writing = multiplying();
    writing.extend([doc! { "$unset": ["_id", "x"] }, doc! { "$out": "target" }]);
    for stages in [endless(), writing] {
        let store = Store::in_memory().unwrap();
        let jobs = filled(&store, "jobs", 0..300);
        let (begins, begun) = channel();
        thread::scope(|scope| {
            let ended = scope.spawn(|| {
                begins.send(()).unwrap();
                jobs.aggregate(&stages).run().map(Iterator::count)
            });
            begun.recv().unwrap();
            // It is at work by now; if not, it finds a closed store, and is told the same.
            thread::sleep(Duration::from_millis(100));
            store.clone().close().unwrap();
            let error = ended.join().unwrap().unwrap_err();
            assert!(matches!(error, DocumentError::Store(StoreError::Closed)), "{error:?}");
        });
    }
}

#[test]
fn the_time_of_a_cursor_goes_by_only_while_it_works() {
    let machine = Machine::new();
    let store = machine.open();
    let jobs = filled(&store, "jobs", 0..300);
    let short = || jobs.aggregate(multiplying()).batch_size(2).max_time(secs(1));
    let mut piped = short().run().unwrap();
    let mut found = jobs.find(doc! {}).batch_size(2).max_time(secs(1)).run().unwrap();
    for _ in 0..10 {
        machine.clock.advance(secs(5));
        assert!(piped.next().unwrap().is_ok());
        assert!(found.next().unwrap().is_ok());
    }
    let database = store.database("factory");
    for command in [
        rawdoc! { "find": "jobs", "batchSize": 2, "maxTimeMS": 1_000 },
        rawdoc! { "aggregate": "jobs", "pipeline": [{ "$set": { "x": 1 } }], "cursor": { "batchSize": 2 }, "maxTimeMS": 1_000 },
    ] {
        let reply = run_well(&database, &command);
        let id = reply.get_document("cursor").unwrap().get_i64("id").unwrap();
        machine.clock.advance(secs(5));
        let more = rawdoc! { "getMore": id, "collection": "jobs", "batchSize": 2 };
        let batch = run_well(&database, &more);
        assert_eq!(batch.get_document("cursor").unwrap().get_array("nextBatch").unwrap().len(), 2);
    }
}
