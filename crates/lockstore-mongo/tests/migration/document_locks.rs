//! Locks of documents.

use std::time::Duration;

use bson::raw::cstr;
use bson::{Bson, RawDocumentBuf, doc};
use lockstore::get_lock_id;

use crate::support::{Stores, migrated, set};

fn locks_of_documents_are_migrated(stores: &Stores) {
    let jobs = stores.jobs();
    jobs.insert_many((0..6).map(|id| doc! { "_id": id })).run().unwrap();
    let hour = Duration::from_secs(3_600);
    let lock = |id: i32, ttl: Option<Duration>| {
        let command = doc! {
            "lockDocument": "jobs", "filter": { "_id": id }, "lockId": format!("worker {id}"), "showToken": true,
        };
        let mut command = RawDocumentBuf::try_from(&command).unwrap();
        if let Some(ttl) = ttl {
            command.append(cstr!("ttlMS"), i64::try_from(ttl.as_millis()).unwrap());
        }
        let reply = stores.from.store().database(&stores.database).run_command(&command);
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply:?}");
    };
    lock(0, None);
    lock(1, Some(hour));
    lock(2, Some(Duration::from_millis(1)));
    jobs.update_one(doc! { "_id": 3 }, doc! { "$set": { "lock_id": "by hand" } }).run().unwrap();
    let report = migrated(&stores.migration());
    // With the one that runs out, if it has not yet.
    assert!((2..=3).contains(&report.document_locks), "{report:?}");
    let there = stores.there();
    // Its lease had run out, or does now.
    let waited_for = there.lock_document(doc! { "_id": 2 }).sleep(Duration::from_millis(10));
    waited_for.acquire().unwrap().release().unwrap();
    let locked = there.locked_documents().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let mut locked: Vec<_> =
        locked.into_iter().map(|it| (it.id, it.lock_id, it.token.is_some())).collect();
    locked.sort_by_key(|(id, ..)| id.as_i32());
    let expected = [(0, "worker 0", true), (1, "worker 1", true), (3, "by hand", false)];
    let expected =
        expected.map(|(id, lock_id, token)| (Bson::Int32(id), lock_id.to_owned(), token));
    assert_eq!(locked, expected);
    // Nobody else gets them, whoever has locked one gets it again, and gives it back.
    let mut taken = Vec::new();
    while let Some(id) = there
        .lock_document(doc! { "_id": { "$lt": 4 } })
        .acquire()
        .map(|lock| Some(lock.locked_document()?.get_i32("_id").unwrap()))
        .unwrap()
    {
        there.delete_one(doc! { "_id": id }).run().unwrap();
        taken.push(id);
    }
    assert_eq!(taken, [2], "its lease had run out");
    let own = there.lock_document(doc! { "_id": 1 }).lock_id("worker 1").get_locked_doc(true);
    let own = own.acquire().unwrap();
    let shown = own.locked_document().unwrap();
    assert_eq!(shown.get_i64("lock_token").unwrap().unsigned_abs(), own.token().unwrap().get());
    own.release().unwrap();
    let freed = there.find_one(doc! { "_id": 1 }).run().unwrap().unwrap();
    assert_eq!(get_lock_id(&freed), None);
    let broken = there.unlock(doc! { "_id": 0 }, "its worker is gone").unwrap();
    assert_eq!(broken[0].holder.as_str(), "worker 0");
}

#[test]
fn a_document_that_is_locked_in_a_file_is_locked_in_another() {
    locks_of_documents_are_migrated(&Stores::files());
}

#[test]
fn a_document_that_is_locked_in_a_file_is_locked_on_a_replica_set() {
    locks_of_documents_are_migrated(&Stores::to_a_set());
}

#[test]
fn a_document_that_is_locked_on_a_replica_set_is_locked_in_a_file() {
    locks_of_documents_are_migrated(&Stores { from: set(), ..Stores::files() });
}
