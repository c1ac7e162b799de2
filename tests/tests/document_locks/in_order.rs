//! Whoever releases a document hands it to the first of those who would be given it. (On a replica set they all look, the
//! first of each process first, and who is looking just then may be faster.)

use std::collections::BTreeMap;

use lockstore::bson::Document;
use lockstore::collection::LockDocumentFuture;
use lockstore::{Collection, DocumentLock, Store};
use lockstore_tests::dice::{Dice, seed};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

use crate::overlapping::{DOCUMENTS, Order, Wish, jobs, number};

impl Wish {
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
}

#[test]
fn a_document_is_handed_to_the_first_of_those_who_would_be_given_it() {
    let seed = seed(6);
    for round in (seed..).take(12) {
        Queue::new(round).run();
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
        let mut to_come = 80;
        for _ in 0..40 {
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
