//! Collections as programs use them: with types of their own, and from many threads.

use std::collections::HashSet;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use lockstore::bson::oid::ObjectId;
use lockstore::bson::{Bson, Document, RawDocumentBuf, doc, rawdoc};
use lockstore::collection::{DeleteModel, InsertModel, ReplaceModel, UpdateModel};
use lockstore::{
    Collection, DocumentError, ErrorCode, IndexModel, ReturnDocument, Store, StoreError, WriteModel,
};
use lockstore_tests::deployment::Deployment;
use serde::{Deserialize, Serialize};

/// A struct with what serde makes of Rust's types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    #[serde(rename = "_id")]
    id: u32,
    kind: Kind,
    cost: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Print,
    Ship { parcels: u8 },
}

impl Job {
    fn new(id: u32, kind: Kind) -> Self {
        Self { id, kind, cost: f64::from(id), worker: None, tags: vec!["new".into()] }
    }
}

fn deployment() -> Deployment {
    Deployment::of(module_path!())
}

fn store() -> Store {
    deployment().in_memory()
}

fn collection<T>() -> Collection<T> {
    store().database("factory").collection("jobs")
}

fn filled(documents: impl IntoIterator<Item = Document>) -> Collection {
    let jobs = collection();
    jobs.insert_many(documents).run().unwrap();
    jobs
}

#[track_caller]
fn all(jobs: &Collection) -> Vec<Document> {
    jobs.find(doc! {}).run().unwrap().collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, DocumentError>, code: ErrorCode) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(!error.to_string().is_empty());
}

#[test]
fn a_value_of_a_type_comes_back_as_it_was() {
    let jobs = collection::<Job>();
    let given = [Job::new(1, Kind::Print), Job::new(2, Kind::Ship { parcels: 3 })];
    assert_eq!(jobs.insert_one(&given[0]).unwrap().inserted_id, Bson::Int64(1));
    jobs.insert_many(&given[1..]).run().unwrap();
    let found: Vec<Job> = jobs.find(doc! {}).run().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(found, given);
    let shipping = jobs.find_one(doc! { "kind.ship.parcels": 3 }).run().unwrap();
    assert_eq!(shipping.as_ref(), Some(&given[1]));
    let raw = jobs.with_type::<RawDocumentBuf>().find_one(doc! { "_id": 1 }).run().unwrap();
    assert_eq!(raw.unwrap().get_str("kind").unwrap(), "print");
}

#[test]
fn a_filter_may_be_a_struct_or_raw() {
    #[derive(Serialize)]
    struct Cheap {
        cost: f64,
    }
    let jobs = collection::<Job>();
    jobs.insert_one(Job::new(4, Kind::Print)).unwrap();
    assert_eq!(jobs.count_documents(Cheap { cost: 4.0 }).run().unwrap(), 1);
    assert_eq!(jobs.count_documents(rawdoc! { "cost": { "$lt": 4 } }).run().unwrap(), 0);
}

#[test]
fn a_document_that_is_no_value_of_the_type_is_an_error_of_its_own_and_the_cursor_goes_on() {
    let jobs = filled([doc! { "_id": "x" }, doc! { "_id": 2_i64, "kind": "print", "cost": 1.0 }]);
    let typed = jobs.with_type::<Job>();
    let mut found = typed.find(doc! {}).run().unwrap();
    assert!(matches!(found.next(), Some(Err(DocumentError::Deserialize(_)))));
    assert_eq!(found.next().unwrap().unwrap().id, 2);
    assert!(found.next().is_none() && found.next().is_none());

    let changed = typed.find_one_and_update(doc! { "_id": "x" }, doc! { "$set": { "n": 1 } });
    fails(changed.run(), ErrorCode::CONVERSION_FAILURE);
    assert_eq!(all(&jobs)[0], doc! { "_id": "x", "n": 1 }, "the change was made");
}

#[test]
fn what_is_no_document_changes_nothing() {
    let jobs = collection::<Document>();
    for error in [
        jobs.insert_one(5).unwrap_err(),
        jobs.insert_one("text").unwrap_err(),
        jobs.insert_one(doc! { "n": u64::MAX.to_string() }.get("none")).unwrap_err(),
        jobs.insert_one(
            [("too large", u64::MAX)].into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        )
        .unwrap_err(),
        jobs.insert_many([Bson::Document(doc! {}), Bson::Int32(1)]).run().unwrap_err(),
        jobs.find(3).run().unwrap_err(),
        jobs.find(doc! {}).sort("up").run().unwrap_err(),
        jobs.find_one(doc! {}).projection(1.5).run().unwrap_err(),
        jobs.delete_many(()).run().unwrap_err(),
        jobs.update_one(doc! {}, doc! { "$set": { "a": 1 } }).array_filters([1]).run().unwrap_err(),
        jobs.aggregate([1]).run().unwrap_err(),
    ] {
        assert!(
            matches!(error, DocumentError::Serialize(_) | DocumentError::Refused(_)),
            "{error:?}"
        );
    }
    assert_eq!(jobs.estimated_document_count().unwrap(), 0);
}

#[test]
fn names_that_no_collection_may_have_are_refused_by_each_request() {
    let store = store();
    for (database, name) in [("", "jobs"), ("a.b", "jobs"), ("a", ""), ("a", "$jobs"), ("a", "j\0")]
    {
        let jobs = store.database(database).collection::<Document>(name);
        assert_eq!((jobs.name(), jobs.namespace()), (name, &*format!("{database}.{name}")));
        fails(jobs.insert_one(doc! {}), ErrorCode::INVALID_NAMESPACE);
        fails(jobs.find(doc! {}).run(), ErrorCode::INVALID_NAMESPACE);
        fails(jobs.drop(), ErrorCode::INVALID_NAMESPACE);
        fails(jobs.create_index(IndexModel::new(doc! { "a": 1 })), ErrorCode::INVALID_NAMESPACE);
    }
    fails(store.database("a b").collection_names(), ErrorCode::INVALID_NAMESPACE);
    fails(store.database("").drop(), ErrorCode::INVALID_NAMESPACE);
}

#[test]
fn a_document_without_an_id_gets_one_in_front() {
    let jobs = collection::<Document>();
    let made = jobs.insert_one(doc! { "a": 1 }).unwrap().inserted_id;
    let id: ObjectId = made.as_object_id().unwrap();
    assert_eq!(all(&jobs), [doc! { "_id": id, "a": 1 }]);
    fails(jobs.insert_one(doc! { "_id": id }), ErrorCode::DUPLICATE_KEY);
    fails(jobs.insert_one(doc! { "_id": [1] }), ErrorCode::INVALID_ID_FIELD);
}

#[test]
fn an_ordered_insertion_ends_with_the_first_error_and_an_unordered_one_goes_on() {
    let documents = || [1, 2, 1, 3].map(|id| doc! { "_id": id });
    for (ordered, inserted) in [(true, vec![0, 1]), (false, vec![0, 1, 3])] {
        let jobs = collection::<Document>();
        let error = jobs.insert_many(documents()).ordered(ordered).run().unwrap_err();
        let DocumentError::Partial(partial) = error else { panic!("{error:?}") };
        assert_eq!(partial.result().inserted_ids.keys().copied().collect::<Vec<_>>(), inserted);
        assert_eq!(partial.errors().keys().copied().collect::<Vec<_>>(), [2]);
        assert!(matches!(partial.errors()[&2], DocumentError::DuplicateKey(_)));
        assert_eq!(all(&jobs).len(), inserted.len());
    }
    assert!(collection::<Document>().insert_many(Vec::<Document>::new()).run().is_ok());
}

#[test]
fn a_thousand_documents_have_their_ids_in_order() {
    let jobs = collection::<Document>();
    let inserted = jobs.insert_many((0..1_000).map(|n| doc! { "n": n })).run().unwrap();
    assert_eq!(inserted.inserted_ids.len(), 1_000);
    let found = all(&jobs);
    for (index, id) in &inserted.inserted_ids {
        assert_eq!(found[*index].get("_id"), Some(id));
    }
}

#[test]
fn a_search_sorts_skips_limits_and_projects_whatever_its_batches() {
    let jobs = filled((0..300).map(|n| doc! { "_id": n, "n": n % 7 }));
    let expected: Vec<i32> = {
        let mut ids: Vec<i32> = (0..300).collect();
        ids.sort_by_key(|id| (-(id % 7), *id));
        ids[5..255].to_vec()
    };
    for batch_size in [0, 1, 2, 101, 1_000, u32::MAX] {
        let found = jobs.find(doc! {}).sort(doc! { "n": -1, "_id": 1 }).skip(5).limit(250);
        let found = found.projection(doc! { "_id": 1 }).batch_size(batch_size).run().unwrap();
        let ids = found.map(|job| job.unwrap().get_i32("_id").unwrap());
        assert_eq!(ids.collect::<Vec<_>>(), expected);
    }
    assert_eq!(jobs.find(doc! {}).limit(0).run().unwrap().count(), 300);
    assert_eq!(jobs.find(doc! {}).skip(u64::MAX).run().unwrap().count(), 0);
    let third = jobs.find_one(doc! { "n": 3 }).skip(2).run().unwrap();
    assert_eq!(third, Some(doc! { "_id": 17, "n": 3 }));
}

#[test]
fn a_cursor_rests_while_its_collection_changes_and_outlives_its_handle() {
    let jobs = filled((0..10).map(|n| doc! { "_id": n }));
    let mut found = jobs.find(doc! {}).batch_size(2).run().unwrap();
    found.next().unwrap().unwrap();
    jobs.delete_many(doc! { "_id": { "$gte": 4, "$lt": 8 } }).run().unwrap();
    drop(jobs);
    let rest: Vec<i32> = found.map(|job| job.unwrap().get_i32("_id").unwrap()).collect();
    assert_eq!(rest, [1, 2, 3, 8, 9]);
}

#[test]
fn a_search_ends_with_an_error_when_its_collection_is_dropped() {
    let jobs = filled((0..10).map(|n| doc! { "_id": n }));
    let mut found = jobs.find(doc! {}).batch_size(2).run().unwrap();
    assert!(jobs.drop().unwrap());
    assert!(!jobs.drop().unwrap());
    assert!(found.by_ref().take(2).all(|document| document.is_ok()));
    fails(found.next().unwrap(), ErrorCode::new(175));
    assert!(found.next().is_none());
}

#[test]
fn counts_know_limits_hints_and_missing_collections() {
    let jobs = filled((0..20).map(|n| doc! { "_id": n, "n": n % 2 }));
    assert_eq!(jobs.count_documents(doc! { "n": 1 }).run().unwrap(), 10);
    assert_eq!(jobs.count_documents(doc! { "n": 1 }).skip(3).limit(5).run().unwrap(), 5);
    assert_eq!(jobs.count_documents(doc! {}).hint("_id_").run().unwrap(), 20);
    assert_eq!(jobs.estimated_document_count().unwrap(), 20);
    let none = collection::<Document>();
    assert_eq!(none.count_documents(doc! {}).run().unwrap(), 0);
    assert_eq!(none.estimated_document_count().unwrap(), 0);
    assert_eq!(none.find_one(doc! {}).run().unwrap(), None);
    assert_eq!(none.delete_many(doc! {}).run().unwrap().deleted_count, 0);
}

#[test]
fn updates_tell_what_matched_and_what_changed() {
    let jobs = filled((0..4).map(|n| doc! { "_id": n, "a": n % 2, "items": [1, 5, 9] }));
    let one = jobs.update_one(doc! { "a": 1 }, doc! { "$set": { "a": 1 } }).run().unwrap();
    assert_eq!((one.matched_count, one.modified_count, one.upserted_id), (1, 0, None));
    let many = jobs.update_many(doc! { "a": 1 }, doc! { "$inc": { "items.$[large]": 1 } });
    let many = many.array_filters([doc! { "large": { "$gte": 5 } }]).run().unwrap();
    assert_eq!((many.matched_count, many.modified_count), (2, 2));
    assert_eq!(all(&jobs)[1], doc! { "_id": 1, "a": 1, "items": [1, 6, 10] });

    let pipeline = vec![doc! { "$set": { "a": { "$add": ["$a", "$$by"] } } }];
    let by = jobs.update_many(doc! {}, &pipeline).let_vars(doc! { "by": 10 }).run().unwrap();
    assert_eq!(by.modified_count, 4);
    assert_eq!(jobs.distinct("a", doc! {}).run().unwrap(), [Bson::Int32(10), Bson::Int32(11)]);

    let replaced = jobs.replace_one(doc! { "_id": 9 }, doc! { "b": 1 }).upsert(true).run().unwrap();
    assert_eq!((replaced.matched_count, replaced.upserted_id), (0, Some(Bson::Int32(9))));
}

#[test]
fn different_values_that_no_document_could_hold_are_refused() {
    let large = |letter: &str| letter.repeat(9 << 20);
    let jobs =
        filled([doc! { "a": large("x") }, doc! { "a": large("y") }, doc! { "a": large("x") }]);
    fails(jobs.distinct("a", doc! {}).run(), ErrorCode::new(17217));
    assert_eq!(jobs.distinct("a", doc! { "a": { "$gt": "y" } }).run().unwrap().len(), 1);
}

#[test]
fn an_update_is_no_replacement_and_a_replacement_no_update() {
    let jobs = filled([doc! { "_id": 1, "a": 1 }]);
    let (all_of_it, set) = (doc! {}, doc! { "$set": { "a": 2 } });
    fails(jobs.update_one(&all_of_it, doc! { "a": 2 }).run(), ErrorCode::BAD_VALUE);
    fails(jobs.update_many(&all_of_it, doc! {}).run(), ErrorCode::BAD_VALUE);
    fails(jobs.find_one_and_update(&all_of_it, doc! { "a": 2 }).run(), ErrorCode::BAD_VALUE);
    fails(jobs.replace_one(&all_of_it, &set).run(), ErrorCode::BAD_VALUE);
    fails(jobs.find_one_and_replace(&all_of_it, vec![set]).run(), ErrorCode::BAD_VALUE);
    fails(jobs.update_one(&all_of_it, "text").run(), ErrorCode::FAILED_TO_PARSE);
    fails(jobs.update_one(&all_of_it, doc! { "$nothing": 1 }).run(), ErrorCode::FAILED_TO_PARSE);
    assert_eq!(all(&jobs), [doc! { "_id": 1, "a": 1 }]);
}

#[test]
fn an_update_of_many_that_fails_on_the_way_says_what_it_has_done() {
    let jobs = filled([
        doc! { "_id": 1, "n": 1 },
        doc! { "_id": 2, "n": "text" },
        doc! { "_id": 3, "n": 1 },
    ]);
    let error = jobs.update_many(doc! {}, doc! { "$inc": { "n": 1 } }).run().unwrap_err();
    assert_eq!(error.code(), ErrorCode::TYPE_MISMATCH);
    match error {
        DocumentError::Partial(partial) => {
            assert_eq!((partial.result().modified_count, partial.errors().len()), (1, 1));
        }
        error => assert!(deployment().is_mongodb(), "{error:?}"),
    }
    assert_eq!(all(&jobs)[0], doc! { "_id": 1, "n": 2 });
    let rest = jobs.update_many(doc! { "_id": { "$gt": 1 } }, doc! { "$inc": { "n": 1 } });
    assert!(matches!(rest.run(), Err(DocumentError::Refused(_))), "nothing was done before");
}

#[test]
fn a_document_is_given_back_as_it_was_or_as_it_is() {
    let jobs = filled([doc! { "_id": 1, "a": 1 }, doc! { "_id": 2, "a": 2 }]);
    let up = doc! { "$inc": { "a": 10 } };
    let was = jobs.find_one_and_update(doc! {}, &up).sort(doc! { "a": -1 }).run().unwrap();
    assert_eq!(was, Some(doc! { "_id": 2, "a": 2 }));
    let is = jobs.find_one_and_update(doc! { "_id": 1 }, &up).projection(doc! { "_id": 0 });
    let is = is.return_document(ReturnDocument::After).run().unwrap();
    assert_eq!(is, Some(doc! { "a": 11 }));

    let absent = || jobs.find_one_and_update(doc! { "_id": 3 }, &up);
    assert_eq!(absent().run().unwrap(), None);
    let made = absent().upsert(true).return_document(ReturnDocument::After).run().unwrap();
    assert_eq!(made, Some(doc! { "_id": 3, "a": 10 }));
    let other = jobs.find_one_and_replace(doc! { "_id": 4 }, doc! { "b": 1 }).upsert(true);
    assert_eq!(other.run().unwrap(), None, "there was none before");
    let gone = jobs.find_one_and_delete(doc! {}).sort(doc! { "_id": -1 }).run().unwrap();
    assert_eq!(gone, Some(doc! { "_id": 4, "b": 1 }));
    assert_eq!(all(&jobs).len(), 3);
}

#[test]
fn bulk_writes_are_done_in_order_up_to_the_first_error() {
    let insert = |id: i32| WriteModel::InsertOne(InsertModel::new(doc! { "_id": id, "n": 0 }));
    let writes = || {
        vec![
            insert(1),
            insert(2),
            WriteModel::UpdateMany(UpdateModel::new(doc! {}, doc! { "$inc": { "n": 1 } })),
            insert(3),
            insert(2),
            insert(4),
            WriteModel::ReplaceOne(
                ReplaceModel::new(doc! { "_id": 5 }, doc! { "n": 5 }).upsert(true),
            ),
            WriteModel::UpdateOne(UpdateModel::new(doc! {}, doc! { "n": 5 })),
            WriteModel::DeleteOne(DeleteModel::new(doc! { "n": 1 }).hint("_id_")),
            WriteModel::DeleteMany(DeleteModel::new(doc! { "n": 0 })),
        ]
    };
    let jobs = collection::<Document>();
    let DocumentError::Partial(partial) = jobs.bulk_write(writes()).run().unwrap_err() else {
        panic!("the fifth is there already")
    };
    assert_eq!(partial.errors().keys().copied().collect::<Vec<_>>(), [4]);
    assert_eq!(partial.result().inserted_ids.keys().copied().collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!((partial.result().matched_count, partial.result().deleted_count), (2, 0));

    let jobs = collection::<Document>();
    let error = jobs.bulk_write(writes()).ordered(false).run().unwrap_err();
    let DocumentError::Partial(partial) = error else { panic!("{error:?}") };
    assert_eq!(partial.errors().keys().copied().collect::<Vec<_>>(), [4, 7]);
    assert_eq!(partial.result().upserted_ids[&6], Bson::Int32(5));
    assert_eq!(partial.result().deleted_count, 3);
    assert_eq!(all(&jobs), [doc! { "_id": 2, "n": 1 }, doc! { "_id": 5, "n": 5 }]);

    let wrong = [insert(8), WriteModel::DeleteOne(DeleteModel::new(1))];
    assert!(!matches!(jobs.bulk_write(wrong).run(), Ok(_) | Err(DocumentError::Partial(_))));
    assert_eq!(all(&jobs).len(), 2, "nothing of it was done");
    assert!(jobs.bulk_write([]).run().is_ok());
}

#[test]
fn a_pipeline_gives_values_of_another_type() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Sum {
        #[serde(rename = "_id")]
        kind: String,
        cost: i32,
    }
    let jobs = filled((0..250).map(|n| doc! { "kind": format!("k{}", n % 125), "cost": n }));
    let stages = vec![
        doc! { "$match": { "$expr": { "$gte": ["$cost", "$$least"] } } },
        doc! { "$group": { "_id": "$kind", "cost": { "$sum": "$cost" } } },
        doc! { "$sort": { "cost": 1 } },
    ];
    let sums = jobs.aggregate(stages).let_vars(doc! { "least": 1 }).with_type::<Sum>();
    let sums: Vec<Sum> = sums.batch_size(10).run().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(sums.len(), 125);
    assert_eq!(sums[0], Sum { kind: "k0".into(), cost: 125 });
    fails(jobs.aggregate([doc! { "$nothing": 1 }]).run(), ErrorCode::new(40324));
    fails(jobs.aggregate([doc! { "$documents": [{}] }]).run(), ErrorCode::INVALID_NAMESPACE);
    assert_eq!(jobs.aggregate(Vec::<Document>::new()).run().unwrap().count(), 250);
}

#[test]
fn a_pipeline_works_when_its_cursor_is_asked() {
    let jobs = filled((0..200).map(|n| doc! { "_id": n, "n": 150 - n }));
    let share = [doc! { "$project": { "share": { "$divide": [300, "$n"] } } }];
    let mut found = jobs.aggregate(share).batch_size(2).run().unwrap();
    assert_eq!(found.next().unwrap().unwrap(), doc! { "_id": 0, "share": 2.0 });
    jobs.delete_many(doc! { "_id": { "$gte": 110, "$lt": 140 } }).run().unwrap();
    let mut rest: Vec<_> = found.collect();
    fails(rest.pop().unwrap(), ErrorCode::BAD_VALUE);
    let ids = rest.into_iter().map(|document| document.unwrap().get_i32("_id").unwrap());
    assert!(ids.eq((1..110).chain(140..150)), "it sees what was deleted, and ends with the error");
}

#[test]
fn a_sort_and_groups_larger_than_memory_go_by_the_disk_if_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("jobs.redb")).unwrap();
    let jobs: Collection = store.database("factory").collection("jobs");
    let text = "x".repeat(1 << 20);
    for n in 0..110 {
        jobs.insert_one(doc! { "_id": n, "k": (n * 7) % 110, "text": &text }).unwrap();
    }
    let sort = [doc! { "$sort": { "k": 1 } }, doc! { "$project": { "_id": 0, "k": 1 } }];
    let refused = jobs.aggregate(sort.clone()).allow_disk_use(false).run();
    fails(refused, ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT);
    let sorted: Vec<_> = jobs.aggregate(sort).run().unwrap().map(Result::unwrap).collect();
    assert!(sorted.iter().map(|job| job.get_i32("k").unwrap()).eq(0..110));
    let refused = jobs.find(doc! {}).sort(doc! { "k": -1 }).allow_disk_use(false).run();
    fails(refused, ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT);
    let found = jobs.find(doc! {}).sort(doc! { "k": -1 }).projection(doc! { "k": 1 }).skip(1);
    let found = found.run().unwrap().map(|job| job.unwrap().get_i32("k").unwrap());
    assert!(found.eq((0..109).rev()));
    let database = store.database("factory");
    let find = |disk_use: bool, limit: i32| {
        let find = rawdoc! { "find": "jobs", "sort": { "k": 1 }, "projection": { "k": 1 }, "limit": limit, "allowDiskUse": disk_use };
        Document::try_from(database.run_command(&find)).unwrap()
    };
    let refused = ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT.value();
    assert_eq!(find(false, 0).get_i32("code").unwrap(), refused);
    assert_eq!(find(false, 105).get_i32("code").unwrap(), refused);
    for (disk_use, limit) in [(false, 50), (true, 105)] {
        let reply = find(disk_use, limit);
        let found = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let found = found.iter().map(|job| job.as_document().unwrap().get_i32("k").unwrap());
        assert!(found.take(10).eq(0..10), "{limit} of them");
    }
    let group =
        doc! { "$group": { "_id": "$k", "text": { "$first": "$text" }, "n": { "$sum": 1 } } };
    let group = [group, doc! { "$project": { "n": 1 } }];
    let refused = jobs.aggregate(group.clone()).allow_disk_use(false).run();
    fails(refused, ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT);
    let groups: Vec<_> = jobs.aggregate(group).run().unwrap().map(Result::unwrap).collect();
    let ids: HashSet<_> = groups.iter().map(|group| group.get_i32("_id").unwrap()).collect();
    assert_eq!((groups.len(), ids.len()), (110, 110));
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "the store, its journal, and nothing else");
}

#[test]
fn indexes_are_made_listed_and_dropped() {
    let jobs = filled((0..10).map(|n| doc! { "_id": n, "a": n % 5, "at": n }));
    let made = jobs
        .create_indexes([
            IndexModel::new(doc! { "a": 1, "b": -1_i64 })
                .partial_filter(doc! { "a": { "$gt": 2 } }),
            IndexModel::new(doc! { "at": 1.0 })
                .expire_after(Duration::from_millis(1_500))
                .hidden(true),
        ])
        .unwrap();
    assert_eq!(made, ["a_1_b_-1", "at_1"]);
    assert_eq!(jobs.index_names().unwrap(), ["_id_", "a_1_b_-1", "at_1"]);
    let listed = jobs.list_indexes().unwrap();
    assert_eq!(listed[1].partial_filter, Some(doc! { "a": { "$gt": 2 } }));
    assert_eq!((listed[2].expire_after, listed[2].hidden), (Some(Duration::from_secs(2)), true));
    assert_eq!(jobs.create_index(listed[2].clone()).unwrap(), "at_1", "it is there already");

    let unique = jobs.create_index(IndexModel::new(doc! { "a": 1 }).unique(true));
    assert!(matches!(unique, Err(DocumentError::DuplicateKey(_))));
    let long = IndexModel::new(doc! { "c": 1 }).expire_after(Duration::MAX);
    fails(jobs.create_index(long), ErrorCode::CANNOT_CREATE_INDEX);
    fails(jobs.create_index(IndexModel::new(doc! {})), ErrorCode::CANNOT_CREATE_INDEX);
    fails(jobs.create_indexes([]), ErrorCode::BAD_VALUE);
    assert_eq!(jobs.index_names().unwrap().len(), 3);

    jobs.drop_index("at_1").unwrap();
    fails(jobs.drop_index("at_1"), ErrorCode::INDEX_NOT_FOUND);
    fails(jobs.drop_index("*"), ErrorCode::INDEX_NOT_FOUND);
    fails(jobs.drop_index("_id_"), ErrorCode::INVALID_OPTIONS);
    jobs.drop_index(doc! { "a": 1, "b": -1 }).unwrap();
    jobs.create_index(IndexModel::new(doc! { "a": 1 }).name("mine")).unwrap();
    assert_eq!(jobs.find(doc! { "a": 3 }).hint("mine").run().unwrap().count(), 2);
    jobs.drop_indexes().unwrap();
    assert_eq!(jobs.index_names().unwrap(), ["_id_"]);
    fails(jobs.find(doc! {}).hint("mine").run(), ErrorCode::BAD_VALUE);
    fails(collection::<Document>().list_indexes(), ErrorCode::NAMESPACE_NOT_FOUND);
}

#[test]
fn databases_list_and_drop_their_collections() {
    let store = store();
    let (factory, shop) = (store.database("factory"), store.database("shop"));
    factory.create_collection("jobs").unwrap();
    fails(factory.create_collection("jobs"), ErrorCode::NAMESPACE_EXISTS);
    factory.collection::<Document>("a.b").insert_one(doc! {}).unwrap();
    shop.create_collection("orders").unwrap();
    assert_eq!(store.database_names().unwrap(), ["factory", "shop"]);
    let listed = factory.list_collections().unwrap();
    assert_eq!(listed.iter().map(|info| &*info.name).collect::<Vec<_>>(), ["a.b", "jobs"]);
    assert_ne!(listed[0].uuid, listed[1].uuid);
    assert_eq!(factory.drop().unwrap(), !deployment().is_mongodb(), "it was there");
    assert!(!factory.drop().unwrap());
    assert_eq!(store.database_names().unwrap(), ["shop"]);
}

#[test]
fn only_simple_collations_are_known_and_comments_have_no_effect() {
    let jobs = filled([doc! { "a": "b" }, doc! { "a": "B" }]);
    let simple = jobs.find(doc! { "a": "b" }).collation(doc! { "locale": "simple" }).comment("why");
    assert_eq!(simple.run().unwrap().count(), 1);
    fails(jobs.find(doc! {}).collation(doc! { "locale": "de" }).run(), ErrorCode::BAD_VALUE);
    fails(jobs.delete_many(doc! {}).collation(doc! { "locale": "de" }).run(), ErrorCode::BAD_VALUE);
    assert_eq!(all(&jobs).len(), 2);
}

#[test]
fn time_runs_out_and_zero_is_no_limit() {
    let jobs = filled((0..1_000).map(|n| doc! { "n": n }));
    let instant = Duration::from_nanos(1);
    fails(jobs.find(doc! { "n": -1 }).max_time(instant).run(), ErrorCode::MAX_TIME_MS_EXPIRED);
    let update = jobs.update_many(doc! {}, doc! { "$inc": { "n": 1 } }).max_time(instant);
    fails(update.run(), ErrorCode::MAX_TIME_MS_EXPIRED);
    assert_eq!(jobs.find(doc! {}).max_time(Duration::ZERO).run().unwrap().count(), 1_000);
    assert_eq!(jobs.find(doc! {}).max_time(Duration::MAX).run().unwrap().count(), 1_000);
}

#[test]
fn what_is_too_deep_or_too_large_is_refused() {
    let jobs = collection::<Document>();
    let nested = |levels| (1..levels).fold(doc! {}, |inner, _| doc! { "a": inner });
    jobs.insert_one(nested(179)).unwrap();
    assert_eq!(all(&jobs).len(), 1);
    for levels in [181, 200, 250, 5_000] {
        fails(jobs.insert_one(nested(levels)), ErrorCode::OVERFLOW);
    }
    fails(jobs.find(nested(5_000)).run(), ErrorCode::OVERFLOW);
    fails(jobs.update_one(doc! {}, doc! { "$set": nested(250) }).run(), ErrorCode::OVERFLOW);
    fails(jobs.aggregate([nested(250)]).run(), ErrorCode::OVERFLOW);
    let large = "x".repeat(16 * 1024 * 1024);
    fails(jobs.insert_one(doc! { "large": &large }), ErrorCode::BAD_VALUE);
    fails(jobs.replace_one(doc! {}, doc! { "large": &large }).run(), ErrorCode::new(17419));
    assert_eq!(jobs.estimated_document_count().unwrap(), 1);
}

#[test]
fn a_closed_store_says_so() {
    let store = store();
    let jobs = store.database("factory").collection::<Document>("jobs");
    jobs.insert_many((0..5).map(|n| doc! { "_id": n })).run().unwrap();
    let mut found = jobs.find(doc! {}).batch_size(1).run().unwrap();
    store.close().unwrap();
    let closed = |error| matches!(error, DocumentError::Store(StoreError::Closed));
    assert!(closed(jobs.insert_one(doc! {}).unwrap_err()));
    assert!(closed(jobs.find(doc! {}).run().unwrap_err()));
    assert!(closed(jobs.update_one(doc! {}, doc! { "$set": { "a": 1 } }).run().unwrap_err()));
    let DocumentError::Partial(partial) = jobs.insert_many([doc! {}]).run().unwrap_err() else {
        panic!("an insertion of many tells which failed")
    };
    assert!(closed(partial.errors()[&0].clone()));
    assert!(found.next().unwrap().is_ok(), "it was read already");
    assert!(closed(found.next().unwrap().unwrap_err()));
}

#[test]
fn a_write_that_is_none_fails_alone() {
    let jobs = filled([doc! { "_id": 1 }, doc! { "_id": 2 }]);
    let update = |id: i32, update: Bson| {
        WriteModel::UpdateOne(UpdateModel::new(doc! { "_id": id }, update).upsert(true))
    };
    let set = || Bson::from(doc! { "$set": { "a": 1 } });
    let no_stage = Bson::from(vec![doc! { "$set": { "a": 2 }, "$unset": "b" }]);
    for (ordered, changed) in [(true, 1), (false, 3)] {
        jobs.update_many(doc! {}, doc! { "$unset": { "a": "" } }).run().unwrap();
        let writes = [
            update(1, set()),
            update(2, no_stage.clone()),
            update(2, set()),
            WriteModel::ReplaceOne(ReplaceModel::new(doc! { "_id": 3 }, doc! { "$set": 1 })),
            update(3, set()),
        ];
        let done = jobs.bulk_write(writes).ordered(ordered).run();
        let Err(DocumentError::Partial(partial)) = done else { panic!("{done:?}") };
        let failed: &[usize] = if ordered { &[1] } else { &[1, 3] };
        assert_eq!(partial.errors().keys().copied().collect::<Vec<_>>(), failed);
        assert_eq!(jobs.count_documents(doc! { "a": 1 }).run().unwrap(), changed);
    }
}

#[test]
fn eight_threads_never_take_the_same_job_from_a_queue() {
    let jobs = filled((0..400).map(|n| doc! { "_id": n, "state": "new", "cost": n % 10 }));
    jobs.create_index(IndexModel::new(doc! { "state": 1, "cost": -1 })).unwrap();
    let taken = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..8 {
            let (jobs, taken) = (jobs.clone(), &taken);
            scope.spawn(move || {
                let take = doc! { "$set": { "state": "taken", "worker": worker } };
                while let Some(job) = jobs
                    .find_one_and_update(doc! { "state": "new" }, &take)
                    .sort(doc! { "cost": -1 })
                    .return_document(ReturnDocument::After)
                    .run()
                    .unwrap()
                {
                    assert_eq!(job.get("worker"), Some(&Bson::Int32(worker)));
                    taken.lock().unwrap().push(job.get_i32("_id").unwrap());
                }
            });
        }
    });
    let taken = taken.into_inner().unwrap();
    assert_eq!(taken.len(), 400);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>().len(), 400);
}

#[test]
fn upserts_that_race_insert_once() {
    let counters = collection::<Document>();
    if deployment().is_mongodb() {
        counters.create_index(IndexModel::new(doc! { "name": 1 }).unique(true)).unwrap();
    }
    let barrier = Barrier::new(8);
    let inserted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (counters, barrier) = (counters.clone(), &barrier);
                scope.spawn(move || {
                    let count = doc! { "$inc": { "n": 1 } };
                    let rounds = (0..25).map(|round| {
                        barrier.wait();
                        let update =
                            counters.update_one(doc! { "name": round }, &count).upsert(true);
                        usize::from(update.run().unwrap().upserted_id.is_some())
                    });
                    rounds.sum::<usize>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(inserted, 25);
    assert_eq!(counters.count_documents(doc! { "n": 8 }).run().unwrap(), 25);
}

#[test]
fn what_is_public_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    fn send<T: Send>() {}
    check::<Collection<std::cell::Cell<u8>>>();
    check::<lockstore::collection::Find<'_, std::rc::Rc<u8>>>();
    check::<lockstore::collection::Update<'_, Document>>();
    check::<WriteModel>();
    check::<DocumentError>();

    send::<lockstore::Cursor<std::rc::Rc<u8>>>();
}
