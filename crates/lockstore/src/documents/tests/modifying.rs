//! What a scan has found is changed, if it is still what was looked for.

use super::*;
use docquery::{Environment, Filter};

fn filter(filter: &RawDocumentBuf) -> Arc<Filter> {
    Arc::new(Filter::parse(filter, &Environment::new(0)).unwrap())
}

fn filled(ids: std::ops::Range<i32>) -> Store {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! { "unique": true }).unwrap();
    ids.for_each(|id| insert(&store, rawdoc! { "_id": id, "a": id, "even": id % 2 == 0 }));
    store
}

fn delete(
    store: &Store,
    records: &[u64],
    query: &RawDocumentBuf,
    reach: Reach,
) -> Attempt<Modified> {
    let modify = Modify {
        collection: collection(store).id(),
        candidates: records.iter().copied().map(RecordId::new).collect(),
        filter: filter(query),
        change: Modification::Delete,
        reach,
    };
    store.engine().modify(modify).unwrap()
}

fn upsert(store: &Store, query: &RawDocumentBuf, seen: u64) -> Result<Attempt<()>, DocumentError> {
    let document = rawdoc! { "_id": 1_000, "a": 1_000 };
    let create = Some(new_collection());
    let filter = filter(query);
    store.engine().upsert(Upsert { namespace: namespace(), create, filter, seen, document })
}

#[test]
fn the_first_candidate_that_still_matches_is_deleted() {
    let store = filled(0..10);
    let odd = rawdoc! { "even": false };
    let Attempt::Done(modified) = delete(&store, &[1, 77, 4, 6], &odd, Reach::First) else {
        panic!()
    };
    assert_eq!((modified.taken, modified.matched, modified.modified), (3, 1, 1));
    let found = modified.found.unwrap();
    assert_eq!((found.record.get(), found.before.get_i32("_id").unwrap()), (4, 3));
    assert!(found.after.is_none());
    assert!(matches!(delete(&store, &[1, 4], &odd, Reach::First), Attempt::Again));
    assert!(matches!(delete(&store, &[], &odd, Reach::First), Attempt::Again));
    assert_eq!(documents(&store).len(), 9);
    check(&store);
}

#[test]
fn each_candidate_that_still_matches_is_deleted() {
    let store = filled(0..600);
    let even = rawdoc! { "even": true };
    let all: Vec<u64> = (1..=600).collect();
    let mut rest = &all[..];
    let (mut matched, mut tasks) = (0, 0);
    while !rest.is_empty() {
        let Attempt::Done(modified) = delete(&store, rest, &even, Reach::Each) else { panic!() };
        rest = &rest[modified.taken..];
        matched += modified.matched;
        tasks += 1;
    }
    assert_eq!((matched, tasks, documents(&store).len()), (300, 3, 300));
    check(&store);
    let reading = store.engine().reading().unwrap();
    assert_eq!(reading.count(&collection(&store)).unwrap(), 300);
}

#[test]
fn a_plan_for_a_collection_that_was_dropped_is_out_of_date() {
    let store = filled(0..3);
    let id = collection(&store).id();
    done(store.engine().define(Definition::DropCollection { namespace: namespace() }));
    insert(&store, rawdoc! { "_id": 1 });
    let modify = Modify {
        collection: id,
        candidates: vec![RecordId::new(1)],
        filter: filter(&rawdoc! {}),
        change: Modification::Delete,
        reach: Reach::Each,
    };
    assert!(matches!(store.engine().modify(modify), Ok(Attempt::Again)));
    assert_eq!(documents(&store).len(), 1);
}

#[test]
fn an_upsert_inserts_unless_something_that_matches_has_come() {
    let store = filled(0..3);
    let seen = store.engine().reading().unwrap().sequence();
    let wanted = rawdoc! { "a": { "$gte": 50 } };
    insert(&store, rawdoc! { "_id": 40, "a": 40 });
    insert(&store, rawdoc! { "_id": 50, "a": 50 });
    assert!(matches!(upsert(&store, &wanted, seen), Ok(Attempt::Again)));
    // What came and went again is no obstacle.
    let query = rawdoc! { "_id": 50 };
    assert!(matches!(delete(&store, &[5], &query, Reach::First), Attempt::Done(_)));
    assert!(matches!(upsert(&store, &wanted, seen), Ok(Attempt::Done(()))));
    let seen = store.engine().reading().unwrap().sequence();
    let error = upsert(&store, &rawdoc! { "a": 3_000 }, seen).unwrap_err();
    assert!(matches!(error, DocumentError::DuplicateKey(_)), "{error}");
    assert_eq!(documents(&store).len(), 5);
    check(&store);
}

#[test]
fn an_upsert_makes_its_collection() {
    let store = Store::in_memory().unwrap();
    let seen = store.engine().reading().unwrap().sequence();
    assert!(matches!(upsert(&store, &rawdoc! { "a": 1 }, seen), Ok(Attempt::Done(()))));
    assert!(matches!(upsert(&store, &rawdoc! { "a": 1_000 }, seen), Ok(Attempt::Again)));
    assert_eq!(documents(&store).len(), 1);
}

#[test]
fn documents_that_come_and_go_do_not_make_the_file_grow() {
    let (_folder, path) = place();
    let store = Store::open(path).unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    let churn = |ids: std::ops::Range<u64>| {
        for id in ids {
            let id_ = i64::try_from(id).unwrap();
            insert(&store, rawdoc! { "_id": id_, "a": id_ % 7, "text": "x".repeat(500) });
            if id > 10 {
                let records = [id - 10];
                delete(&store, &records, &rawdoc! {}, Reach::First);
            }
        }
    };
    churn(1..200);
    let before = store.stats().unwrap().file_bytes;
    churn(200..500);
    assert_eq!(store.stats().unwrap().file_bytes, before);
    check(&store);
}
