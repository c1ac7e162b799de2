//! Documents, indexes and cursors.

use mongodb::bson::{Document, doc};
use mongodb::error::{ErrorKind, WriteFailure};
use mongodb::options::{IndexOptions, ReturnDocument};
use mongodb::{Client as AsyncClient, IndexModel};
use serde::{Deserialize, Serialize};

use crate::served::{Served, jobs};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    #[serde(rename = "_id")]
    id: i32,
    state: String,
    tags: Vec<String>,
}

#[test]
fn documents_are_written_found_changed_and_deleted_as_types() {
    let served = Served::start();
    let jobs = served.client().database("factory").collection::<Job>("jobs");
    let job = |id| Job { id, state: "READY".into(), tags: vec!["a".into()] };
    assert_eq!(jobs.insert_one(job(1)).run().unwrap().inserted_id.as_i32(), Some(1));
    let many = jobs.insert_many((2..=9).map(job)).run().unwrap();
    assert_eq!(many.inserted_ids.len(), 8);
    assert_eq!(jobs.find_one(doc! { "_id": 3 }).run().unwrap(), Some(job(3)));
    let update = doc! { "$set": { "state": "RUNNING" }, "$push": { "tags": "b" } };
    let one = jobs.update_one(doc! { "_id": 1 }, update).run().unwrap();
    assert_eq!((one.matched_count, one.modified_count), (1, 1));
    let many = jobs.update_many(doc! { "_id": { "$gt": 6 } }, doc! { "$set": { "state": "DONE" } });
    assert_eq!(many.run().unwrap().modified_count, 3);
    let upserted = jobs.replace_one(doc! { "_id": 10 }, job(10)).upsert(true).run().unwrap();
    assert_eq!(upserted.upserted_id.unwrap().as_i32(), Some(10));
    let taken = jobs
        .find_one_and_update(doc! { "state": "READY" }, doc! { "$set": { "state": "RUNNING" } })
        .sort(doc! { "_id": -1 })
        .return_document(ReturnDocument::After);
    let taken = taken.run().unwrap().unwrap();
    assert_eq!((taken.id, &*taken.state), (10, "RUNNING"));
    assert_eq!(jobs.find_one_and_delete(doc! { "_id": 10 }).run().unwrap().unwrap().id, 10);
    assert_eq!(jobs.delete_many(doc! { "state": "DONE" }).run().unwrap().deleted_count, 3);
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 6);
    assert_eq!(jobs.estimated_document_count().run().unwrap(), 6);
    let mut states = jobs.distinct("state", doc! {}).run().unwrap();
    states.sort_by_key(ToString::to_string);
    assert_eq!(states, ["READY".into(), "RUNNING".into()]);
    assert_eq!(served.stop(), Some(0), "a server that is asked to ends cleanly");
}

#[test]
fn a_cursor_goes_through_many_batches_and_ends_at_the_server_when_it_is_dropped() {
    let served = Served::start();
    let client = served.client();
    let jobs = jobs(&client);
    jobs.insert_many((0..1_000).map(|id| doc! { "_id": id, "even": id % 2 == 0 })).run().unwrap();
    let found = jobs.find(doc! { "even": true }).sort(doc! { "_id": 1 }).batch_size(7).run();
    let ids: Vec<i32> = found.unwrap().map(|job| job.unwrap().get_i32("_id").unwrap()).collect();
    assert_eq!(ids, (0..1_000).step_by(2).collect::<Vec<_>>());
    let pipeline =
        [doc! { "$group": { "_id": "$even", "n": { "$sum": 1 } } }, doc! { "$sort": { "_id": 1 } }];
    let groups: Vec<Document> =
        jobs.aggregate(pipeline).batch_size(1).run().unwrap().map(Result::unwrap).collect();
    assert_eq!(groups, [doc! { "_id": false, "n": 500 }, doc! { "_id": true, "n": 500 }]);
    let mut left = jobs.find(doc! {}).batch_size(2).run().unwrap();
    assert!(left.advance().unwrap());
    drop(left);
    let names = client.database("factory").list_collection_names().run().unwrap();
    assert_eq!(names, ["jobs"]);
    assert_eq!(client.list_database_names().run().unwrap(), ["factory"]);
}

#[test]
fn an_index_refuses_a_second_document_with_its_key_by_mongodbs_error() {
    let served = Served::start();
    let jobs = jobs(&served.client());
    let unique = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder().keys(doc! { "name": 1 }).options(unique).build();
    assert_eq!(jobs.create_index(index).run().unwrap().index_name, "name_1");
    assert_eq!(jobs.list_index_names().run().unwrap(), ["_id_", "name_1"]);
    jobs.insert_one(doc! { "name": "a" }).run().unwrap();
    let error = jobs.insert_one(doc! { "name": "a" }).run().unwrap_err();
    match *error.kind {
        ErrorKind::Write(WriteFailure::WriteError(ref error)) => assert_eq!(error.code, 11_000),
        ref other => panic!("{other:?}"),
    }
    jobs.drop_index("name_1").run().unwrap();
    jobs.insert_one(doc! { "name": "a" }).run().unwrap();
    let bad = jobs.find(doc! { "$nonsense": 1 }).run().unwrap_err();
    assert!(matches!(*bad.kind, ErrorKind::Command(ref error) if error.code == 2), "{bad:?}");
}

/// The driver's asynchronous client is what its blocking one is made of; here it stands by itself.
#[test]
fn many_tasks_share_an_asynchronous_client() {
    let served = Served::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = AsyncClient::with_uri_str(&served.uri).await.unwrap();
        let sums = client.database("factory").collection::<Document>("sums");
        let adding = (0..50).map(|_| {
            let sums = sums.clone();
            tokio::spawn(async move {
                let one = doc! { "$inc": { "n": 1 } };
                sums.update_one(doc! { "_id": "all" }, one).upsert(true).await.unwrap();
            })
        });
        for task in adding.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let sum = sums.find_one(doc! {}).await.unwrap().unwrap();
        assert_eq!(sum.get_i32("n").unwrap(), 50);
    });
}
