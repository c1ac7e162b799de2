//! What a scan has found is changed, if it is still what was looked for.

use super::*;
use crate::documents::overlay::Overlay;
use crate::documents::write_set::WriteSet;
use bson::RawBsonRef;
use docquery::{Environment, ErrorCode, Filter, Update};

fn filter(filter: &RawDocumentBuf) -> Arc<Filter> {
    Arc::new(Filter::parse(filter, &Environment::new(0)).unwrap())
}

fn filled(ids: std::ops::Range<i32>) -> Store {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! { "unique": true }).unwrap();
    ids.for_each(|id| insert(&store, rawdoc! { "_id": id, "a": id, "even": id % 2 == 0 }));
    store
}

fn modify(
    store: &Store,
    records: &[u64],
    query: &RawDocumentBuf,
    change: Modification,
    reach: Reach,
) -> Result<Attempt<Modified>, DocumentError> {
    let collection = collection(store).id();
    let candidates = records.iter().copied().map(RecordId::new).collect();
    let filter = filter(query);
    store.engine().modify(Modify { collection, candidates, seen: 0, filter, change, reach })
}

fn delete(
    store: &Store,
    records: &[u64],
    query: &RawDocumentBuf,
    reach: Reach,
) -> Attempt<Modified> {
    modify(store, records, query, Modification::Delete, reach).unwrap()
}

fn update(update: &RawDocumentBuf) -> Modification {
    let update = Update::parse(RawBsonRef::Document(update), &[], &Environment::new(0)).unwrap();
    Modification::Update(Arc::new(update))
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
    assert_eq!(found.before.get_i32("_id").unwrap(), 3);
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
        seen: 0,
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

#[test]
fn an_update_gives_the_document_before_and_after() {
    let store = filled(0..5);
    let (query, inc) = (rawdoc! { "a": { "$gt": 2 } }, update(&rawdoc! { "$inc": { "a": 10 } }));
    let modified = done(modify(&store, &[1, 4, 5], &query, inc, Reach::First));
    assert_eq!((modified.matched, modified.modified), (1, 1));
    let found = modified.found.unwrap();
    assert_eq!(found.before, rawdoc! { "_id": 3, "a": 3, "even": false });
    assert_eq!(found.after, Some(rawdoc! { "_id": 3, "a": 13, "even": false }));
    // One that is as it is to be matches, and is not modified.
    let same = update(&rawdoc! { "$set": { "a": 13 } });
    let modified = done(modify(&store, &[4], &rawdoc! {}, same, Reach::First));
    assert_eq!((modified.matched, modified.modified), (1, 0));
    let found = modified.found.unwrap();
    assert_eq!(found.after.as_ref(), Some(&found.before));
    check(&store);
}

#[test]
fn an_update_of_many_stops_at_its_first_error_and_keeps_what_was_done() {
    let store = filled(0..10);
    let same = update(&rawdoc! { "$set": { "a": 100 } });
    let modified = done(modify(&store, &[1, 2, 3], &rawdoc! {}, same.clone(), Reach::Each));
    assert_eq!((modified.taken, modified.matched, modified.modified), (1, 1, 1));
    assert_eq!(modified.error.unwrap().code(), ErrorCode::DUPLICATE_KEY);
    let error = modify(&store, &[5], &rawdoc! {}, same, Reach::First).unwrap_err();
    assert!(matches!(error, DocumentError::DuplicateKey(_)), "{error}");
    let ids: Vec<_> = documents(&store).iter().map(|found| found.get_i32("a").unwrap()).collect();
    assert_eq!(ids, [100, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    check(&store);
}

#[test]
fn a_document_that_would_grow_too_large_stays_as_it_is() {
    let store = filled(0..1);
    let large = "x".repeat(9 << 20);
    let grow = |field: &str| match field {
        "b" => update(&rawdoc! { "$set": { "b": &*large } }),
        _ => update(&rawdoc! { "$set": { "c": &*large } }),
    };
    done(modify(&store, &[1], &rawdoc! {}, grow("b"), Reach::First));
    let error = modify(&store, &[1], &rawdoc! {}, grow("c"), Reach::First).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BSON_OBJECT_TOO_LARGE);
    assert!(documents(&store)[0].get("c").unwrap().is_none());
}

#[test]
fn only_entries_that_differ_are_written() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    let tags = create_index(&store, rawdoc! { "tags": 1 }, "tags", &rawdoc! {}).unwrap();
    let old = rawdoc! { "_id": 1, "a": 1, "tags": [1, 2, 3], "state": "ready" };
    insert(&store, old.clone());
    let engine = store.engine();
    let write_set = |new: RawDocumentBuf| {
        engine.with_disk(|disk| {
            let ground = Ground::new(disk, &engine.published);
            let (collection, overlay) = (collection(&store), Overlay::default());
            let documents = (Some(&*old), Some(&*new));
            WriteSet::new(&collection, RecordId::new(1), documents, &overlay, &ground)
        })
    };
    let same = rawdoc! { "_id": 1, "a": 1.0, "tags": [3, 2, 1, 1], "state": "done" };
    let set = write_set(same).unwrap();
    assert_eq!((set.added.len(), set.removed.len()), (0, 0));
    let other = rawdoc! { "_id": 1, "a": 1, "tags": [2, 3, 4], "state": "ready" };
    let set = write_set(other).unwrap();
    let indexes = |entries: &[(IndexId, Box<[u8]>)]| -> Vec<_> {
        entries.iter().map(|(index, _)| *index).collect()
    };
    assert_eq!((indexes(&set.added), indexes(&set.removed)), (vec![tags.id()], vec![tags.id()]));
}

#[test]
fn updates_of_one_document_by_many_threads_are_all_there() {
    let store = filled(0..1);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let inc = update(&rawdoc! { "$inc": { "a": 1 } });
                    done(modify(&store, &[1], &rawdoc! {}, inc, Reach::First));
                }
            });
        }
    });
    assert_eq!(documents(&store)[0].get_i32("a").unwrap(), 200);
    check(&store);
}
