//! A scan that takes long moves to newer readings, and loses nothing on the way.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use docquery::{Environment, Filter};
use lockcore::Instant;

use super::*;
use crate::clock::{BootId, Clock, WallTime};
use crate::documents::execution::{Execution, Extent};
use crate::documents::plan::{Hint, Order, Plan, Query};
use crate::options::StoreOptions;

/// A clock on which a third of a second passes whenever it is looked at.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.fetch_add(333, Ordering::Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(0)
    }

    fn boot_id(&self) -> BootId {
        BootId([1; 16])
    }
}

const COUNT: i32 = 1000;

fn open() -> Store {
    let store = StoreOptions::new().clock(Arc::new(Hasty::default())).open_in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    create_index(&store, rawdoc! { "list": -1 }, "list", &rawdoc! {}).unwrap();
    for id in 0..COUNT {
        insert(&store, document(id));
    }
    store
}

fn document(id: i32) -> RawDocumentBuf {
    rawdoc! { "_id": id, "a": id / 7, "list": [id, id + 1, id + 2] }
}

/// Checks that a scan finds what was there at its beginning, in order, and what is inserted before it while it goes on.
#[track_caller]
fn check_scan(hint: Hint, order: Order, expected: impl Iterator<Item = i32>) {
    let store = open();
    let filter = Filter::parse(&rawdoc! { "_id": { "$gte": 0 } }, &Environment::new(0)).unwrap();
    let query = Query { order, hint, ..Query::new(Arc::new(filter)) };
    let reading = store.engine().reading().unwrap();
    let collection = Arc::clone(reading.catalog().collection("test.jobs").unwrap());
    let plan = Arc::new(Plan::new(&collection, &query).unwrap());
    assert!(plan.sort().is_none());
    let mut execution = Execution::new(reading, Some(&collection), plan, Extent::default());
    let mut found = Vec::new();
    execution
        .run(store.engine(), &mut |row| {
            found.push(row.document.get_i32("_id").unwrap());
            if found.len() == 10 {
                insert(&store, document(COUNT));
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(found, expected.collect::<Vec<_>>());
    assert!(execution.is_done());
}

#[test]
fn a_slow_scan_of_a_collection_sees_what_is_inserted_behind_it() {
    check_scan(Hint::Natural(Direction::Forward), Order::Found, 0..=COUNT);
    check_scan(Hint::Natural(Direction::Backward), Order::Found, (0..COUNT).rev());
}

#[test]
fn a_slow_scan_of_an_index_sees_what_is_inserted_behind_it() {
    let sort = |sort: RawDocumentBuf| Order::parse(&sort).unwrap();
    check_scan(Hint::Name("a".into()), sort(rawdoc! { "a": 1 }), 0..=COUNT);
    check_scan(Hint::Name("a".into()), sort(rawdoc! { "a": -1 }), (0..COUNT).rev());
    check_scan(Hint::Name("list".into()), sort(rawdoc! { "list": 1 }), 0..=COUNT);
    check_scan(Hint::Name("list".into()), Order::Found, (0..COUNT).rev());
}
