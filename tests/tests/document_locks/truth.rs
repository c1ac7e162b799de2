//! The document is the truth: the grant behind its lock follows it, and it follows the grant, in one commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockstore::bson::{Bson, DateTime, Document, doc, rawdoc};
use lockstore::{
    Clock, Collection, DocumentLock, IndexModel, LOCK_EXPIRES_AT_KEY, LOCK_KEY,
    ReleaseDocumentError, Store,
};
use lockstore_testkit::disk::PowerLoss;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;

use crate::DEPLOYMENT;

fn jobs_in(store: &Store) -> Collection {
    store.database("factory").collection("jobs")
}

fn one_job(store: &Store) -> Collection {
    let jobs = jobs_in(store);
    jobs.insert_one(doc! { "_id": 1 }).unwrap();
    jobs
}

#[track_caller]
fn get(jobs: &Collection) -> Document {
    jobs.find_one(doc! { "_id": 1 }).run().unwrap().expect("it is there")
}

#[track_caller]
fn assert_sound(store: &Store) {
    assert_eq!(store.check().unwrap().problems, Vec::<String>::new());
}

#[track_caller]
fn assert_lost(lock: DocumentLock, by: Option<&str>) {
    assert!(!lock.holds());
    for error in [lock.renew().unwrap_err(), lock.release().unwrap_err()] {
        match error {
            ReleaseDocumentError::LockLost { now_held_by, .. } => {
                assert_eq!(now_held_by.as_deref(), by);
            }
            error => panic!("{error}"),
        }
    }
}

fn date_in(machine: &Machine, seconds: u64) -> Bson {
    let millis = machine.clock.wall().as_millis() + seconds * 1_000;
    DateTime::from_millis(millis.cast_signed()).into()
}

#[test]
fn an_update_locks_and_unlocks_like_anything_else() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let set = |lock_id: Bson| {
        jobs.update_one(doc! {}, doc! { "$set": { LOCK_KEY: lock_id } }).run().unwrap();
    };
    set("by hand".into());
    assert!(jobs.lock_document(doc! {}).acquire().unwrap().locked_document().is_none());
    set(Bson::Null);
    let lock = jobs.lock_document(doc! {}).ttl(secs(60)).show_token(true).acquire().unwrap();
    set(Bson::Null);
    assert_eq!(store.stats().unwrap().document_locks, 0);
    assert_eq!(get(&jobs).keys().collect::<Vec<_>>(), ["_id", "lock_id", "lock_time"]);
    assert_lost(lock, None);
    let lock = jobs.lock_document(doc! {}).acquire().unwrap();
    set("by hand".into());
    assert_lost(lock, Some("by hand"));
    assert_sound(&store);
}

#[test]
fn whatever_else_happens_to_a_document_ends_its_lock_unless_it_stays_locked() {
    let store = DEPLOYMENT.in_memory();
    let jobs = jobs_in(&store);
    let locked = || {
        jobs.delete_many(doc! {}).run().unwrap();
        jobs.insert_one(doc! { "_id": 1 }).unwrap();
        jobs.lock_document(doc! {}).lock_id("mine").acquire().unwrap()
    };
    let lock = locked();
    jobs.update_one(doc! {}, doc! { "$set": { "a": 1 } }).run().unwrap();
    jobs.replace_one(doc! {}, doc! { "lock_id": "mine" }).run().unwrap();
    assert!(lock.holds(), "it is locked as before");
    jobs.replace_one(doc! {}, doc! { "a": 1 }).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.delete_one(doc! {}).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.find_one_and_update(doc! {}, vec![doc! { "$unset": "lock_id" }]).run().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.drop().unwrap();
    assert_eq!(store.stats().unwrap().document_locks, 0);
    assert_lost(lock, None);
    let lock = locked();
    store.database("factory").drop().unwrap();
    assert_lost(lock, None);
    let lock = locked();
    jobs.update_one(doc! {}, doc! { "$set": { "at": DateTime::MIN } }).run().unwrap();
    let expiring = IndexModel::new(doc! { "at": 1 }).expire_after(secs(1));
    jobs.create_index(expiring).unwrap();
    eventually("the document expires", || jobs.count_documents(doc! {}).run().unwrap() == 0);
    assert_lost(lock, None);
    assert_sound(&store);
}

#[test]
fn a_lock_that_expires_unlocks_its_document() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).ttl(secs(10)).show_token(true).acquire().unwrap();
    assert_eq!(lock.remaining(), Some(secs(10)));
    assert_eq!(get(&jobs).get(LOCK_EXPIRES_AT_KEY), Some(&date_in(&machine, 10)));
    machine.clock.advance(secs(9));
    lock.renew().unwrap();
    assert_eq!(get(&jobs).get(LOCK_EXPIRES_AT_KEY), Some(&date_in(&machine, 10)));
    machine.clock.advance(secs(9));
    assert!(lock.holds());
    machine.clock.advance(secs(1));
    assert!(!lock.holds());
    let unlocked = doc! { "_id": 1, "lock_id": null, "lock_time": null };
    eventually("it expires", || get(&jobs) == unlocked);
    assert_lost(lock, None);
    assert_sound(&store);
}

#[test]
fn a_lock_that_is_kept_alive_outlives_its_ttl() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).ttl(secs(9)).acquire().unwrap();
    lock.keep_alive();
    for _ in 0..5 {
        machine.clock.advance(secs(4));
        eventually("it is renewed", || lock.remaining() == Some(secs(9)));
        assert!(lock.holds());
    }
    lock.release().unwrap();
    assert_sound(&store);
}

#[test]
fn a_lock_of_an_update_is_never_expired_by_the_row_of_an_earlier_lock() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).lock_id("same").ttl(secs(10)).acquire().unwrap();
    jobs.update_one(doc! {}, doc! { "$set": { LOCK_KEY: null } }).run().unwrap();
    jobs.update_one(doc! {}, doc! { "$set": { LOCK_KEY: "same" } }).run().unwrap();
    assert_eq!(store.stats().unwrap().document_locks, 0);
    assert_lost(lock, Some("same"));
    machine.clock.advance(secs(60));
    store.lock("other").acquire().unwrap().release().unwrap();
    assert_eq!(get(&jobs).get_str(LOCK_KEY).unwrap(), "same");
    let store = machine.after_kill().open();
    assert_eq!(get(&jobs_in(&store)).get_str(LOCK_KEY).unwrap(), "same");
}

#[test]
fn a_session_that_ends_unlocks_its_documents() {
    let store = DEPLOYMENT.in_memory();
    let jobs = jobs_in(&store);
    jobs.insert_many((0..300).map(|id| doc! { "_id": id })).run().unwrap();
    let session = store.session().unwrap();
    let locks: Vec<_> = (0..300)
        .map(|_| jobs.lock_document(doc! {}).session(&session).acquire().unwrap())
        .collect();
    assert_eq!(store.stats().unwrap().document_locks, 300);
    session.end().unwrap();
    assert_eq!(jobs.count_documents(doc! { "lock_id": null }).run().unwrap(), 300);
    assert!(locks.iter().all(|lock| !lock.holds()));
    assert_sound(&store);
}

/// A reader sees the document and the figures of its lock as of one commit, whatever ends it.
#[test]
fn nobody_sees_the_document_and_its_lock_differ() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_sound(&store);
            }
        });
        for round in 0..60 {
            let session = store.session().unwrap();
            let lock = jobs.lock_document(doc! {}).ttl(secs(60)).session(&session).acquire();
            let lock = lock.unwrap();
            assert!(lock.holds());
            match round % 4 {
                0 => lock.release().unwrap(),
                1 => drop(
                    jobs.update_one(doc! {}, doc! { "$unset": { LOCK_KEY: 1 } }).run().unwrap(),
                ),
                2 => session.end().unwrap(),
                _ => drop(jobs.unlock(doc! {}, "again").unwrap()),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_document_that_may_not_be_unlocked_stays_locked_and_its_lease_goes() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = one_job(&store);
    jobs.create_index(IndexModel::new(doc! { "lock_id": 1 }).unique(true)).unwrap();
    let lock = jobs.lock_document(doc! {}).lock_id("mine").ttl(secs(5)).acquire().unwrap();
    jobs.insert_one(doc! { "_id": 2 }).unwrap();
    assert!(lock.renew().is_ok());
    machine.clock.advance(secs(5));
    eventually("it expires", || store.stats().unwrap().document_locks == 0);
    assert_eq!(get(&jobs).get_str(LOCK_KEY).unwrap(), "mine");
    assert_lost(lock, Some("mine"));
    assert_sound(&store);
}

#[test]
fn a_lease_that_ran_out_while_the_store_was_closed_has_unlocked_its_document_when_it_opens() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = jobs_in(&store);
    jobs.insert_many((0..1_500).map(|id| doc! { "_id": id })).run().unwrap();
    for _ in 0..1_500 {
        std::mem::forget(jobs.lock_document(doc! {}).ttl(secs(10)).acquire().unwrap());
    }
    let left = jobs.lock_document(doc! {}).acquire().unwrap();
    assert!(left.locked_document().is_none());
    let machine = machine.after_kill();
    machine.clock.advance(secs(10));
    let store = machine.open();
    assert_eq!(store.recovery().unwrap().expired, 1_500);
    assert_eq!(jobs_in(&store).count_documents(doc! { "lock_id": null }).run().unwrap(), 1_500);
    assert_eq!(store.stats().unwrap().document_locks, 0);
    assert_sound(&store);
}

#[test]
fn a_session_that_ended_with_its_process_has_unlocked_its_document_when_the_store_opens() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = jobs_in(&store);
    jobs.insert_many((1..4).map(|id| doc! { "_id": id })).run().unwrap();
    let session = store.session().unwrap();
    let ask = |id| jobs.lock_document(doc! { "_id": id });
    std::mem::forget(ask(1).session(&session).acquire().unwrap());
    std::mem::forget(ask(2).session(&session).ttl(secs(60)).acquire().unwrap());
    std::mem::forget(ask(3).lock_id("for ever").acquire().unwrap());
    std::mem::forget(session);
    let machine = machine.after_kill();
    let store = machine.open();
    assert_eq!((store.recovery().unwrap().sessions_ended, store.recovery().unwrap().held), (2, 1));
    let jobs = jobs_in(&store);
    assert_eq!(jobs.count_documents(doc! { "lock_id": null }).run().unwrap(), 2);
    assert_sound(&store);
    // Without a TTL and a session it is locked for ever, as theirs is, and its holder takes it up again.
    let again = jobs.lock_document(doc! { "_id": 3 }).lock_id("for ever").get_locked_doc(true);
    again.acquire().unwrap().release().unwrap();
    assert_eq!(jobs.count_documents(doc! { "lock_id": null }).run().unwrap(), 3);
}

#[test]
fn a_live_lease_gets_the_grace_and_its_document_shows_it() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let lock =
        one_job(&store).lock_document(doc! {}).lock_id("mine").ttl(secs(10)).acquire().unwrap();
    let token = lock.token();
    std::mem::forget(lock);
    machine.clock.advance(secs(8));
    let machine = machine.after_kill();
    let store = machine.open_with(machine.options().restart_grace(secs(30)));
    let jobs = jobs_in(&store);
    assert_eq!(get(&jobs).get(LOCK_EXPIRES_AT_KEY), Some(&date_in(&machine, 30)));
    assert_sound(&store);
    let again = jobs.lock_document(doc! {}).lock_id("mine").get_locked_doc(true).ttl(secs(5));
    let again = again.acquire().unwrap();
    assert_eq!(again.token(), token);
    machine.clock.advance(secs(5));
    eventually("it expires", || get(&jobs).get(LOCK_KEY) == Some(&Bson::Null));
}

/// Every crash leaves the document and the grant of one commit.
#[test]
fn a_power_loss_leaves_document_and_grant_together() {
    for syncs in 1..8 {
        let machine = Machine::on(DEPLOYMENT);
        let store = machine.open();
        let jobs = one_job(&store);
        machine.disk.lose_power_at_sync(syncs);
        let round = || -> Result<(), Box<dyn std::error::Error>> {
            for _ in 0..2 {
                let mut lock = jobs.lock_document(doc! {}).ttl(secs(60)).acquire()?;
                lock.renew()?;
                lock.set_update_on_release(doc! { "$inc": { "n": 1 } })?;
                lock.release()?;
            }
            Ok(())
        };
        let _ = round();
        let disk = machine.disk.after_power_loss(&PowerLoss::nothing_unsynced());
        let machine = Machine { disk, ..machine.clone() };
        drop(store);
        let store = machine.open();
        assert_sound(&store);
        let document = get(&jobs_in(&store));
        let is_locked = document.get(LOCK_KEY).is_some_and(|it| *it != Bson::Null);
        assert_eq!(store.stats().unwrap().document_locks, usize::from(is_locked), "{document}");
    }
}

#[test]
fn commands_lock_and_unlock_too() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).acquire().unwrap();
    let update = rawdoc! {
        "update": "jobs",
        "updates": [{ "q": {}, "u": { "$set": { "lock_id": null } } }],
    };
    let reply = store.database("factory").run_command(&update);
    assert_eq!(reply.get_i32("nModified").unwrap(), 1);
    assert_lost(lock, None);
}
