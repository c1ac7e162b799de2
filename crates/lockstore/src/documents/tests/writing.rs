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

#[test]
fn a_unique_index_refuses_a_second_key_and_takes_none_of_the_document() {
    let store = Store::in_memory().unwrap();
    let options = rawdoc! { "unique": true };
    let index = create_index(&store, rawdoc! { "a": 1, "b": -1 }, "ab", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1, "a": 1, "b": [1, 2] });
    let error = try_insert(&store, rawdoc! { "_id": 2, "a": 1.0, "b": [3, 2.0] }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "E11000 duplicate key error collection: test.jobs index: ab dup key: { a: 1.0, b: 2.0 }"
    );
    // Two equal items of one array are one key.
    insert(&store, rawdoc! { "_id": 3, "a": 1, "b": [4, 4] });
    let index = collection(&store).index_with(index.id()).cloned().unwrap();
    assert_eq!((index.multikey(), entries(&store, &index)), (2, vec![2, 1, 1]));
    // What is missing is null, once.
    insert(&store, rawdoc! { "_id": 4 });
    let error = try_insert(&store, rawdoc! { "_id": 5, "a": null }).unwrap_err();
    assert!(error.to_string().ends_with("{ a: null, b: null }"), "{error}");
    check(&store);
}

#[test]
fn a_sparse_index_leaves_out_what_has_none_of_its_fields() {
    let store = Store::in_memory().unwrap();
    let options = rawdoc! { "unique": true, "sparse": true };
    let index = create_index(&store, rawdoc! { "a": 1 }, "a", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1 });
    insert(&store, rawdoc! { "_id": 2 });
    insert(&store, rawdoc! { "_id": 3, "a": null });
    try_insert(&store, rawdoc! { "_id": 4, "a": null }).unwrap_err();
    assert_eq!(entries(&store, &index), [3]);
    check(&store);
}

#[test]
fn an_insertion_of_many_goes_on_or_stops_at_its_first_error_as_asked() {
    for (ordered, tried, left) in [(true, 2, 1), (false, 3, 2)] {
        let store = Store::in_memory().unwrap();
        let insert = Insert {
            namespace: namespace(),
            create: Some(new_collection()),
            documents: vec![rawdoc! { "_id": 1 }, rawdoc! { "_id": 1 }, rawdoc! { "_id": 2 }],
            ordered,
        };
        let inserted = done(store.engine().insert(insert));
        assert_eq!(inserted.results.len(), tried);
        inserted.results[0].as_ref().unwrap();
        inserted.results[1].as_ref().unwrap_err();
        assert_eq!(documents(&store).len(), left);
    }
}

#[test]
fn what_is_too_much_for_one_task_comes_back() {
    let store = Store::in_memory().unwrap();
    let mut rest: Vec<_> = (0..1_000).map(|id| rawdoc! { "_id": id }).collect();
    let mut tasks = 0;
    while !rest.is_empty() {
        let create = Some(new_collection());
        let insert = Insert { namespace: namespace(), create, documents: rest, ordered: true };
        let inserted = done(store.engine().insert(insert));
        assert!(inserted.results.iter().all(Result::is_ok));
        rest = inserted.rest;
        tasks += 1;
    }
    assert_eq!((tasks, documents(&store).len()), (4, 1_000));
    let large = "x".repeat(3 << 20);
    let documents = (0..3).map(|id| rawdoc! { "_id": id + 5_000, "large": &*large }).collect();
    let insert = Insert { namespace: namespace(), create: None, documents, ordered: true };
    assert_eq!(done(store.engine().insert(insert)).rest.len(), 1);
}

#[test]
fn a_collection_that_is_missing_and_not_to_be_made_is_asked_for_again() {
    let store = Store::in_memory().unwrap();
    let documents = vec![rawdoc! { "_id": 1 }];
    let insert = Insert { namespace: namespace(), create: None, documents, ordered: true };
    assert!(matches!(store.engine().insert(insert), Ok(Attempt::Again)));
    assert!(store.engine().reading().unwrap().catalog().is_empty());
}

#[test]
fn entries_are_read_between_edges_in_both_directions() {
    let store = Store::in_memory().unwrap();
    let index = create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    for (id, a) in [(1, 10), (2, 20), (3, 20), (4, 30)] {
        insert(&store, rawdoc! { "_id": id, "a": a });
    }
    let reading = store.engine().reading().unwrap();
    let key = |number| {
        let mut key = Vec::new();
        docquery::key::encode(docquery::Value::Int32(number), &mut key);
        key
    };
    let read = |lower, upper, direction| -> Vec<u64> {
        let entries = reading.entries(index.id(), (lower, upper), direction).unwrap();
        entries.map(|entry| entry.unwrap().record().get()).collect()
    };
    let (ten, twenty) = (key(10), key(20));
    assert_eq!(read(Edge::Open, Edge::Open, Direction::Backward), [4, 3, 2, 1]);
    assert_eq!(read(Edge::Before(&twenty), Edge::Behind(&twenty), Direction::Forward), [2, 3]);
    assert_eq!(read(Edge::Behind(&ten), Edge::Open, Direction::Forward), [2, 3, 4]);
    assert_eq!(read(Edge::Open, Edge::Before(&twenty), Direction::Backward), [1]);
    assert_eq!(
        read(Edge::BehindEntry(&twenty, RecordId::new(2)), Edge::Open, Direction::Forward),
        [3, 4]
    );
    assert_eq!(
        read(Edge::Open, Edge::BeforeEntry(&twenty, RecordId::new(3)), Direction::Backward),
        [2, 1]
    );
    assert_eq!(read(Edge::Behind(&twenty), Edge::Before(&ten), Direction::Forward), []);
}

#[test]
fn a_reading_shows_one_moment_of_locks_and_documents() {
    let store = Store::in_memory().unwrap();
    insert(&store, rawdoc! { "_id": 1 });
    let _lock = store.lock("a").acquire().unwrap();
    let reading = store.engine().reading().unwrap();
    store.lock("b").acquire().unwrap().leak();
    insert(&store, rawdoc! { "_id": 2 });
    assert!(reading.view().lock("a").is_some() && reading.view().lock("b").is_none());
    let jobs = reading.catalog().collection("test.jobs").unwrap();
    assert_eq!(reading.count(jobs).unwrap(), 1);
    let later = store.engine().reading().unwrap();
    assert!(later.sequence() > reading.sequence());
    assert_eq!(later.count(&collection(&store)).unwrap(), 2);
}
