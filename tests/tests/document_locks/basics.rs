//! Document locks, sentence by sentence of what jobflow-remote's `MongoLock` promises, and what it does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lockstore::bson::{Bson, DateTime, Document, doc};
use lockstore::collection::LockDocument;
use lockstore::{
    Collection, DocumentLock, ErrorCode, IndexModel, LOCK_EXPIRES_AT_KEY, LOCK_KEY, LOCK_TIME_KEY,
    LOCK_TOKEN_KEY, LockDocumentError as Error, ReleaseDocumentError, Store, get_lock_id,
    get_lock_time,
};
use lockstore_tests::machine::secs;

use crate::DEPLOYMENT;

fn filled(documents: impl IntoIterator<Item = Document>) -> Collection {
    filled_in(&DEPLOYMENT.in_memory(), documents)
}

pub(crate) fn filled_in(
    store: &Store,
    documents: impl IntoIterator<Item = Document>,
) -> Collection {
    let jobs = store.database("factory").collection("jobs");
    jobs.insert_many(documents).run().unwrap();
    jobs
}

#[track_caller]
pub(crate) fn get(jobs: &Collection, id: i32) -> Document {
    jobs.find_one(doc! { "_id": id }).run().unwrap().expect("it is there")
}

#[track_caller]
pub(crate) fn assert_sound(store: &Store) {
    DEPLOYMENT.assert_sound(store);
}

/// What a lock has come to, in one word, and the `_id` of its document.
pub(crate) fn came_to(lock: &DocumentLock) -> (&'static str, i32) {
    let id = |document: &Document| document.get_i32("_id").unwrap();
    match (lock.locked_document(), lock.unavailable_document()) {
        (Some(document), None) => ("locked", id(document)),
        (None, Some(document)) => ("unavailable", id(document)),
        (None, None) => ("nothing", 0),
        (Some(_), Some(_)) => panic!("both: {lock:?}"),
    }
}

type Ask = fn(LockDocument<'_, Document>) -> LockDocument<'_, Document>;

const PLAIN: Ask = |ask| ask;
const MEETING: [Ask; 2] =
    [|ask| ask.get_locked_doc(true), |ask| ask.sleep(secs(9)).max_wait(secs(0))];
const BREAKING: Ask = |ask| ask.break_lock(true);

/// The table of what an explicit `lock_id` meets where the first match is locked: by another, by itself, by "".
#[test]
fn the_table_of_modes_row_by_row() {
    let held_by = ["other", "mine", ""];
    let lock = |mode: Ask, held_by: &str| {
        let locked = doc! { "_id": 1, "n": 0, "lock_id": held_by, "lock_time": DateTime::MIN };
        let jobs = filled([locked, doc! { "_id": 2, "n": 0 }]);
        let ask = jobs.lock_document(doc! {}).sort(doc! { "_id": 1 }).lock_id("mine");
        let ask = ask.update(doc! { "$inc": { "n": 1 } });
        let lock = mode(ask).acquire().unwrap();
        let came_to = came_to(&lock);
        let n = [1, 2].map(|id| get(&jobs, id).get_i32("n").unwrap());
        drop(lock);
        (came_to, n)
    };
    for held_by in held_by {
        assert_eq!(lock(PLAIN, held_by), (("locked", 2), [0, 1]), "plain, {held_by:?}");
        assert_eq!(lock(BREAKING, held_by), (("locked", 1), [1, 0]), "break_lock, {held_by:?}");
    }
    for mode in MEETING {
        assert_eq!(lock(mode, "other"), (("unavailable", 1), [0, 0]));
        assert_eq!(lock(mode, "mine"), (("locked", 1), [0, 0]), "the update is not made");
        assert_eq!(lock(mode, ""), (("unavailable", 1), [0, 0]));
    }
}

#[test]
fn what_is_free_is_locked_and_updated_in_one_step_in_every_mode() {
    for free in [doc! {}, doc! { "lock_id": null, "lock_time": null }] {
        for mode in [PLAIN, MEETING[0], MEETING[1], BREAKING] {
            for update in [
                Bson::from(doc! { "$inc": { "n": 1 }, "$set": { "text": "$n" } }),
                Bson::from(vec![doc! { "$set": { "n": { "$add": ["$n", 1] }, "text": "x" } }]),
            ] {
                let mut document = doc! { "_id": 1, "n": 1 };
                document.extend(free.clone());
                let jobs = filled([document]);
                let ask = mode(jobs.lock_document(doc! { "n": 1 }).update(&update));
                let lock = ask.acquire().unwrap();
                let locked = lock.locked_document().expect("it is free");
                assert_eq!(*locked, get(&jobs, 1), "the document after the update");
                assert_eq!(locked.get_i32("n").unwrap(), 2);
                assert_eq!(locked.get_str(LOCK_KEY).unwrap(), lock.lock_id());
                assert_eq!(get_lock_id(locked), Some(&lock.lock_id().into()));
                assert!(get_lock_time(locked).unwrap() > DateTime::from_millis(0));
                assert!(lock.holds() && lock.token().is_some());
                assert!(
                    locked.get(LOCK_TOKEN_KEY).is_none()
                        && locked.get(LOCK_EXPIRES_AT_KEY).is_none()
                );
                if matches!(update, Bson::Document(_)) {
                    assert_eq!(locked.get_str("text").unwrap(), "$n", "no field path");
                }
                lock.release().unwrap();
                let released = get(&jobs, 1);
                assert_eq!(released.get(LOCK_KEY), Some(&Bson::Null));
                assert_eq!(released.get(LOCK_TIME_KEY), Some(&Bson::Null));
                assert_eq!(released.get_i32("n").unwrap(), 2);
            }
        }
    }
}

#[test]
fn no_match_gives_neither_document() {
    let jobs = filled([doc! { "_id": 1 }]);
    for mode in [PLAIN, MEETING[0], |ask| ask.sleep(secs(600)), BREAKING] {
        let lock = mode(jobs.lock_document(doc! { "_id": 2 })).acquire().unwrap();
        assert_eq!(came_to(&lock), ("nothing", 0));
        assert!(!lock.holds() && lock.token().is_none());
        lock.renew().unwrap();
        lock.release().unwrap();
    }
    let elsewhere = DEPLOYMENT.in_memory().database("a").collection::<Document>("b");
    assert_eq!(came_to(&elsewhere.lock_document(doc! {}).acquire().unwrap()), ("nothing", 0));
}

#[test]
fn the_plain_filter_replaces_the_callers_own_condition_on_lock_id() {
    let jobs = filled([doc! { "_id": 1, "lock_id": "other" }, doc! { "_id": 2 }]);
    let ask = jobs.lock_document(doc! { "lock_id": "other", "_id": { "$gt": 0 } });
    assert_eq!(came_to(&ask.acquire().unwrap()), ("locked", 2));
    let own = jobs.lock_document(doc! { "lock_id": "other" }).get_locked_doc(true);
    assert_eq!(came_to(&own.acquire().unwrap()), ("unavailable", 1));
}

#[test]
fn a_lock_id_is_a_new_uuid_unless_it_is_given() {
    let jobs = filled([doc! { "_id": 1 }, doc! { "_id": 2 }]);
    let first = jobs.lock_document(doc! {}).acquire().unwrap();
    let second = jobs.lock_document(doc! {}).lock_id("").acquire().unwrap();
    assert_ne!(first.lock_id(), second.lock_id());
    assert_eq!((first.lock_id().len(), second.lock_id().len()), (36, 36));
    drop((first, second));
    let long = jobs.lock_document(doc! {}).lock_id("x".repeat(1_025)).acquire();
    assert!(matches!(long, Err(Error::Argument(_))), "{long:?}");
}

#[test]
fn a_broken_lock_is_lost_and_says_to_whom() {
    let jobs = filled([doc! { "_id": 1, "n": 0 }]);
    let mut first = jobs.lock_document(doc! {}).acquire().unwrap();
    first.set_update_on_release(doc! { "$set": { "n": 99 } }).unwrap();
    for lock_id in ["thief", "thief"] {
        let thief = jobs.lock_document(doc! {}).break_lock(true).lock_id(lock_id);
        let thief = thief.acquire().unwrap();
        assert!(thief.token() > first.token());
        assert!(thief.holds() && !first.holds());
        std::mem::forget(thief);
    }
    let lost = first.release().unwrap_err();
    assert_eq!(lost.to_string().split("; ").nth(1), Some("thief has locked it now"), "{lost}");
    assert_eq!(get(&jobs, 1).get_i32("n").unwrap(), 0, "nothing was applied");
    assert_eq!(get(&jobs, 1).get_str(LOCK_KEY).unwrap(), "thief");
}

#[test]
fn what_is_done_on_release_is_done_with_it() {
    let jobs = filled([doc! { "_id": 1, "n": 1 }, doc! { "_id": 2 }, doc! { "_id": 3 }]);
    let mut lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    lock.set_update_on_release(doc! { "$inc": { "n": 1 }, "$push": { "log": "done" } }).unwrap();
    lock.release().unwrap();
    let released = doc! { "_id": 1, "n": 2, "log": ["done"], "lock_id": null, "lock_time": null };
    assert_eq!(get(&jobs, 1), released);

    let mut lock = jobs.lock_document(doc! { "_id": 2 }).lock_id("mine").acquire().unwrap();
    let stages = vec![doc! { "$set": { "was": { "$ifNull": ["$lock_id", "free"] } } }];
    lock.set_update_on_release(stages).unwrap();
    drop(lock);
    let released = doc! { "_id": 2, "was": "free", "lock_id": null, "lock_time": null };
    assert_eq!(get(&jobs, 2), released);

    let mut lock = jobs.lock_document(doc! { "_id": 3 }).acquire().unwrap();
    lock.set_delete_on_release().unwrap();
    assert_eq!(
        lock.set_update_on_release(doc! { "$set": { "a": 1 } }).unwrap_err().code(),
        ErrorCode::BAD_VALUE
    );
    lock.release().unwrap();
    assert_eq!(jobs.count_documents(doc! { "_id": 3 }).run().unwrap(), 0);

    let mut lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    lock.set_update_on_release(doc! { "$set": { "a": 1 } }).unwrap();
    assert_eq!(lock.set_delete_on_release().unwrap_err().code(), ErrorCode::BAD_VALUE);
    lock.set_update_on_release(doc! {}).unwrap();
    lock.set_delete_on_release().unwrap();
    lock.release().unwrap();
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 1);
}

#[test]
fn an_update_that_touches_the_lock_is_refused_when_it_is_set() {
    let jobs = filled([doc! { "_id": 1 }]);
    for field in [LOCK_KEY, LOCK_TIME_KEY, LOCK_EXPIRES_AT_KEY, LOCK_TOKEN_KEY] {
        for update in
            [Bson::from(doc! { "$set": { field: 1 } }), Bson::from(vec![doc! { "$unset": field }])]
        {
            let refused = jobs.lock_document(doc! {}).update(&update).acquire().unwrap_err();
            assert!(
                matches!(&refused, Error::Document(error) if error.code() == ErrorCode::BAD_VALUE)
            );
            assert_eq!(get(&jobs, 1), doc! { "_id": 1 });
            let mut lock = jobs.lock_document(doc! {}).acquire().unwrap();
            assert_eq!(
                lock.set_update_on_release(&update).unwrap_err().code(),
                ErrorCode::BAD_VALUE
            );
            lock.release().unwrap();
            jobs.replace_one(doc! {}, doc! {}).run().unwrap();
        }
    }
}

#[test]
fn a_failed_update_leaves_the_document_unlocked_and_unchanged() {
    let store = DEPLOYMENT.in_memory();
    let jobs = filled_in(&store, [doc! { "_id": 1, "u": 1, "s": "x" }, doc! { "_id": 2, "u": 2 }]);
    jobs.create_index(IndexModel::new(doc! { "u": 1 }).unique(true)).unwrap();
    let before = get(&jobs, 1);
    for (update, code) in [
        (Bson::from(doc! { "$set": { "u": 2 } }), ErrorCode::DUPLICATE_KEY),
        (Bson::from(doc! { "$inc": { "s": 1 } }), ErrorCode::TYPE_MISMATCH),
        (Bson::from(doc! { "$no": { "s": 1 } }), ErrorCode::FAILED_TO_PARSE),
        (Bson::from(doc! { "s": 1 }), ErrorCode::BAD_VALUE),
    ] {
        for mode in [PLAIN, MEETING[0], BREAKING] {
            let ask = mode(jobs.lock_document(doc! { "_id": 1 }).update(&update));
            match ask.acquire() {
                Err(Error::Document(error)) => assert_eq!(error.code(), code, "{error}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(get(&jobs, 1), before);
        }
    }
    assert_eq!(store.stats().unwrap().document_locks, 0);
}

#[test]
fn an_update_on_release_that_fails_leaves_the_document_released() {
    let store = DEPLOYMENT.in_memory();
    let jobs = filled_in(&store, [doc! { "_id": 1, "s": "x" }]);
    let mut lock = jobs.lock_document(doc! {}).acquire().unwrap();
    lock.set_update_on_release(doc! { "$inc": { "s": 1 } }).unwrap();
    match lock.release() {
        Err(ReleaseDocumentError::NotUpdated(error)) => {
            assert_eq!(error.code(), ErrorCode::TYPE_MISMATCH);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(get(&jobs, 1).get(LOCK_KEY), Some(&Bson::Null));
    assert_eq!(get(&jobs, 1).get_str("s").unwrap(), "x");
    assert_sound(&store);
}

#[test]
fn a_projection_brings_the_id_and_the_lock_along_and_keeps_its_values() {
    let jobs = filled([doc! { "_id": 1, "a": [1, 2, 3], "b": 2, "c": { "d": 1 } }]);
    let fields = |projection: Document| {
        let lock = jobs.lock_document(doc! {}).projection(projection).acquire().unwrap();
        let mut document = lock.locked_document().unwrap().clone();
        assert_eq!(document.remove("_id"), Some(1.into()));
        assert_eq!(document.remove(LOCK_KEY), Some(lock.lock_id().into()));
        assert!(document.remove(LOCK_TIME_KEY).unwrap().as_datetime().is_some());
        document
    };
    let all = doc! { "a": [1, 2, 3], "b": 2, "c": { "d": 1 } };
    assert_eq!(fields(doc! { "b": 1 }), doc! { "b": 2 });
    assert_eq!(fields(doc! { "_id": 0, "b": 1, "lock_id": 1 }), doc! { "b": 2 });
    assert_eq!(fields(doc! { "sum": { "$sum": "$a" } }), doc! { "sum": 6 });
    assert_eq!(fields(doc! { "a": 0, "lock_time": 0, "_id": 0 }), doc! { "b": 2, "c": { "d": 1 } });
    assert_eq!(fields(doc! { "lock_id": 0 }), all);
    assert_eq!(fields(doc! { "_id": 1 }), doc! {});
    assert_eq!(fields(doc! { "a": { "$slice": 1 } }), doc! { "a": [1], "b": 2, "c": { "d": 1 } });
    assert_eq!(fields(doc! {}), all);
}

#[test]
fn all_other_arguments_are_those_of_find_one_and_update() {
    let jobs = filled([
        doc! { "_id": 1, "cost": 5, "items": [{ "n": 1 }, { "n": 9 }] },
        doc! { "_id": 2, "cost": 9, "items": [{ "n": 1 }, { "n": 9 }] },
    ]);
    jobs.create_index(IndexModel::new(doc! { "cost": 1 })).unwrap();
    let lock = jobs
        .lock_document(doc! { "$expr": { "$gt": ["$cost", "$$least"] } })
        .let_vars(doc! { "least": 1 })
        .sort(doc! { "cost": -1 })
        .hint("cost_1")
        .collation(doc! { "locale": "simple" })
        .comment("by hand")
        .max_time(secs(60))
        .array_filters([doc! { "it.n": { "$gt": 5 } }])
        .update(doc! { "$set": { "items.$[it].n": 0 } })
        .acquire()
        .unwrap();
    let expected = vec![Bson::from(doc! { "n": 1 }), Bson::from(doc! { "n": 0 })];
    assert_eq!(came_to(&lock), ("locked", 2));
    assert_eq!(lock.locked_document().unwrap().get_array("items").unwrap(), &expected);
    let positional =
        jobs.lock_document(doc! { "items.n": 9 }).update(doc! { "$set": { "items.$.n": 7 } });
    let lock = positional.acquire().unwrap();
    assert_eq!(
        lock.locked_document().unwrap().get_array("items").unwrap()[1],
        doc! { "n": 7 }.into()
    );
    assert!(jobs.lock_document(doc! {}).hint("no_such_index").acquire().is_err());
    assert!(jobs.lock_document(doc! {}).collation(doc! { "locale": "de" }).acquire().is_err());
    assert!(jobs.lock_document(doc! { "$no": 1 }).acquire().is_err());
}

#[test]
fn a_panic_in_the_closure_releases_and_leaves_the_update_out() {
    let jobs = filled([doc! { "_id": 1 }]);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        jobs.with_document_lock(doc! {}, |lock| {
            assert!(lock.holds());
            lock.set_update_on_release(doc! { "$set": { "done": true } })?;
            panic!("at work");
            #[expect(unreachable_code, reason = "it says what an error would be")]
            Ok::<(), Box<dyn std::error::Error>>(())
        })
    }));
    assert!(panicked.is_err());
    let released = doc! { "_id": 1, "lock_id": null, "lock_time": null };
    assert_eq!(get(&jobs, 1), released);

    let failed = jobs.with_document_lock(doc! {}, |lock| {
        lock.set_delete_on_release()?;
        Err::<(), Box<dyn std::error::Error>>("no work".into())
    });
    assert_eq!(failed.unwrap_err().to_string(), "no work");
    assert_eq!(get(&jobs, 1), released);
}

#[test]
fn a_document_that_cannot_be_read_is_released_again() {
    #[derive(Debug, serde::Deserialize)]
    struct Job {
        #[expect(dead_code, reason = "it is only read")]
        n: i32,
    }
    let jobs = filled([doc! { "_id": 1, "n": "text" }]);
    let typed: Collection<Job> = jobs.with_type();
    assert!(typed.lock_document(doc! {}).acquire().is_err());
    assert_eq!(get(&jobs, 1).get(LOCK_KEY), Some(&Bson::Null));
}

#[test]
fn the_keys_behind_the_locks_are_nobodys() {
    let store = DEPLOYMENT.in_memory();
    let jobs = filled_in(&store, [doc! { "_id": 1 }]);
    let events = store.subscribe("").unwrap();
    let lock = jobs.lock_document(doc! {}).ttl(secs(60)).acquire().unwrap();
    lock.renew().unwrap();
    lock.release().unwrap();
    let _lock = jobs.lock_document(doc! {}).acquire().unwrap();
    assert_eq!(store.list("", None, 10).unwrap(), []);
    assert!(events.try_recv().is_err(), "nobody is told of them");
    let key = "\0document/1/1";
    assert!(store.lock(key).try_acquire().is_err());
    assert!(store.is_locked(key).is_err() && store.inspect(key).is_err());
    assert!(store.release(key, "x", None).is_err() && store.renew(key, "x", None, None).is_err());
    assert!(store.wait_until_free(key, None).is_err());
    assert_eq!(jobs.list_indexes().unwrap().len(), 1, "no index stands behind them");
}

/// The writer evaluates nothing that may be much work: whoever asks for it works it out, on what is there now.
#[test]
fn filters_and_updates_that_may_be_much_work_lock_and_release_too() {
    let text = "x".repeat(2_000);
    let jobs = filled([doc! { "_id": 1, "n": 1, "text": &text }, doc! { "_id": 2, "n": 5 }]);
    let dear = || doc! { "text": { "$regex": "(x+x+)+$" }, "n": { "$gte": 0 } };
    let repeated = || {
        let all = doc! { "$range": [0, 1_000] };
        let sum = doc! { "$reduce": { "input": all, "initialValue": "$n", "in": { "$add": ["$$value", 1] } } };
        vec![doc! { "$set": { "n": sum, "by": "$lock_id" } }]
    };
    for mode in [PLAIN, MEETING[0], MEETING[1], BREAKING] {
        let n = get(&jobs, 1).get_i32("n").unwrap();
        let ask = mode(jobs.lock_document(dear()).update(repeated()).lock_id("mine"));
        let mut lock = ask.acquire().unwrap();
        let locked = lock.locked_document().expect("it is free");
        assert_eq!(locked.get_i32("n").unwrap(), n + 1_000);
        assert_eq!(locked.get_str("by").unwrap(), "mine");
        lock.set_update_on_release(repeated()).unwrap();
        jobs.update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1 } }).run().unwrap();
        lock.release().unwrap();
        let released = get(&jobs, 1);
        assert_eq!(released.get_i32("n").unwrap(), n + 2_001);
        assert_eq!(released.get(LOCK_KEY), Some(&Bson::Null));
    }
    let mut lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    let failing = doc! { "$map": { "input": "$text", "in": "$$this" } };
    lock.set_update_on_release(vec![doc! { "$set": { "a": failing } }]).unwrap();
    assert!(matches!(lock.release(), Err(ReleaseDocumentError::NotUpdated(_))));
    assert_eq!(get(&jobs, 1).get(LOCK_KEY), Some(&Bson::Null));
    let _lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    assert_eq!(jobs.unlock(dear(), "by a filter that is much work").unwrap().len(), 1);
}
