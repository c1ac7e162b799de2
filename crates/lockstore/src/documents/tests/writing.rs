//! Documents that are written are read, and found through their indexes.

use super::*;

#[test]
fn a_document_is_there_when_its_insertion_returns() {
    let store = Store::in_memory().unwrap();
    insert(&store, rawdoc! { "_id": 1, "state": "ready" });
    insert(&store, rawdoc! { "_id": 0, "state": "done" });
    let expected = [rawdoc! { "_id": 1, "state": "ready" }, rawdoc! { "_id": 0, "state": "done" }];
    assert_eq!(documents(&store), expected);
    let reading = store.engine().reading().unwrap();
    let collection = reading.catalog().collection("test.jobs").unwrap();
    assert_eq!(reading.count(collection).unwrap(), 2);
    let index = collection.id_index().id();
    let entries = reading.entries(index, (Edge::Open, Edge::Open), Direction::Forward).unwrap();
    let records: Vec<_> = entries.map(|entry| entry.unwrap().record().get()).collect();
    assert_eq!(records, [2, 1]);
}

#[test]
fn a_second_document_with_an_id_is_refused() {
    let store = Store::in_memory().unwrap();
    insert(&store, rawdoc! { "_id": { "a": 1 } });
    let error = try_insert(&store, rawdoc! { "_id": { "a": 1.0 } }).unwrap_err();
    let DocumentError::DuplicateKey(duplicate) = &error else { panic!("{error}") };
    assert_eq!(duplicate.pattern(), &*rawdoc! { "_id": 1 });
    assert_eq!(duplicate.value(), &*rawdoc! { "_id": { "a": 1.0 } });
    assert_eq!(
        error.to_string(),
        "E11000 duplicate key error collection: test.jobs index: _id_ dup key: { _id: { a: 1.0 } }"
    );
    assert_eq!(documents(&store).len(), 1);
}
