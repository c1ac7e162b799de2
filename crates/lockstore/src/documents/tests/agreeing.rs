//! Whatever is done, every index agrees with its collection, and the documents are those that they should be.

use super::*;
use bson::RawBsonRef;
use docquery::{Environment, Filter, Update};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Insert { id: i32, a: i32, tags: Vec<i32> },
    Delete { id: i32 },
    Update { id: i32, a: i32, tags: Vec<i32> },
    CreateIndex(usize),
    DropIndex(usize),
    DropCollection,
    Compact,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = 0..specs().len();
    let tags = prop::collection::vec(0..5, 0..4);
    let step = prop_oneof![
        20 => (0..30, 0..6, tags.clone()).prop_map(|(id, a, tags)| Step::Insert { id, a, tags }),
        8 => (0..30).prop_map(|id| Step::Delete { id }),
        15 => (0..30, 0..6, tags.clone())
            .prop_map(|(id, a, tags)| Step::Update { id, a, tags }),
        4 => index.clone().prop_map(Step::CreateIndex),
        2 => index.prop_map(Step::DropIndex),
        1 => Just(Step::DropCollection),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..80)
}

/// Keys, names and options of some indexes.
fn specs() -> Vec<(RawDocumentBuf, &'static str, RawDocumentBuf)> {
    vec![
        (rawdoc! { "a": 1 }, "a", rawdoc! {}),
        (rawdoc! { "tags": -1 }, "tags", rawdoc! {}),
        (rawdoc! { "a": 1, "tags": 1 }, "both", rawdoc! {}),
        (rawdoc! { "a": -1, "_id": 1 }, "unique", rawdoc! { "unique": true }),
        (rawdoc! { "tags": 1 }, "unique_tags", rawdoc! { "unique": true }),
        (rawdoc! { "even": 1 }, "sparse", rawdoc! { "sparse": true }),
        (
            rawdoc! { "a": 1 },
            "partial",
            rawdoc! { "unique": true, "partialFilterExpression": { "a": { "$gt": 4 } } },
        ),
    ]
}

fn document(id: i32, a: i32, tags: &[i32]) -> RawDocumentBuf {
    let tags = tags.iter().copied().collect::<bson::RawArrayBuf>();
    if id % 2 == 0 {
        rawdoc! { "_id": id, "a": a, "tags": tags, "even": a }
    } else {
        rawdoc! { "_id": id, "a": a, "tags": tags }
    }
}

/// The record of a document, found by its index on `_id`.
fn record(store: &Store, id: i32) -> Option<(CollectionId, RecordId)> {
    let reading = store.engine().reading().unwrap();
    let collection = reading.catalog().collection("test.jobs")?;
    let mut key = Vec::new();
    docquery::key::encode(docquery::Value::Int32(id), &mut key);
    let edges = (Edge::Before(&key), Edge::Behind(&key));
    let index = collection.id_index().id();
    let mut entries = reading.entries(index, edges, Direction::Forward).unwrap();
    entries.next().map(|entry| (collection.id(), entry.unwrap().record()))
}

fn run(store: &Store, step: &Step, expected: &mut Vec<RawDocumentBuf>) {
    match step {
        Step::Insert { id, a, tags } => {
            let document = document(*id, *a, tags);
            match try_insert(store, document.clone()) {
                Ok(()) => expected.push(document),
                Err(DocumentError::DuplicateKey(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Step::Delete { id } => {
            let Some((collection, record)) = record(store, *id) else { return };
            let filter = rawdoc! { "_id": *id };
            let modify = Modify {
                collection,
                candidates: vec![record],
                seen: 0,
                filter: Arc::new(Filter::parse(&filter, &Environment::new(0)).unwrap()),
                change: Modification::Delete,
                reach: Reach::First,
            };
            let found = done(store.engine().modify(modify)).found.unwrap();
            let place = expected.iter().position(|document| *document == found.before);
            expected.remove(place.expect("what was deleted was there"));
        }
        Step::Update { id, a, tags } => {
            let Some((collection, record)) = record(store, *id) else { return };
            let tags = tags.iter().copied().collect::<bson::RawArrayBuf>();
            let update = rawdoc! { "$set": { "a": *a, "tags": tags } };
            let update = RawBsonRef::Document(&update);
            let update = Update::parse(update, &[], &Environment::new(0)).unwrap();
            let modify = Modify {
                collection,
                candidates: vec![record],
                seen: 0,
                filter: Arc::new(Filter::parse(&rawdoc! {}, &Environment::new(0)).unwrap()),
                change: Modification::Update(Arc::new(update)),
                reach: Reach::First,
            };
            match store.engine().modify(modify) {
                Ok(attempt) => {
                    let found = done(Ok(attempt)).found.unwrap();
                    let place = expected.iter().position(|document| *document == found.before);
                    expected[place.expect("what was updated was there")] = found.after.unwrap();
                }
                Err(DocumentError::DuplicateKey(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Step::CreateIndex(index) => {
            let (key, name, options) = specs().swap_remove(*index);
            match create_index(store, key, name, &options) {
                Ok(index) => assert!(index.is_ready()),
                Err(DocumentError::DuplicateKey(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Step::DropIndex(index) => {
            let names = vec![specs()[*index].1.into()];
            let definition = Definition::DropIndexes { namespace: namespace(), names };
            drop(store.engine().define(definition));
        }
        Step::DropCollection => {
            drop(store.engine().define(Definition::DropCollection { namespace: namespace() }));
            expected.clear();
        }
        Step::Compact => {
            store.compact().unwrap();
        }
        Step::Reopen => unreachable!("it takes the store away"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn indexes_and_documents_agree_after_any_steps(steps in steps()) {
        let (_folder, path) = place();
        let mut store = Store::open(&path).unwrap();
        let mut expected = Vec::new();
        for step in &steps {
            if let Step::Reopen = step {
                drop(store);
                store = Store::open(&path).unwrap();
            } else {
                run(&store, step, &mut expected);
            }
            prop_assert_eq!(&documents(&store), &expected);
        }
        check(&store);
        drop(store);
        let store = Store::open(&path).unwrap();
        prop_assert_eq!(documents(&store), expected);
        check(&store);
    }
}
