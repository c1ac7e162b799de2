//! Locks of documents on a replica set, through the same interface as anywhere, and beside jobflow-remote's own.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod own;

use std::future::Future;
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Bson, DateTime, Document, cstr, doc, rawdoc};
use lockstore::{
    Collection, DocumentError, LockDocumentError, ReleaseDocumentError, Store, StoreError,
};
use lockstore_mongo::ReplicaSetOptions;

use own::Own;

impl Own {
    fn filled(count: i32) -> Self {
        Self::filled_with(count, ReplicaSetOptions::new())
    }

    fn filled_with(count: i32, options: ReplicaSetOptions) -> Self {
        let own = Self::with(options);
        own.jobs().insert_many((0..count).map(|id| doc! { "_id": id, "n": 0 })).run().unwrap();
        own
    }

    fn job(&self, id: i32) -> Document {
        self.jobs().find_one(doc! { "_id": id }).run().unwrap().unwrap()
    }
}

/// What jobflow-remote's class does to lock a document by its plain update.
fn their_lock(jobs: &Collection, id: i32, lock_id: &str) -> bool {
    let free = doc! { "_id": id, "lock_id": null };
    let lock = doc! { "$set": { "lock_id": lock_id, "lock_time": DateTime::now() } };
    jobs.find_one_and_update(free, lock).run().unwrap().is_some()
}

/// What jobflow-remote's class does to release a document.
fn their_release(jobs: &Collection, id: i32, lock_id: &str) -> bool {
    let held = doc! { "_id": id, "lock_id": lock_id };
    let release = doc! { "$set": { "lock_id": null, "lock_time": null } };
    jobs.update_one(held, release).run().unwrap().modified_count == 1
}

const MINUTE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

/// The same request of a store in memory and of the replica set.
#[derive(Clone, Copy, Debug)]
struct Case {
    held_by: Option<&'static str>,
    mode: Mode,
    lock_id: Option<&'static str>,
    update: Option<Update>,
    projection: Option<i32>,
    show_token: bool,
    has_ttl: bool,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Plain,
    Sleep,
    GetLockedDoc,
    Break,
}

#[derive(Clone, Copy, Debug)]
enum Update {
    Operators,
    Pipeline,
}

/// What it comes to, without what differs each time.
#[derive(Debug, PartialEq)]
struct Outcome {
    lock_id: Option<String>,
    locked: Option<Document>,
    unavailable: Option<Document>,
    holds: bool,
    released: String,
    /// What is there while it is locked, and after.
    then: Vec<Document>,
    after: Vec<Document>,
}

fn outcome(jobs: &Collection, case: Case) -> Outcome {
    jobs.delete_many(doc! {}).run().unwrap();
    let mut first = doc! { "_id": 1, "n": 1, "list": [1, 5] };
    if let Some(lock_id) = case.held_by {
        first.insert("lock_id", lock_id);
        first.insert("lock_time", DateTime::now());
    }
    jobs.insert_many([first, doc! { "_id": 2, "n": 1, "list": [7] }, doc! { "_id": 3, "n": 0 }])
        .run()
        .unwrap();
    let mut asked = jobs.lock_document(doc! { "n": 1 }).sort(doc! { "_id": 1 });
    asked = match case.mode {
        Mode::Plain => asked,
        Mode::Sleep => asked.sleep(Duration::from_millis(5)).max_wait(Duration::from_millis(20)),
        Mode::GetLockedDoc => asked.get_locked_doc(true),
        Mode::Break => asked.break_lock(true),
    };
    if let Some(lock_id) = case.lock_id {
        asked = asked.lock_id(lock_id);
    }
    asked = match case.update {
        None => asked,
        Some(Update::Operators) => asked
            .update(doc! { "$inc": { "n": 1 }, "$push": { "list": 9 }, "$set": { "state": "$n" } }),
        Some(Update::Pipeline) => asked.update([doc! { "$set": {
            "n": { "$add": ["$n", 1] }, "was": "$lock_id", "kind": { "$type": "$lock_time" },
        } }]),
    };
    if let Some(shown) = case.projection {
        asked = asked.projection(doc! { "n": shown });
    }
    if case.has_ttl {
        asked = asked.ttl(MINUTE);
    }
    let mut lock = asked.show_token(case.show_token).acquire().unwrap();
    let lock_id = case.lock_id.filter(|it| !it.is_empty()).map(|_| lock.lock_id().to_owned());
    let (locked, unavailable) =
        (lock.locked_document().map(plain), lock.unavailable_document().map(plain));
    let holds = lock.holds();
    let then = all(jobs);
    let released = if locked.is_some() {
        lock.set_update_on_release(doc! { "$set": { "done": true } }).unwrap();
        format!("{:?}", lock.release().err())
    } else {
        String::new()
    };
    Outcome { lock_id, locked, unavailable, holds, released, then, after: all(jobs) }
}

fn all(jobs: &Collection) -> Vec<Document> {
    let found = jobs.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    found.map(|job| plain(&job.unwrap())).collect()
}

/// A document with its fields in order, and without what is drawn anew each time.
fn plain(document: &Document) -> Document {
    let mut fields: Vec<_> = document.clone().into_iter().collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let stable = |(name, value): (String, Bson)| {
        let value = match (&*name, value) {
            ("lock_time" | "lock_expires_at", Bson::DateTime(_)) => "a date".into(),
            ("lock_token", Bson::Int64(_)) => "a token".into(),
            ("lock_id" | "was", Bson::String(id)) if id.len() == 36 => "a uuid".into(),
            (_, value) => value,
        };
        (name, value)
    };
    fields.into_iter().map(stable).collect()
}

#[test]
fn every_way_to_lock_comes_to_what_it_comes_to_in_a_file() {
    let own = Own::new();
    let here = Store::in_memory().unwrap();
    let (here, there) = (here.database("factory").collection("jobs"), own.jobs());
    let mut tried = 0;
    for mode in [Mode::Plain, Mode::Sleep, Mode::GetLockedDoc, Mode::Break] {
        for held_by in [None, Some("other"), Some("mine"), Some("")] {
            for lock_id in [None, Some("mine"), Some("")] {
                for (update, projection, show_token, has_ttl) in [
                    (None, None, false, false),
                    (Some(Update::Operators), None, true, true),
                    (Some(Update::Pipeline), Some(1), false, true),
                    (Some(Update::Pipeline), None, true, false),
                    (Some(Update::Operators), Some(0), false, false),
                ] {
                    let case =
                        Case { held_by, mode, lock_id, update, projection, show_token, has_ttl };
                    assert_eq!(outcome(&there, case), outcome(&here, case), "{case:?}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 240);
}

#[test]
fn an_update_may_be_about_the_element_that_the_filter_has_found() {
    let own = Own::new();
    let jobs = own.jobs();
    for mode in [Mode::Plain, Mode::GetLockedDoc, Mode::Break] {
        jobs.delete_many(doc! {}).run().unwrap();
        jobs.insert_one(doc! { "_id": 1, "parts": [{ "k": 1 }, { "k": 2 }] }).unwrap();
        let mut asked = jobs
            .lock_document(doc! { "parts.k": 2 })
            .update(doc! { "$set": { "parts.$.seen": true } });
        asked = match mode {
            Mode::GetLockedDoc => asked.get_locked_doc(true),
            Mode::Break => asked.break_lock(true),
            Mode::Plain | Mode::Sleep => asked,
        };
        let lock = asked.acquire().unwrap();
        let parts = lock.locked_document().unwrap().get_array("parts").unwrap();
        assert_eq!(parts[1], Bson::from(doc! { "k": 2, "seen": true }), "{mode:?}");
        lock.release().unwrap();
    }
}

#[test]
fn what_the_filter_or_the_update_cannot_be_is_told_and_nothing_is_locked() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    for asked in [
        jobs.lock_document(doc! { "n": { "$nonsense": 1 } }),
        jobs.lock_document(doc! {}).update(doc! { "$set": { "lock_id": "x" } }),
        jobs.lock_document(doc! {}).update(doc! { "$inc": { "_id": 1 } }),
        jobs.lock_document(doc! {}).update(doc! { "n": 1 }),
    ] {
        let error = asked.acquire().unwrap_err();
        assert!(matches!(error, LockDocumentError::Document(_)), "{error:?}");
    }
    assert_eq!(own.job(0), doc! { "_id": 0, "n": 0 });
}

#[test]
fn a_release_updates_or_deletes_in_the_same_step() {
    let own = Own::filled(3);
    let jobs = own.jobs();
    let mut lock = jobs.lock_document(doc! { "_id": 0 }).acquire().unwrap();
    lock.set_update_on_release([
        doc! { "$set": { "n": 7, "free": { "$eq": ["$lock_id", null] } } },
    ])
    .unwrap();
    lock.release().unwrap();
    let expected = doc! { "_id": 0, "free": true, "lock_id": null, "lock_time": null, "n": 7 };
    assert_eq!(plain(&own.job(0)), expected);

    let mut lock = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    lock.set_delete_on_release().unwrap();
    lock.release().unwrap();
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 2);

    // One that fails is left out, and the document is free.
    let mut lock = jobs.lock_document(doc! { "_id": 2 }).acquire().unwrap();
    lock.set_update_on_release(doc! { "$push": { "n": 1 } }).unwrap();
    let error = lock.release().unwrap_err();
    assert!(matches!(error, ReleaseDocumentError::NotUpdated(_)), "{error:?}");
    assert_eq!(plain(&own.job(2)), doc! { "_id": 2, "lock_id": null, "lock_time": null, "n": 0 });
}

#[test]
fn a_lock_that_was_taken_away_is_lost_and_nothing_is_applied() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let mut early = jobs.lock_document(doc! {}).lock_id("early").acquire().unwrap();
    early.set_update_on_release(doc! { "$set": { "n": 1 } }).unwrap();
    let fence = early.fence().unwrap();
    let late = jobs.lock_document(doc! {}).lock_id("late").break_lock(true).acquire().unwrap();
    assert!(late.fence().unwrap().token() > fence.token());
    assert!(!early.holds());
    let error = early.release().unwrap_err();
    let ReleaseDocumentError::LockLost { lock_id, now_held_by } = error else {
        panic!("{error:?}")
    };
    assert_eq!((lock_id.as_str(), now_held_by.as_deref()), ("early", Some("late")));
    let fenced = jobs.fenced_by(fence).insert_one(doc! { "_id": 9 }).unwrap_err();
    assert!(matches!(fenced, DocumentError::LockLost(_)), "{fenced:?}");
    jobs.fenced_by(late.fence().unwrap()).insert_one(doc! { "_id": 10 }).unwrap();
    late.release().unwrap();
    assert_eq!(jobs.count_documents(doc! { "n": 1 }).run().unwrap(), 0);
}

#[test]
fn the_original_class_and_this_one_keep_each_other_out() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    assert!(their_lock(&jobs, 0, "theirs"));
    let ours = jobs.lock_document(doc! {}).get_locked_doc(true).acquire().unwrap();
    assert_eq!(ours.unavailable_document().unwrap().get_str("lock_id").unwrap(), "theirs");
    assert!(jobs.lock_document(doc! {}).acquire().unwrap().locked_document().is_none());
    assert!(their_release(&jobs, 0, "theirs"));

    let ours = jobs.lock_document(doc! {}).lock_id("ours").ttl(MINUTE).acquire().unwrap();
    assert!(!their_lock(&jobs, 0, "theirs"));
    // As `jf admin unlock` does.
    assert!(their_release(&jobs, 0, "ours"));
    assert!(their_lock(&jobs, 0, "theirs"));
    assert!(!ours.holds());
    let fence = ours.fence().unwrap();
    let fenced = jobs.fenced_by(fence).insert_one(doc! { "_id": 9 }).unwrap_err();
    assert!(matches!(fenced, DocumentError::LockLost(_)), "{fenced:?}");
    let error = ours.release().unwrap_err();
    let ReleaseDocumentError::LockLost { now_held_by, .. } = error else { panic!("{error:?}") };
    assert_eq!(now_held_by.as_deref(), Some("theirs"));
    assert!(their_release(&jobs, 0, "theirs"));
    // The grant that they have overtaken is in nobody's way.
    jobs.lock_document(doc! {}).acquire().unwrap().release().unwrap();
}

#[test]
fn a_lock_whose_lease_has_run_out_is_free_and_one_of_the_original_class_is_not() {
    let own = Own::filled(2);
    let jobs = own.jobs();
    let lock = jobs.lock_document(doc! { "_id": 0 }).ttl(SHORT).acquire();
    let lock = lock.unwrap();
    // Theirs is taken when ours is over, by the same name: its end is no matter of ours.
    let taken_over = jobs.lock_document(doc! { "_id": 1 }).lock_id("same").ttl(SHORT);
    let taken_over = taken_over.acquire().unwrap();
    assert!(their_release(&jobs, 1, "same"));
    assert!(their_lock(&jobs, 1, "other"));
    thread::sleep(SHORT + Duration::from_millis(50));
    assert!(!lock.holds());
    let mode = jobs.lock_document(doc! { "_id": 0 }).get_locked_doc(true).acquire().unwrap();
    assert!(mode.locked_document().is_some());
    mode.release().unwrap();
    let lost = lock.release().unwrap_err();
    assert!(matches!(lost, ReleaseDocumentError::LockLost { now_held_by: None, .. }), "{lost:?}");
    let theirs = jobs.lock_document(doc! { "_id": 1 }).get_locked_doc(true).acquire().unwrap();
    assert!(theirs.unavailable_document().is_some());
    drop(taken_over);

    // Who passes locked documents over finds it too.
    let lock = jobs.lock_document(doc! { "_id": 0 }).ttl(SHORT).acquire();
    let _left_behind = std::mem::ManuallyDrop::new(lock.unwrap());
    thread::sleep(SHORT + Duration::from_millis(50));
    let next = jobs.lock_document(doc! { "_id": 0 }).acquire().unwrap();
    assert!(next.locked_document().is_some());
    next.release().unwrap();
}

#[test]
fn a_lock_ends_with_its_session() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let session = own.store.session().unwrap();
    let lock = jobs.lock_document(doc! {}).session(&session).acquire().unwrap();
    assert!(lock.holds());
    let ended = own.store.session_with(session.id());
    session.end().unwrap();
    assert!(!lock.holds());
    assert_eq!(plain(&own.job(0)), doc! { "_id": 0, "lock_id": null, "lock_time": null, "n": 0 });
    let late = jobs.lock_document(doc! {}).session(&ended).acquire().unwrap_err();
    assert!(matches!(late, LockDocumentError::SessionEnded), "{late:?}");
}

#[test]
fn who_waits_is_woken_by_the_release_long_before_it_looks_by_itself() {
    let own = Own::filled_with(1, ReplicaSetOptions::new().look_again(MINUTE));
    let jobs = own.jobs();
    let begin = Instant::now();
    let first = jobs.lock_document(doc! {}).lock_id("0").acquire().unwrap();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for waiter in 1..4 {
            let (jobs, tell) = (&jobs, tell.clone());
            scope.spawn(move || {
                let asked = jobs.lock_document(doc! {}).sleep(MINUTE).lock_id(waiter.to_string());
                let lock = asked.acquire().unwrap();
                tell.send(waiter).unwrap();
                lock.release().unwrap();
            });
        }
        thread::sleep(SHORT);
        first.release().unwrap();
    });
    drop(tell);
    assert_eq!(told.iter().count(), 3);
    // Nobody has looked by itself.
    assert!(begin.elapsed() < MINUTE / 2);
}

#[test]
fn who_waits_gets_what_the_original_class_releases_and_what_runs_out() {
    let own = Own::filled_with(2, ReplicaSetOptions::new().look_again(MINUTE));
    let jobs = own.jobs();
    assert!(their_lock(&jobs, 0, "theirs"));
    let held = jobs.lock_document(doc! { "_id": 1 }).ttl(SHORT).acquire();
    let begin = Instant::now();
    thread::scope(|scope| {
        let wait = |id: i32| {
            let lock = jobs.lock_document(doc! { "_id": id }).sleep(MINUTE).acquire().unwrap();
            assert!(lock.locked_document().is_some());
            lock.release().unwrap();
        };
        let waiters = [0, 1].map(|id| scope.spawn(move || wait(id)));
        thread::sleep(SHORT);
        assert!(their_release(&jobs, 0, "theirs"));
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
    // Nobody has looked by itself.
    assert!(begin.elapsed() < MINUTE / 2);
    drop(held);
}

#[test]
fn a_wait_ends_with_its_time_and_tells_who_is_in_the_way() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let held = jobs.lock_document(doc! {}).lock_id("held").acquire().unwrap();
    let late = jobs.lock_document(doc! {}).sleep(MINUTE).max_wait(SHORT).acquire().unwrap();
    assert_eq!(late.unavailable_document().unwrap().get_str("lock_id").unwrap(), "held");
    held.release().unwrap();
}

#[test]
fn a_lease_is_renewed_and_the_document_shows_it() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let asked = jobs.lock_document(doc! {}).ttl(MINUTE).show_token(true);
    let lock = asked.acquire().unwrap();
    let shown = |name: &str| own.job(0).get(name).cloned();
    let token = i64::try_from(lock.fence().unwrap().token().get()).unwrap();
    assert_eq!(shown("lock_token"), Some(Bson::Int64(token)));
    let before = shown("lock_expires_at").unwrap();
    thread::sleep(Duration::from_millis(5));
    lock.renew().unwrap();
    assert!(shown("lock_expires_at").unwrap().as_datetime() > before.as_datetime());
    lock.release().unwrap();
    assert_eq!(plain(&own.job(0)), doc! { "_id": 0, "lock_id": null, "lock_time": null, "n": 0 });
}

#[test]
fn locked_documents_are_listed_and_unlocked_by_force_on_record() {
    let own = Own::filled(130);
    let jobs = own.jobs();
    let session = own.store.session().unwrap();
    let lock = jobs.lock_document(doc! { "_id": 0 }).session(&session).ttl(MINUTE);
    let lock = lock.lock_id("ours").acquire().unwrap();
    for id in 1..129 {
        assert!(their_lock(&jobs, id, "theirs"));
    }
    let listed = jobs.locked_documents().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(listed.len(), 129);
    let ours = listed.iter().find(|it| it.lock_id == "ours").unwrap();
    assert_eq!(ours.token, Some(lock.fence().unwrap().token()));
    assert_eq!((ours.session, &ours.id), (Some(session.id()), &Bson::Int32(0)));
    assert!(ours.remaining.unwrap() > MINUTE / 2);
    let theirs = listed.iter().find(|it| it.id == Bson::Int32(128)).unwrap();
    assert_eq!((&*theirs.lock_id, theirs.token), ("theirs", None));

    let broken = jobs.unlock(doc! { "_id": { "$in": [0, 7, 129] } }, "by hand").unwrap();
    let names: Vec<_> = broken.iter().map(|it| it.key.as_str()).collect();
    let name = |id: i32| format!("document {}.jobs {{ _id: {id} }}", own.database);
    assert_eq!(names, [name(0), name(7)]);
    assert_eq!(broken[0].token, lock.fence().unwrap().token());
    let mut recorded = own.store.audit(None, 2).unwrap();
    recorded.reverse();
    assert_eq!(recorded, broken);
    assert!(!lock.holds());
    assert!(their_lock(&jobs, 0, "next"));
}

#[test]
fn who_gives_up_a_wait_holds_nothing_up() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    let held = jobs.lock_document(doc! {}).acquire().unwrap();
    let mut waiting = Box::pin(jobs.lock_document(doc! {}).sleep(MINUTE).acquire_async());
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    drop(waiting);
    held.release().unwrap();
    // If it had just locked it all the same, it is released.
    let next = jobs.lock_document(doc! {}).sleep(MINUTE).acquire().unwrap();
    assert!(next.locked_document().is_some());
    next.release().unwrap();
}

#[test]
fn who_waits_without_an_order_gets_whichever_becomes_free_and_with_one_the_first() {
    let own = Own::filled(3);
    let jobs = own.jobs();
    let mut held: Vec<_> = (0..3)
        .map(|id| jobs.lock_document(doc! { "_id": id }).acquire().unwrap())
        .map(Some)
        .collect();
    thread::scope(|scope| {
        let wait = |sort: Option<Document>| {
            let jobs = &jobs;
            scope.spawn(move || {
                let asked = jobs.lock_document(doc! {}).sleep(MINUTE);
                let asked = match sort {
                    Some(sort) => asked.sort(sort),
                    None => asked,
                };
                let lock = asked.acquire().unwrap();
                lock.locked_document().unwrap().get_i32("_id").unwrap()
            })
        };
        let (first, any) = (wait(Some(doc! { "_id": 1 })), wait(None));
        let begin = Instant::now();
        while own.store.stats().unwrap().waiters < 2 {
            assert!(begin.elapsed() < MINUTE, "two wait");
            thread::sleep(Duration::from_millis(1));
        }
        held[1].take().unwrap().release().unwrap();
        assert_eq!(any.join().unwrap(), 1);
        assert!(!first.is_finished());
        held[0].take().unwrap().release().unwrap();
        assert_eq!(first.join().unwrap(), 0);
    });
}

#[test]
fn who_waits_for_a_document_is_told_when_the_store_is_closed() {
    let own = Own::filled(1);
    let jobs = own.jobs();
    their_lock(&jobs, 0, "theirs");
    let (waiting, counted) = (jobs.clone(), own.store.clone());
    let waiter = thread::spawn(move || {
        let asked = waiting.lock_document(doc! {}).sleep(MINUTE).max_wait(MINUTE);
        asked.acquire().map(drop).unwrap_err()
    });
    let begin = Instant::now();
    while counted.stats().unwrap().waiters == 0 {
        assert!(begin.elapsed() < MINUTE, "nobody waits");
        thread::sleep(Duration::from_millis(1));
    }
    own.store.close().unwrap();
    let told = waiter.join().unwrap();
    let LockDocumentError::Document(DocumentError::Store(StoreError::Closed)) = told else {
        panic!("{told:?}")
    };
    assert!(begin.elapsed() < MINUTE);
}

#[test]
fn a_command_that_comes_again_tells_of_what_it_has_locked() {
    let own = Own::filled(2);
    let command = |retry: bool| {
        let mut command = rawdoc! {
            "lockDocument": "jobs", "filter": { "n": 0 }, "sort": { "_id": 1 }, "lockId": "new",
            "newLockId": true, "update": { "$inc": { "n": 1 } },
        };
        if retry {
            command.append(cstr!("lockRetry"), true);
        }
        own.store.database(&own.database).run_command(&command)
    };
    let first = command(false);
    let again = command(true);
    for part in ["lockedDocument", "fence"] {
        assert_eq!(again.get_document(part).unwrap(), first.get_document(part).unwrap());
    }
    assert_eq!(own.jobs().count_documents(doc! { "n": 0 }).run().unwrap(), 1);
    // Of what is not locked any more, another is locked.
    assert!(their_release(&own.jobs(), 0, "new"));
    let third = command(true);
    let id = third.get_document("lockedDocument").unwrap().get_i32("_id").unwrap();
    assert_eq!(id, 1);
}

#[test]
fn documents_are_found_as_mongodb_finds_them() {
    let own = Own::new();
    let jobs = own.jobs();
    jobs.insert_many([doc! { "_id": "a", "n": 1 }, doc! { "_id": "A", "n": 2 }]).run().unwrap();
    for (break_lock, get_locked_doc) in [(false, false), (false, true), (true, false)] {
        let command = rawdoc! {
            "lockDocument": "jobs",
            "filter": { "_id": "A", "$expr": { "$lt": ["$n", "$$most"] } },
            "sort": { "n": 1 },
            "collation": { "locale": "en", "strength": 2 },
            "hint": { "$natural": 1 },
            "let": { "most": 2 },
            "update": [{ "$set": { "most": "$$most" } }],
            "ttlMS": 60_000_i64,
            "breakLock": break_lock,
            "getLockedDoc": get_locked_doc,
        };
        let reply = own.store.database(&own.database).run_command(&command);
        let locked = reply.get_document("lockedDocument").unwrap();
        assert_eq!(locked.get_str("_id").unwrap(), "a");
        assert_eq!(locked.get_i32("most").unwrap(), 2);
        let fence = reply.get_document("fence").unwrap().to_owned();
        let unlock = rawdoc! { "unlockDocument": "jobs", "fence": fence };
        let reply = own.store.database(&own.database).run_command(&unlock);
        assert!(reply.get_f64("ok").unwrap() > 0.0, "{reply:?}");
    }
    assert_eq!(jobs.count_documents(doc! { "lock_id": null }).run().unwrap(), 2);
}

#[test]
fn of_several_at_once_each_gets_a_document_of_its_own() {
    let own = Own::filled(16);
    let jobs = own.jobs();
    let locked: Vec<_> = thread::scope(|scope| {
        let lock = || {
            let asked = jobs.lock_document(doc! {}).sort(doc! { "_id": 1 });
            std::mem::ManuallyDrop::new(asked.acquire().unwrap())
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(lock)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut ids: Vec<_> =
        locked.iter().map(|lock| lock.locked_document().unwrap().get_i32("_id").unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..16).collect::<Vec<_>>());
}
