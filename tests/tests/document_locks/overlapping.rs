//! Many wait for documents with filters that overlap in part: whoever releases one hands it to the first of those who would be
//! given it, nobody is passed over for ever, and nobody is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::collection::{LockDocument, LockDocumentFuture};
use lockstore::{Collection, DocumentLock, Store};
use lockstore_tests::dice::{Dice, seed};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

use crate::DEPLOYMENT;

/// Documents by their cost, which is their number.
#[derive(Clone, Copy, Debug)]
struct Wish {
    from: usize,
    /// Not included.
    to: usize,
    order: Order,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    /// As they were inserted; whichever becomes free.
    Any,
    CheapestFirst,
    DearestFirst,
}

impl Wish {
    fn random(dice: &mut Dice) -> Self {
        let below = |dice: &mut Dice, bound: usize| {
            usize::try_from(dice.below(bound as u64)).expect("it is small")
        };
        let from = below(dice, DOCUMENTS);
        let to = from + 1 + below(dice, DOCUMENTS - from);
        let order = *dice.pick(&[Order::Any, Order::CheapestFirst, Order::DearestFirst]);
        Self { from, to, order }
    }

    /// The document that is given to who asks while all are free.
    fn first(self) -> usize {
        match self.order {
            Order::Any | Order::CheapestFirst => self.from,
            Order::DearestFirst => self.to - 1,
        }
    }

    /// Whether who waits is given this document when it becomes free.
    fn is_met_by(self, document: usize) -> bool {
        match self.order {
            Order::Any => (self.from..self.to).contains(&document),
            Order::CheapestFirst | Order::DearestFirst => document == self.first(),
        }
    }

    fn request(self, jobs: &Collection) -> LockDocument<'_, Document> {
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
fn a_document_is_handed_to_the_first_of_those_who_would_be_given_it() {
    let seed = seed(6);
    for round in 0..DEPLOYMENT.rounds(12) {
        Queue::new(seed + round as u64).run();
    }
}

/// Those who wait, in the order of their arrival, and those who have locked something.
struct Queue {
    seed: u64,
    dice: Dice,
    store: Store,
    jobs: Collection,
    held: BTreeMap<usize, DocumentLock>,
    waiting: Vec<(Wish, Task<LockDocumentFuture<Document>>)>,
}

impl Queue {
    fn new(seed: u64) -> Self {
        let (store, jobs) = jobs();
        let lock = |number: usize| {
            let wish = Wish { from: number, to: number + 1, order: Order::Any };
            wish.request(&jobs).acquire().expect("it is free")
        };
        let held = (0..DOCUMENTS).map(|number| (number, lock(number))).collect();
        Self { seed, dice: Dice::new(seed), store, jobs, held, waiting: Vec::new() }
    }

    fn run(&mut self) {
        let mut to_come = DEPLOYMENT.rounds(80);
        for _ in 0..DEPLOYMENT.rounds(40) {
            self.arrive();
        }
        while let Some(document) = self.any_held() {
            self.release(document);
            // Those who come later do not go before those who wait.
            if to_come > 0 && self.dice.chance(2, 3) {
                to_come -= 1;
                self.arrive();
            }
        }
        assert!(self.waiting.is_empty(), "LOCKSTORE_SEED={}: some are lost", self.seed);
        assert_eq!(self.waiters(), 0);
    }

    fn arrive(&mut self) {
        let wish = Wish::random(&mut self.dice);
        let mut task = Task::new(wish.request(&self.jobs).acquire_async());
        if self.held.contains_key(&wish.first()) {
            assert!(task.poll().is_pending(), "LOCKSTORE_SEED={}: {wish:?}", self.seed);
            self.waiting.push((wish, task));
            eventually("it waits", || self.waiters() == self.waiting.len());
        } else {
            let lock = task.outcome().expect("the store serves");
            self.hold(wish.first(), lock);
        }
    }

    fn release(&mut self, document: usize) {
        let lock = self.held.remove(&document).expect("it is held");
        lock.release().expect("it is held");
        let next = self.waiting.iter().position(|(wish, _)| wish.is_met_by(document));
        if let Some(next) = next {
            let (_, task) = self.waiting.remove(next);
            let lock = task.outcome().expect("the store serves");
            self.hold(document, lock);
        }
        for (wish, task) in &mut self.waiting {
            assert!(task.poll().is_pending(), "LOCKSTORE_SEED={}: {wish:?} goes first", self.seed);
        }
    }

    fn hold(&mut self, expected: usize, lock: DocumentLock) {
        assert_eq!(number(&lock), expected, "LOCKSTORE_SEED={}", self.seed);
        self.held.insert(expected, lock);
    }

    fn any_held(&mut self) -> Option<usize> {
        let held: Vec<_> = self.held.keys().copied().collect();
        (!held.is_empty()).then(|| *self.dice.pick(&held))
    }

    fn waiters(&self) -> usize {
        self.store.stats().expect("the store serves").waiters
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

fn jobs() -> (Store, Collection) {
    let store = DEPLOYMENT.in_memory();
    let jobs = store.database("factory").collection("jobs");
    let numbers = 0..i64::try_from(DOCUMENTS).expect("it is small");
    jobs.insert_many(numbers.map(|cost| doc! { "cost": cost })).run().expect("they are inserted");
    (store, jobs)
}

fn number(lock: &DocumentLock) -> usize {
    let cost = lock.locked_document().expect("it is locked").get_i64("cost").expect("a number");
    usize::try_from(cost).expect("it is small")
}

const DOCUMENTS: usize = 8;
const THREADS: u64 = 32;
/// Longer than any of it takes.
const LONG: Duration = Duration::from_secs(3_600);
