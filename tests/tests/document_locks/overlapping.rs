//! Many wait for documents with filters that overlap in part: nobody is passed over for ever, and nobody is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::collection::LockDocument;
use lockstore::{Collection, DocumentLock, Store};
use lockstore_tests::dice::{Dice, seed};

use crate::DEPLOYMENT;

/// Documents by their cost, which is their number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) from: usize,
    /// Not included.
    pub(crate) to: usize,
    pub(crate) order: Order,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// As they were inserted; whichever becomes free.
    Any,
    CheapestFirst,
    DearestFirst,
}

impl Wish {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let below = |dice: &mut Dice, bound: usize| {
            usize::try_from(dice.below(bound as u64)).expect("it is small")
        };
        let from = below(dice, DOCUMENTS);
        let to = from + 1 + below(dice, DOCUMENTS - from);
        let order = *dice.pick(&[Order::Any, Order::CheapestFirst, Order::DearestFirst]);
        Self { from, to, order }
    }

    pub(crate) fn request(self, jobs: &Collection) -> LockDocument<'_, Document> {
        let cost = |number: usize| i64::try_from(number).expect("it is small");
        let range = doc! { "$gte": cost(self.from), "$lt": cost(self.to) };
        let request = jobs.lock_document(doc! { "cost": range }).sleep(LONG).max_wait(LONG);
        match self.order {
            Order::Any => request,
            Order::CheapestFirst => request.sort(doc! { "cost": 1 }),
            Order::DearestFirst => request.sort(doc! { "cost": -1 }),
        }
    }
}

#[test]
fn all_who_wait_on_overlapping_filters_get_their_turns() {
    let seed = seed(8);
    let (store, jobs) = jobs();
    let turns_each = DEPLOYMENT.rounds(50);
    let in_use = [const { AtomicBool::new(false) }; DOCUMENTS];
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (jobs, in_use) = (&jobs, &in_use);
            scope.spawn(move || {
                let mut dice = Dice::new(seed.wrapping_mul(THREADS).wrapping_add(thread));
                let wish = Wish::random(&mut dice);
                for _ in 0..turns_each {
                    let mut lock = wish.request(jobs).acquire().expect("it is handed on");
                    let document = number(&lock);
                    let others = in_use[document].swap(true, Ordering::SeqCst);
                    assert!(!others, "LOCKSTORE_SEED={seed}: two have locked {document}");
                    lock.set_update_on_release(doc! { "$inc": { "turns": 1_i64 } }).unwrap();
                    in_use[document].store(false, Ordering::SeqCst);
                    lock.release().expect("it is held");
                }
            });
        }
    });
    let found = jobs.find(doc! {}).run().unwrap();
    let turns: i64 = found.map(|job| job.unwrap().get_i64("turns").unwrap_or(0)).sum();
    assert_eq!(turns, i64::try_from(turns_each).unwrap() * i64::try_from(THREADS).unwrap());
    let stats = store.stats().unwrap();
    assert_eq!((stats.waiters, stats.document_locks), (0, 0));
}

pub(crate) fn jobs() -> (Store, Collection) {
    let store = DEPLOYMENT.in_memory();
    let jobs = store.database("factory").collection("jobs");
    let numbers = 0..i64::try_from(DOCUMENTS).expect("it is small");
    jobs.insert_many(numbers.map(|cost| doc! { "cost": cost })).run().expect("they are inserted");
    (store, jobs)
}

pub(crate) fn number(lock: &DocumentLock) -> usize {
    let cost = lock.locked_document().expect("it is locked").get_i64("cost").expect("a number");
    usize::try_from(cost).expect("it is small")
}

pub(crate) const DOCUMENTS: usize = 8;
const THREADS: u64 = 32;
/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(3_600);
