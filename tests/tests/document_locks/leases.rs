//! Document locks by a clock of the test's, and with bounds of its own.

use lockstore::bson::{DateTime, doc};
use lockstore::{
    DocumentLock, LOCK_EXPIRES_AT_KEY, LOCK_TOKEN_KEY, Limit, Limits, LockDocumentError as Error,
    ReleaseDocumentError,
};
use lockstore_tests::machine::{Machine, secs};

use crate::DEPLOYMENT;
use crate::basics::{assert_sound, filled_in, get};

#[test]
fn who_locks_with_the_same_lock_id_shares_the_lock() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let jobs = filled_in(&store, [doc! { "_id": 1 }]);
    let ask = || jobs.lock_document(doc! {}).lock_id("mine").get_locked_doc(true);
    let first = ask().ttl(secs(10)).acquire().unwrap();
    machine.clock.advance(secs(5));
    let second = ask().ttl(secs(10)).show_token(true).acquire().unwrap();
    assert_eq!(first.token(), second.token());
    let shown = get(&jobs, 1);
    let ends = i64::try_from(store_wall(&machine)).unwrap() + 10_000;
    assert_eq!(shown.get_datetime(LOCK_EXPIRES_AT_KEY).unwrap(), &DateTime::from_millis(ends));
    assert_eq!(shown.get_i64(LOCK_TOKEN_KEY).unwrap(), first.token().unwrap().get().cast_signed());
    second.release().unwrap();
    let lost = first.release().unwrap_err();
    assert!(matches!(lost, ReleaseDocumentError::LockLost { now_held_by: None, .. }), "{lost}");
    assert_sound(&store);
}

fn store_wall(machine: &Machine) -> u64 {
    use lockstore::Clock;
    machine.clock.wall().as_millis()
}

#[test]
fn a_bound_that_is_reached_leaves_the_document_unlocked() {
    let machine = Machine::on(DEPLOYMENT);
    let limits = Limits { locks_max: 2, locks_per_session_max: 1, ..Limits::default() };
    let store = machine.open_with(machine.options().limits(limits));
    let jobs = filled_in(&store, (1..4).map(|id| doc! { "_id": id }));
    let session = store.session().unwrap();
    let ask = |id| jobs.lock_document(doc! { "_id": id });
    let limited = |lock: Result<DocumentLock, Error>, expected: Limit| match lock {
        Err(Error::LimitReached { limit, .. }) => assert_eq!(limit, expected),
        other => panic!("{other:?}"),
    };
    let first = ask(1).session(&session).acquire().unwrap();
    limited(ask(2).session(&session).acquire(), Limit::LocksPerSession);
    let broken = ask(1).break_lock(true).session(&session).lock_id("b").get_locked_doc(true);
    limited(broken.acquire(), Limit::LocksPerSession);
    let _named = store.lock("named").acquire().unwrap();
    limited(ask(2).update(doc! { "$set": { "a": 1 } }).acquire(), Limit::Locks);
    assert_eq!(get(&jobs, 2), doc! { "_id": 2 });
    assert!(first.holds());
    assert_eq!((store.stats().unwrap().locks, store.stats().unwrap().document_locks), (1, 1));
    session.end().unwrap();
    assert!(!first.holds());
    let ended = store.session().unwrap();
    let late = jobs.lock_document(doc! { "_id": 3 }).session(&ended);
    ended.end().unwrap();
    assert!(matches!(late.acquire(), Err(Error::SessionEnded)));
    assert_sound(&store);
}

#[test]
fn the_locked_documents_are_listed_and_unlocked_with_a_record() {
    let machine = Machine::on(DEPLOYMENT);
    let store = machine.open();
    let time = DateTime::from_millis(5);
    let jobs = filled_in(
        &store,
        [
            doc! { "_id": 1 },
            doc! { "_id": "two", "lock_id": 7, "lock_time": time },
            doc! { "_id": 3, "lock_id": null },
            doc! { "_id": 4 },
        ],
    );
    let session = store.session().unwrap();
    let first = jobs.lock_document(doc! { "_id": 1 }).lock_id("a").ttl(secs(9)).acquire().unwrap();
    let fourth = jobs.lock_document(doc! { "_id": 4 }).lock_id("b").session(&session);
    let fourth = fourth.acquire().unwrap();
    let listed: Vec<_> = jobs.locked_documents().unwrap().map(Result::unwrap).collect();
    assert_eq!(listed.len(), 3);
    assert_eq!(
        (&listed[0].id, &*listed[0].lock_id, listed[0].token),
        (&1.into(), "a", first.token())
    );
    assert_eq!((listed[0].remaining, listed[0].session), (Some(secs(9)), None));
    assert_eq!(
        (&listed[1].id, listed[1].lock_time, listed[1].token),
        (&"two".into(), Some(time), None)
    );
    assert_eq!((listed[2].session, listed[2].remaining), (Some(session.id()), None));

    let broken = jobs.unlock(doc! { "_id": { "$ne": 4 } }, "left behind").unwrap();
    let text = |at: usize| (broken[at].key.as_str().to_owned(), broken[at].token);
    assert_eq!(text(0), ("document factory.jobs { _id: 1 }".to_owned(), first.token().unwrap()));
    assert_eq!(text(1).0, "document factory.jobs { _id: \"two\" }");
    assert!(text(1).1 > fourth.token().unwrap(), "a token that nobody has had");
    assert_eq!(broken[0].reason, "left behind");
    let mut audit = store.audit(None, 10).unwrap();
    audit.reverse();
    assert_eq!(audit, broken);
    assert!(!first.holds() && fourth.holds());
    assert!(matches!(first.renew(), Err(ReleaseDocumentError::LockLost { now_held_by: None, .. })));
    assert_eq!(jobs.unlock(doc! { "_id": 1 }, "again").unwrap(), []);
    assert!(jobs.unlock(doc! {}, &"x".repeat(1_025)).is_err());
    assert_sound(&store);
    let next = jobs.lock_document(doc! { "_id": 1 }).acquire().unwrap();
    assert!(next.token().unwrap() > text(1).1);
}
