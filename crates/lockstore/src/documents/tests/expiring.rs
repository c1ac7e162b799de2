//! Documents expire by the wall clock, and only what is a date.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::clock::{BootId, Clock, WallTime};
use crate::options::StoreOptions;
use lockcore::Instant;

/// A clock that goes when it is told to.
#[derive(Default)]
struct Hand {
    now_ms: AtomicU64,
    wall_ms: AtomicU64,
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
}

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hand")
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_millis(self.now_ms.load(Ordering::Relaxed))
    }

    fn wall(&self) -> WallTime {
        WallTime::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }

    fn boot_id(&self) -> BootId {
        BootId([1; 16])
    }

    fn on_jump(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        *self.wake.lock().unwrap() = Some(wake);
    }
}

const START_MS: u64 = 1_000_000_000;

fn open() -> (Store, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    hand.wall_ms.store(START_MS, Ordering::Relaxed);
    let clock: Arc<dyn Clock> = Arc::<Hand>::clone(&hand);
    (StoreOptions::new().clock(clock).open_in_memory().unwrap(), hand)
}

/// Lets time pass, and serves what it makes due.
fn pass(store: &Store, hand: &Hand, ms: u64) {
    hand.now_ms.fetch_add(ms, Ordering::Relaxed);
    hand.wall_ms.fetch_add(ms, Ordering::Relaxed);
    serve(store);
}

fn serve(store: &Store) {
    while store.engine().serve_now().is_some_and(|at| at <= store.engine().clock.now()) {}
}

fn date(ms_from_start: i64) -> bson::DateTime {
    bson::DateTime::from_millis(i64::try_from(START_MS).unwrap() + ms_from_start)
}

fn ids(store: &Store) -> Vec<i32> {
    documents(store).iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

#[track_caller]
fn expires_in_order(direction: i32) {
    let (store, hand) = open();
    let options = rawdoc! { "expireAfterSeconds": 10 };
    create_index(&store, rawdoc! { "at": direction }, "at", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1, "at": date(0) });
    insert(&store, rawdoc! { "_id": 2, "at": date(5_000) });
    insert(&store, rawdoc! { "_id": 3, "at": [date(90_000), date(2_000), "x"] });
    insert(&store, rawdoc! { "_id": 4, "at": 7 });
    insert(&store, rawdoc! { "_id": 5 });
    insert(&store, rawdoc! { "_id": 6, "at": date(-20_000) });
    serve(&store);
    assert_eq!(ids(&store), [1, 2, 3, 4, 5]);
    pass(&store, &hand, 9_999);
    assert_eq!(ids(&store), [1, 2, 3, 4, 5]);
    pass(&store, &hand, 1);
    assert_eq!(ids(&store), [2, 3, 4, 5]);
    pass(&store, &hand, 2_000);
    assert_eq!(ids(&store), [2, 4, 5]);
    insert(&store, rawdoc! { "_id": 7, "at": date(4_000) });
    pass(&store, &hand, 2_000);
    assert_eq!(ids(&store), [2, 4, 5]);
    pass(&store, &hand, 1_000_000);
    assert_eq!(ids(&store), [4, 5]);
    check(&store);
}

#[test]
fn documents_expire_by_their_earliest_date() {
    expires_in_order(1);
    expires_in_order(-1);
}

#[test]
fn an_index_that_is_built_over_old_documents_expires_them() {
    let (store, _hand) = open();
    for id in 0..1_000 {
        insert(&store, rawdoc! { "_id": id, "at": date(-1) });
    }
    let options = rawdoc! { "expireAfterSeconds": 0 };
    create_index(&store, rawdoc! { "at": 1 }, "at", &options).unwrap();
    serve(&store);
    assert_eq!(ids(&store), []);
    check(&store);
}

#[test]
fn a_wall_clock_that_is_set_forward_is_noticed_within_a_minute() {
    let (store, hand) = open();
    let options = rawdoc! { "expireAfterSeconds": 3_600 };
    create_index(&store, rawdoc! { "at": 1 }, "at", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1, "at": date(0) });
    hand.wall_ms.fetch_add(3_600_000, Ordering::Relaxed);
    pass(&store, &hand, 60_000);
    assert_eq!(ids(&store), []);
}

#[test]
fn other_seconds_count_at_once() {
    let (store, hand) = open();
    let options = rawdoc! { "expireAfterSeconds": 3_600 };
    let was = create_index(&store, rawdoc! { "at": 1 }, "at", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1, "at": date(0) });
    pass(&store, &hand, 20_000);
    assert_eq!(ids(&store), [1]);
    let spec = rawdoc! { "v": 2, "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 10 };
    let collection = collection(&store).id();
    done(store.engine().define(Definition::ReviseIndex { collection, was, spec }));
    serve(&store);
    assert_eq!(ids(&store), []);
}

#[test]
fn documents_that_expired_while_the_store_was_closed_go_when_it_opens() {
    let (_folder, path) = place();
    let hand = Arc::new(Hand::default());
    hand.wall_ms.store(START_MS, Ordering::Relaxed);
    let open = || {
        let clock: Arc<dyn Clock> = Arc::<Hand>::clone(&hand);
        StoreOptions::new().clock(clock).open(&path).unwrap()
    };
    let store = open();
    let options = rawdoc! { "expireAfterSeconds": 10 };
    create_index(&store, rawdoc! { "at": 1 }, "at", &options).unwrap();
    insert(&store, rawdoc! { "_id": 1, "at": date(0) });
    insert(&store, rawdoc! { "_id": 2, "at": date(20_000) });
    drop(store);
    hand.wall_ms.fetch_add(15_000, Ordering::Relaxed);
    let store = open();
    serve(&store);
    assert_eq!(ids(&store), [2]);
    assert!(store.engine().serve_now().unwrap() > store.engine().clock.now());
}
