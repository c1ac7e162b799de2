//! Waiting for documents: who is woken, by what, and in which order.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::collection::{LockDocument, LockDocumentFuture};
use lockstore::{
    Collection, DocumentLock, ErrorCode, IndexModel, LOCK_KEY, Limit, Limits, LockDocumentError,
    Store, StoreError,
};
use lockstore_tests::call::Call;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

use crate::DEPLOYMENT;

/// Longer than any test: who waits so long between two looks is woken by events, or not at all.
const LONG: Duration = Duration::from_secs(100_000);

type Waiter = Task<LockDocumentFuture<Document>>;

struct Factory {
    machine: Machine,
    store: Store,
    jobs: Collection,
}

impl Factory {
    /// Jobs 1 to `count`, whose `cost` is ten times their `_id`.
    fn new(count: i32) -> Self {
        Self::with_limits(count, Limits::default())
    }

    fn with_limits(count: i32, limits: Limits) -> Self {
        let machine = Machine::on(DEPLOYMENT);
        let store = machine.open_with(machine.options().limits(limits));
        let jobs = store.database("factory").collection("jobs");
        jobs.insert_many((1..=count).map(|id| doc! { "_id": id, "cost": id * 10 })).run().unwrap();
        Self { machine, store, jobs }
    }

    fn lock(&self, id: i32) -> DocumentLock {
        let lock = self.jobs.lock_document(doc! { "_id": id }).acquire().unwrap();
        assert!(lock.holds());
        lock
    }

    fn ask(&self, filter: Document) -> LockDocument<'_, Document> {
        self.jobs.lock_document(filter).sleep(LONG).max_wait(LONG)
    }

    fn wait(&self, filter: Document) -> Waiter {
        self.wait_as(self.ask(filter))
    }

    fn wait_as(&self, ask: LockDocument<'_, Document>) -> Waiter {
        let before = self.waiters();
        let waiter = Task::pending(ask.acquire_async());
        eventually("it waits", || self.waiters() == before + 1);
        waiter
    }

    fn waiters(&self) -> usize {
        self.store.stats().unwrap().waiters
    }

    fn set(&self, id: i32, fields: Document) {
        self.jobs.update_one(doc! { "_id": id }, doc! { "$set": fields }).run().unwrap();
    }
}

#[track_caller]
fn got(waiter: Waiter) -> (DocumentLock, i32) {
    let lock = waiter.outcome().unwrap();
    let id = lock.locked_document().expect("it is locked").get_i32("_id").unwrap();
    assert!(lock.holds());
    (lock, id)
}

#[test]
fn a_waiter_gets_the_document_in_the_commit_that_releases_it() {
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    let waiter = factory.wait_as(factory.ask(doc! {}).update(doc! { "$inc": { "n": 1 } }));
    let before = factory.store.stats().unwrap().commits;
    lock.release().unwrap();
    assert_eq!(factory.store.stats().unwrap().commits, before + 1);
    let (lock, _) = got(waiter);
    assert_eq!(factory.store.stats().unwrap().commits, before + 1);
    assert_eq!(lock.locked_document().unwrap().get_i32("n").unwrap(), 1);
    assert_eq!(factory.waiters(), 0);
    assert_eq!(factory.store.check().unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_thread_waits_like_a_future() {
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    let jobs = factory.jobs.clone();
    let call = Call::start(move || {
        let lock = jobs.lock_document(doc! {}).sleep(LONG).max_wait(LONG).acquire().unwrap();
        lock.locked_document().unwrap().get_i32("_id").unwrap()
    });
    eventually("it waits", || factory.waiters() == 1);
    lock.release().unwrap();
    assert_eq!(call.outcome(), 1);
}

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    let factory = Factory::new(1);
    let mut lock = factory.lock(1);
    let waiters: Vec<_> = (0..5)
        .map(|number| factory.wait_as(factory.ask(doc! {}).lock_id(format!("w{number}"))))
        .collect();
    for (number, waiter) in waiters.into_iter().enumerate() {
        let late = factory.jobs.lock_document(doc! {}).acquire_async();
        lock.release().unwrap();
        // Who comes only now does not overtake those who wait.
        assert!(Task::new(late).outcome().unwrap().locked_document().is_none());
        (lock, _) = got(waiter);
        assert_eq!(lock.lock_id(), format!("w{number}"));
    }
}

#[test]
fn each_way_to_unlock_a_document_wakes_a_waiter() {
    let unlock: [fn(&Factory, DocumentLock); 7] = [
        |_, lock| lock.release().unwrap(),
        |_, lock| drop(lock),
        |factory, lock| {
            factory.set(1, doc! { "lock_id": null });
            assert!(lock.release().is_err());
        },
        |factory, lock| {
            factory.jobs.replace_one(doc! {}, doc! { "cost": 1 }).run().unwrap();
            drop(lock);
        },
        |factory, lock| {
            factory.jobs.unlock(doc! {}, "for the next").unwrap();
            drop(lock);
        },
        |factory, lock| {
            factory.machine.clock.advance(secs(10));
            std::mem::forget(lock);
        },
        |factory, lock| {
            std::mem::forget(lock);
            factory.jobs.delete_one(doc! { "_id": 1 }).run().unwrap();
            factory.jobs.insert_one(doc! { "_id": 2 }).unwrap();
        },
    ];
    for (at, unlock) in unlock.into_iter().enumerate() {
        let factory = Factory::new(1);
        let lock = factory.jobs.lock_document(doc! {}).ttl(secs(10)).acquire().unwrap();
        let waiter = factory.wait(doc! {});
        unlock(&factory, lock);
        if at == 6 {
            // Nothing matched when it looked after the deletion, or it met what was inserted.
            let lock = waiter.outcome().unwrap();
            assert!(lock.unavailable_document().is_none());
        } else {
            let _lock = got(waiter);
        }
        assert_eq!(factory.waiters(), 0, "unlocked in way {at}");
    }
}

#[test]
fn a_session_that_ends_hands_its_document_on_and_ends_its_own_waits() {
    let factory = Factory::new(1);
    let session = factory.store.session().unwrap();
    let lock = factory.jobs.lock_document(doc! {}).session(&session).acquire().unwrap();
    let bound = factory.wait_as(factory.ask(doc! {}).session(&session));
    let next = factory.wait(doc! {});
    session.end().unwrap();
    assert!(matches!(bound.outcome(), Err(LockDocumentError::SessionEnded)));
    let _next = got(next);
    assert!(!lock.holds());
}

#[test]
fn waiters_on_overlapping_filters_each_get_what_they_match() {
    let factory = Factory::new(4);
    let mut locks: Vec<_> = (1..=4).map(|id| Some(factory.lock(id))).collect();
    let dear = factory.wait(doc! { "cost": { "$gte": 30 } });
    let any = factory.wait(doc! {});
    let third = factory.wait(doc! { "_id": 3 });
    let mut release = |id: usize| locks[id - 1].take().unwrap().release().unwrap();
    release(1);
    let (_any, id) = got(any);
    assert_eq!(id, 1);
    release(3);
    let (dear, id) = got(dear);
    assert_eq!(id, 3, "who came first, of the two it concerns");
    release(2);
    release(4);
    dear.release().unwrap();
    assert_eq!(got(third).1, 3);
}

#[test]
fn a_document_that_comes_to_match_wakes_a_waiter_and_one_that_does_not_leaves_it() {
    let factory = Factory::new(2);
    let _lock = factory.lock(1);
    let mut waiter = factory.wait(doc! { "cost": { "$lt": 15 } });
    factory.set(2, doc! { "cost": 16 });
    factory.jobs.insert_one(doc! { "_id": 3, "cost": 99 }).unwrap();
    assert!(waiter.poll().is_pending());
    assert_eq!(factory.waiters(), 1);
    factory.jobs.insert_one(doc! { "_id": 4, "cost": 12 }).unwrap();
    assert_eq!(got(waiter).1, 4);
    let _fourth = factory.lock(4);
    let waiter = factory.wait(doc! { "cost": { "$lt": 15 } });
    factory.set(2, doc! { "cost": 3 });
    assert_eq!(got(waiter).1, 2);
}

#[test]
fn with_a_sort_it_is_the_first_that_is_waited_for() {
    let factory = Factory::new(4);
    let second = factory.lock(2);
    let first = factory.lock(1);
    let mut waiter = factory.wait_as(factory.ask(doc! {}).sort(doc! { "cost": 1 }));
    second.release().unwrap();
    factory.jobs.insert_one(doc! { "_id": 5, "cost": 11 }).unwrap();
    assert!(waiter.poll().is_pending(), "what sorts behind the candidate does not concern it");
    // One that sorts before it is the one that is waited for from now on.
    factory.jobs.insert_one(doc! { "_id": 6, "cost": 5, "lock_id": "by hand" }).unwrap();
    first.release().unwrap();
    assert!(waiter.poll().is_pending());
    factory.set(6, doc! { "lock_id": null });
    assert_eq!(got(waiter).1, 6);

    let first = factory.lock(1);
    let last = factory.lock(4);
    let few = doc! { "_id": { "$in": [1, 4, 7] } };
    let waiter = factory.wait_as(factory.ask(few).sort(doc! { "$natural": -1 }));
    first.release().unwrap();
    factory.jobs.insert_one(doc! { "_id": 7 }).unwrap();
    assert_eq!(got(waiter).1, 7);
    drop(last);
}

#[test]
fn a_candidate_that_sorts_later_has_its_waiter_look_again() {
    let factory = Factory::new(3);
    let _first = factory.lock(1);
    let waiter = factory.wait_as(factory.ask(doc! {}).sort(doc! { "cost": 1 }));
    factory.set(1, doc! { "cost": 25 });
    assert_eq!(got(waiter).1, 2);
}

#[test]
fn a_waiter_whose_candidate_is_gone_looks_again_and_finds_nothing() {
    for how in 0..3 {
        let factory = Factory::new(1);
        let lock = factory.lock(1);
        let waiter = factory.wait(doc! { "cost": 10 });
        match how {
            0 => drop(factory.jobs.delete_one(doc! {}).run().unwrap()),
            1 => factory.set(1, doc! { "cost": 11 }),
            _ => assert!(factory.jobs.drop().unwrap()),
        }
        let found = waiter.outcome().unwrap();
        assert!(found.locked_document().is_none() && found.unavailable_document().is_none());
        assert_eq!(factory.waiters(), 0);
        drop(lock);
    }
}

#[test]
fn a_waiter_whose_update_fails_is_told_and_the_next_one_is_asked() {
    let factory = Factory::new(2);
    factory.jobs.create_index(IndexModel::new(doc! { "cost": 1 }).unique(true)).unwrap();
    let lock = factory.lock(1);
    let failing = factory.ask(doc! { "_id": 1 }).update(doc! { "$set": { "cost": 20 } });
    let failing = factory.wait_as(failing);
    let next = factory.wait(doc! { "_id": 1 });
    lock.release().unwrap();
    match failing.outcome() {
        Err(LockDocumentError::Document(error)) => {
            assert_eq!(error.code(), ErrorCode::DUPLICATE_KEY);
        }
        other => panic!("{other:?}"),
    }
    let (lock, _) = got(next);
    assert_eq!(lock.locked_document().unwrap().get_i32("cost").unwrap(), 10);
}

#[test]
fn who_has_waited_for_max_wait_is_given_the_locked_document() {
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    let ask = || factory.jobs.lock_document(doc! {}).sleep(secs(10)).max_wait(secs(25));
    let mut waiter = factory.wait_as(ask());
    for _ in 0..2 {
        factory.machine.clock.advance(secs(10));
        assert!(waiter.poll().is_pending());
        eventually("it waits again", || waiter.poll().is_pending() && factory.waiters() == 1);
    }
    factory.machine.clock.advance(secs(5));
    let found = waiter.outcome().unwrap();
    let unavailable = found.unavailable_document().unwrap();
    assert_eq!(unavailable.get_str(LOCK_KEY).unwrap(), lock.lock_id());
    assert!(!found.holds());
    assert_eq!(factory.waiters(), 0);
}

#[test]
fn who_looks_again_keeps_its_place() {
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    let ask = |sleep| factory.jobs.lock_document(doc! {}).sleep(sleep).max_wait(LONG);
    let mut first = factory.wait_as(ask(secs(10)));
    let second = factory.wait_as(ask(LONG));
    let looks = factory.store.stats().unwrap().requests;
    factory.machine.clock.advance(secs(10));
    eventually("it looks again", || {
        first.poll().is_pending() && factory.store.stats().unwrap().requests > looks
    });
    eventually("it waits again", || factory.waiters() == 2);
    lock.release().unwrap();
    let (first, _) = got(first);
    first.release().unwrap();
    let _second = got(second);
}

#[test]
fn waits_that_are_given_up_leave_no_memory_and_hand_on_what_they_got() {
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    for _ in 0..100 {
        drop(factory.wait(doc! {}));
        eventually("it is forgotten", || factory.waiters() == 0);
    }
    let given_up = factory.wait(doc! {});
    let next = factory.wait(doc! {});
    lock.release().unwrap();
    drop(given_up);
    let (lock, _) = got(next);
    assert_eq!(factory.store.stats().unwrap().document_locks, 1);
    lock.release().unwrap();
    let unlocked = factory.jobs.count_documents(doc! { "lock_id": null }).run().unwrap();
    assert_eq!(unlocked, 1);
    // One that was asked for and never told is given back too.
    drop(Task::new(factory.jobs.lock_document(doc! {}).acquire_async()).poll());
    eventually("it is given back", || factory.store.stats().unwrap().document_locks == 0);
}

#[test]
fn those_who_wait_are_bounded_and_told_when_the_store_closes() {
    let factory = Factory::with_limits(1, Limits { waiters_max: 1, ..Limits::default() });
    let _lock = factory.lock(1);
    let waiter = factory.wait(doc! {});
    let refused = Task::new(factory.ask(doc! {}).acquire_async()).outcome();
    assert!(matches!(
        refused,
        Err(LockDocumentError::LimitReached { limit: Limit::Waiters, max: 1 })
    ));
    factory.store.clone().close().unwrap();
    match waiter.outcome() {
        Err(LockDocumentError::Document(error)) => {
            assert!(
                matches!(error, lockstore::DocumentError::Store(StoreError::Closed)),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_waiters_than_one_batch_compares_are_all_served() {
    const WAITERS: usize = 50;
    let factory = Factory::new(1);
    let lock = factory.lock(1);
    let waiters: Vec<_> = (0..WAITERS).map(|_| factory.wait(doc! {})).collect();
    // Each of these is compared with every waiter, and together they are more than one batch does.
    let inserted: Vec<_> = (10..210).map(|id| doc! { "_id": id, "lock_id": "by hand" }).collect();
    factory.jobs.insert_many(inserted).run().unwrap();
    // Whoever was not compared looks again by itself, and comes when it comes.
    let served = waiters.into_iter().map(|waiter| {
        thread::spawn(move || {
            let (lock, _) = got(waiter);
            lock.release().unwrap();
        })
    });
    let served: Vec<_> = served.collect();
    lock.release().unwrap();
    for waiter in served {
        waiter.join().unwrap();
    }
    assert_eq!(factory.waiters(), 0);
}

#[test]
fn threads_that_wait_for_one_document_hold_it_one_after_the_other() {
    let factory = Factory::new(1);
    let jobs = Arc::new(factory.jobs.clone());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || {
                for _ in 0..10 {
                    let ask = jobs.lock_document(doc! {}).sleep(LONG).max_wait(LONG);
                    let mut lock = ask.acquire().unwrap();
                    let n = lock.locked_document().unwrap().get_i32("n").unwrap_or(0);
                    lock.set_update_on_release(doc! { "$set": { "n": n + 1 } }).unwrap();
                    lock.release().unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let job = jobs.find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!(job.get_i32("n").unwrap(), 80);
    assert_eq!(factory.waiters(), 0);
}

/// The writer leaves what may be much work to the waiters themselves.
#[test]
fn a_waiter_whose_filter_or_update_may_be_much_work_looks_for_itself() {
    let factory = Factory::new(1);
    let all = doc! { "$range": [0, 100] };
    let sum =
        doc! { "$reduce": { "input": all, "initialValue": 0, "in": { "$add": ["$$value", 1] } } };
    let update = vec![doc! { "$set": { "sum": sum } }];
    let lock = factory.lock(1);
    let cheap_filter = factory.wait_as(factory.ask(doc! {}).update(&update));
    lock.release().unwrap();
    let (lock, _) = got(cheap_filter);
    assert_eq!(lock.locked_document().unwrap().get_i32("sum").unwrap(), 100);
    let dear_filter =
        factory.ask(doc! { "$expr": { "$gt": [{ "$size": { "$range": [0, "$cost"] } }, 5] } });
    let dear_filter = factory.wait_as(dear_filter);
    lock.release().unwrap();
    assert_eq!(got(dear_filter).1, 1);
    assert_eq!(factory.waiters(), 0);
}
