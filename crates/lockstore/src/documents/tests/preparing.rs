//! The writer evaluates nothing that may be much work: what has not changed since it was found still matches, and what has
//! changed is worked out by the caller.

use std::sync::Barrier;
use std::thread;

use super::*;
use bson::RawBsonRef;
use docquery::{Cost, Environment, Filter, Update};

/// Nothing may evaluate this on the text of [`jobs`]: it would fail after ten million steps.
fn dear() -> RawDocumentBuf {
    rawdoc! { "text": { "$regex": "(a+)+$" } }
}

/// Documents, and the sequence of the reading that has them.
fn jobs(count: i32) -> (Store, CollectionId, u64) {
    let store = Store::in_memory().unwrap();
    let text = format!("{}b", "a".repeat(40));
    (0..count).for_each(|id| insert(&store, rawdoc! { "_id": id, "n": 0, "text": &*text }));
    let reading = store.engine().reading().unwrap();
    let collection = reading.catalog().collection("test.jobs").unwrap().id();
    let sequence = reading.sequence();
    (store, collection, sequence)
}

fn count_up() -> Modification {
    let update = rawdoc! { "$inc": { "n": 1 } };
    let update = RawBsonRef::Document(&update);
    Modification::Update(Arc::new(Update::parse(update, &[], &Environment::new(0)).unwrap()))
}

fn modify(collection: CollectionId, seen: u64, records: &[u64], reach: Reach) -> Modify {
    let filter = Filter::parse(&dear(), &Environment::new(0)).unwrap();
    assert_eq!(filter.cost(), Cost::Unbounded);
    Modify {
        collection,
        candidates: records.iter().copied().map(RecordId::new).collect(),
        seen,
        filter: Arc::new(filter),
        change: count_up(),
        reach,
    }
}

fn counts(store: &Store) -> Vec<i32> {
    documents(store).iter().map(|document| document.get_i32("n").unwrap()).collect()
}

#[test]
fn what_has_not_changed_since_it_was_found_is_not_asked_again_whether_it_matches() {
    let (store, collection, seen) = jobs(3);
    let modified = done(store.engine().modify(modify(collection, seen, &[1, 3], Reach::Each)));
    assert_eq!((modified.taken, modified.modified, modified.left.len()), (2, 2, 0));
    assert_eq!(counts(&store), [1, 0, 1]);
}

#[test]
fn what_has_changed_since_and_is_dear_to_ask_is_left_to_the_caller() {
    let (store, collection, seen) = jobs(3);
    done(store.engine().modify(modify(collection, seen, &[2], Reach::First)));
    let modified = done(store.engine().modify(modify(collection, seen, &[1, 2, 3], Reach::Each)));
    assert_eq!((modified.taken, modified.modified), (3, 2));
    assert_eq!(modified.left, [RecordId::new(2)]);
    // The first in the order that was asked for may be the one that is left, so none behind it is changed.
    let modified = done(store.engine().modify(modify(collection, seen, &[2, 3], Reach::First)));
    assert_eq!((modified.modified, modified.left), (0, vec![RecordId::new(2)]));
    assert_eq!(counts(&store), [1, 1, 1]);
    check(&store);
}

#[test]
fn what_the_caller_has_worked_out_is_applied_where_the_document_is_the_same() {
    let (store, collection, seen) = jobs(4);
    let after = |n: i32| After::Becomes(rawdoc! { "_id": n - 10, "n": n });
    let record = RecordId::new;
    let apply = |seen, changes| store.engine().apply(Apply { collection, seen, changes });
    let modified = done(apply(seen, vec![(record(2), after(11))]));
    assert_eq!((modified.modified, modified.left.len()), (1, 0));
    let changes = vec![
        (record(1), After::Deleted),
        (record(2), After::Deleted),
        (record(3), After::Same),
        (record(77), After::Deleted),
    ];
    let modified = done(apply(seen, changes));
    assert_eq!((modified.taken, modified.matched, modified.modified), (4, 2, 1));
    assert_eq!(modified.left, [record(2), record(77)]);
    assert_eq!(counts(&store), [11, 0, 0]);
    // An error ends the task, and what was done before stays.
    let clash = After::Becomes(rawdoc! { "_id": 1, "n": 0 });
    let now = store.engine().reading().unwrap().sequence();
    let modified = done(apply(now, vec![(record(3), After::Deleted), (record(4), clash)]));
    assert_eq!((modified.taken, modified.modified), (1, 1));
    assert!(matches!(modified.error, Some(DocumentError::DuplicateKey(_))));
    check(&store);
}

#[test]
fn an_upsert_whose_filter_is_dear_is_planned_anew_where_something_has_changed() {
    let (store, collection, seen) = jobs(1);
    let filter = Filter::parse(&dear(), &Environment::new(0)).unwrap();
    let upsert = |seen, id: i32| {
        store.engine().upsert(Upsert {
            namespace: namespace(),
            create: None,
            filter: Arc::new(filter.clone()),
            seen,
            document: rawdoc! { "_id": id, "n": 5 },
        })
    };
    done(store.engine().modify(modify(collection, seen, &[1], Reach::First)));
    assert!(matches!(upsert(seen, 8), Ok(Attempt::Again)));
    let seen = store.engine().reading().unwrap().sequence();
    done(upsert(seen, 9));
    assert_eq!(counts(&store), [1, 5]);
}

/// Each thread adds 1 by a pipeline that the writer may not evaluate: none is lost, and none is done twice.
#[test]
fn rivals_whose_updates_are_worked_out_outside_the_writer_lose_nothing() {
    let (store, ..) = jobs(5);
    let ones = rawdoc! { "$map": { "input": [1], "in": "$$this" } };
    let add = rawdoc! { "$set": { "n": { "$add": ["$n", { "$first": ones }] } } };
    let stages: bson::RawArrayBuf = [add].into_iter().collect();
    let (threads, rounds) = (4, 10);
    let barrier = Barrier::new(threads);
    let run = |many: bool| {
        let updates: bson::RawArrayBuf =
            [rawdoc! { "q": {}, "u": stages.clone(), "multi": many }].into_iter().collect();
        let reply =
            store.database("test").run_command(&rawdoc! { "update": "jobs", "updates": updates });
        assert!(reply.get("writeErrors").unwrap().is_none(), "{reply:?}");
        reply.get_i32("nModified").unwrap()
    };
    thread::scope(|scope| {
        for thread in 0..threads {
            let (run, barrier) = (&run, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..rounds {
                    let many = thread % 2 == 0;
                    assert_eq!(run(many), if many { 5 } else { 1 });
                }
            });
        }
    });
    let expected = threads / 2 * rounds * (5 + 1);
    assert_eq!(counts(&store).iter().sum::<i32>(), i32::try_from(expected).unwrap());
    check(&store);
}
