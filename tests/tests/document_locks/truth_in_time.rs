//! The document is the truth: also when leases run out, and when the machine or its store goes.

use lockstore::bson::{Bson, DateTime, doc};
use lockstore::{Clock, IndexModel, LOCK_EXPIRES_AT_KEY, LOCK_KEY};
use lockstore_testkit::disk::PowerLoss;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;

use crate::DEPLOYMENT;
use crate::truth::{assert_lost, assert_sound, get, jobs_in, one_job};

fn date_in(machine: &Machine, seconds: u64) -> Bson {
    let millis = machine.clock.wall().as_millis() + seconds * 1_000;
    DateTime::from_millis(millis.cast_signed()).into()
}

#[test]
fn a_document_that_expires_takes_its_lock_along() {
    let store = DEPLOYMENT.in_memory();
    let jobs = one_job(&store);
    let lock = jobs.lock_document(doc! {}).acquire().unwrap();
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
