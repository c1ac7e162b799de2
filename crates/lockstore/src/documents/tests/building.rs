//! Indexes are built over documents that are there, while others write.

use super::*;
use crate::documents::task::{BuildStep, Built, Steps};
use crate::request::{Answer, Task};
use docquery::ErrorCode;

fn fill(store: &Store, ids: std::ops::Range<i32>) {
    for id in ids {
        insert(store, rawdoc! { "_id": id, "a": -id, "tags": ["x", id] });
    }
}

/// Begins a build, as the driver does.
fn begin(store: &Store, spec: RawDocumentBuf) -> (CollectionId, Arc<[IndexId]>) {
    let specs = vec![spec];
    let definition = Definition::CreateIndexes { namespace: namespace(), create: None, specs };
    let Defined::Indexes(made) = done(store.engine().define(definition)) else { panic!() };
    assert_eq!(made.to_build.len(), 1);
    (made.collection.id(), made.to_build.into())
}

fn step(
    store: &Store,
    (collection, indexes): &(CollectionId, Arc<[IndexId]>),
    step: BuildStep,
) -> Result<Built, DocumentError> {
    let steps = Steps { collection: *collection, indexes: Arc::clone(indexes), step };
    let task = Box::new(DocumentTask::Build(steps));
    match store.engine().call(Task::Documents { fences: Vec::new(), task }) {
        Answer::Documents(answer) => match *answer {
            DocumentAnswer::Built(built) => Ok(built),
            DocumentAnswer::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn records(range: std::ops::Range<u64>) -> BuildStep {
    BuildStep::Add { records: range.map(RecordId::new).collect() }
}

#[test]
fn an_index_takes_in_what_was_there_before() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..1_500);
    let index = create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    assert!(index.is_ready());
    assert_eq!(entries(&store, &index), (1..=1_500).rev().collect::<Vec<_>>());
    let tags = create_index(&store, rawdoc! { "tags": 1 }, "tags", &rawdoc! {}).unwrap();
    assert_eq!((tags.multikey(), entries(&store, &tags).len()), (1, 3_000));
    check(&store);
}

#[test]
fn writes_maintain_an_index_that_is_being_built() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..10);
    let build = begin(&store, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" });
    fill(&store, 10..20);
    check(&store);
    assert!(!collection(&store).index("a").unwrap().is_ready());
    step(&store, &build, records(1..6)).unwrap();
    check(&store);
    step(&store, &build, records(5..15)).unwrap();
    fill(&store, 20..30);
    step(&store, &build, BuildStep::Finish).unwrap();
    let index = collection(&store).index("a").cloned().unwrap();
    assert_eq!(entries(&store, &index), (1..=30).rev().collect::<Vec<_>>());
    check(&store);
}

#[test]
fn a_unique_build_fails_over_documents_that_are_equal() {
    let store = Store::in_memory().unwrap();
    for id in 0..10 {
        insert(&store, rawdoc! { "_id": id, "a": id % 9 });
    }
    let unique = rawdoc! { "unique": true };
    let error = create_index(&store, rawdoc! { "a": 1 }, "a", &unique).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DUPLICATE_KEY);
    assert!(error.to_string().ends_with("index: a dup key: { a: 0 }"), "{error}");
    assert_eq!(collection(&store).indexes().len(), 1);
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    check(&store);
}

#[test]
fn a_write_into_a_unique_build_is_not_refused_and_fails_the_build() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..10);
    let build = begin(&store, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a", "unique": true });
    step(&store, &build, records(1..11)).unwrap();
    insert(&store, rawdoc! { "_id": 100, "a": -3 });
    insert(&store, rawdoc! { "_id": 101, "a": [4], "b": [5] });
    let error = step(&store, &build, BuildStep::Finish).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DUPLICATE_KEY);
    assert!(collection(&store).index("a").is_none());
    check(&store);
}

#[test]
fn a_document_without_keys_fails_the_build_and_not_its_insertion() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..10);
    let build = begin(&store, rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "ab" });
    insert(&store, rawdoc! { "_id": 100, "a": [1, 2], "b": [3, 4] });
    check(&store);
    step(&store, &build, records(1..11)).unwrap();
    let error = step(&store, &build, BuildStep::Finish).unwrap_err();
    assert!(matches!(error, DocumentError::Refused(_)), "{error}");
    assert_eq!(collection(&store).indexes().len(), 1);
    check(&store);
}

#[test]
fn a_build_ends_when_its_index_or_its_collection_is_dropped() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..10);
    let build = begin(&store, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" });
    let names = vec!["a".into()];
    done(store.engine().define(Definition::DropIndexes { namespace: namespace(), names }));
    let error = step(&store, &build, records(1..11)).unwrap_err();
    assert_eq!(error.code().value(), 276);
    let build = begin(&store, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" });
    done(store.engine().define(Definition::DropCollection { namespace: namespace() }));
    assert_eq!(step(&store, &build, BuildStep::Finish).unwrap_err().code().value(), 276);
    check(&store);
}

#[test]
fn an_index_that_is_asked_for_twice_is_built_by_both() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..10);
    let first = begin(&store, rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" });
    step(&store, &first, records(1..5)).unwrap();
    let index = create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    assert!(index.is_ready());
    step(&store, &first, records(5..11)).unwrap();
    step(&store, &first, BuildStep::Finish).unwrap();
    assert_eq!(entries(&store, &index).len(), 10);
    check(&store);
}

#[test]
fn a_build_among_writers_gives_an_index_that_agrees() {
    let store = Store::in_memory().unwrap();
    fill(&store, 0..2_000);
    std::thread::scope(|scope| {
        for thread in 1..4 {
            let store = &store;
            scope.spawn(move || fill(store, thread * 10_000..thread * 10_000 + 300));
        }
        create_index(&store, rawdoc! { "tags": 1, "a": -1 }, "both", &rawdoc! {}).unwrap();
    });
    check(&store);
    assert_eq!(entries(&store, collection(&store).index("both").unwrap()).len(), 2 * 2_900);
}
