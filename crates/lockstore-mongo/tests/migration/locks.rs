//! Locks and tokens.

use std::time::Duration;

use bson::doc;
use lockstore::Token;
use lockstore_mongo::migration::{Bound, Ended, MigrationError, Selection};

use crate::support::{Stores, go_on, hold, migrated, set};

fn locks_are_migrated(stores: Stores) -> Stores {
    let (from, to) = (stores.from.store(), stores.to.store());
    let hour = Some(Duration::from_secs(3_600));
    // In another order than that of their keys.
    let keys = ["z", "a", "m/1"].map(|key| format!("{}/{key}", stores.database));
    hold(from, &keys[0], "ada", None, false);
    hold(from, &keys[1], "ada", hour, false);
    hold(from, &keys[2], "ada", hour, true);
    hold(from, &keys[2], "bob", None, true);
    let free = from.lock("free").acquire().unwrap();
    let highest = free.token();
    free.release().unwrap();
    let report = migrated(&stores.migration_of_locks());
    assert_eq!((report.locks, report.collections), (4, 0));
    assert!(report.next_token > highest, "{report:?}");
    let there = to.list(&stores.database, None, 10).unwrap();
    let grants = there
        .iter()
        .flat_map(|lock| lock.holders.iter().map(move |it| (lock.key.as_str(), lock.mode, it)));
    let mut grants: Vec<_> = grants.collect();
    assert!(grants.iter().all(|(.., it)| it.token > highest), "{grants:?}");
    grants.sort_by_key(|(.., it)| it.token);
    let order: Vec<_> = grants.iter().map(|(key, _, it)| (*key, it.holder.as_str())).collect();
    let expected: Vec<_> = [(0, "ada"), (1, "ada"), (2, "ada"), (2, "bob")]
        .map(|(key, holder)| (keys[key].as_str(), holder))
        .into();
    assert_eq!(order, expected);
    for (_, _, it) in &grants {
        if let Some(left) = it.remaining {
            let spent = Duration::from_secs(3_600).saturating_sub(left);
            assert!(spent < Duration::from_secs(300), "{it:?}");
        }
    }
    let leases: Vec<bool> = grants.iter().map(|(.., it)| it.ttl.is_some()).collect();
    assert_eq!(leases, [false, true, true, false]);
    // They are their holders' locks.
    assert!(to.lock(&keys[0]).holder("bob").try_acquire().is_err());
    to.release(&keys[0], "ada", None).unwrap();
    to.renew(&keys[1], "ada", None, None).unwrap();
    let next = to.lock(&keys[0]).acquire().unwrap().leak().token;
    assert!(next > grants[3].2.token);
    for (key, holder) in [(0, None), (1, Some("ada")), (2, Some("ada")), (2, Some("bob"))] {
        match holder {
            Some(holder) => to.release(&keys[key], holder, None).unwrap(),
            None => assert!(to.is_locked(&keys[key]).unwrap()),
        }
    }
    stores
}

#[test]
fn locks_are_held_in_another_file_by_the_same_holders_with_higher_tokens() {
    locks_are_migrated(Stores::files());
}

#[test]
fn locks_are_held_on_a_replica_set_by_the_same_holders_with_higher_tokens() {
    locks_are_migrated(Stores::to_a_set());
}

#[test]
fn locks_come_back_from_a_replica_set_with_higher_tokens() {
    locks_are_migrated(Stores { from: set(), ..Stores::files() });
}

#[test]
fn documents_are_migrated_without_locks_and_those_follow() {
    let stores = Stores::files().filled(3);
    hold(stores.from.store(), "k", "ada", None, false);
    let documents = Selection::databases([&stores.database]).without_locks();
    let report = migrated(&stores.migration().only(documents.clone()));
    assert_eq!((report.documents, report.locks), (3, 0));
    assert!(report.next_token.get() > 1, "tokens go on all the same");
    let again = stores.migration().only(documents).run(&mut go_on).unwrap();
    assert!(matches!(again, Ended::Already(_)));
    assert_eq!(migrated(&stores.migration()).locks, 1);
    assert!(stores.to.store().is_lock_holder("k", "ada").unwrap());
}

#[test]
fn tokens_that_a_replica_set_cannot_go_on_from_are_refused() {
    let stores = Stores::to_a_set().filled(3);
    let (from, to) = (stores.from.store(), stores.to.store());
    let now = to.reserve_tokens(Token::FIRST).unwrap();
    assert!(to.lock("k").acquire().unwrap().token() >= now);
    assert!(to.reserve_tokens(now).unwrap() > now, "it is the time");
    from.reserve_tokens(Token::new(1 << 62).unwrap()).unwrap();
    let error = stores.migration().run(&mut go_on).unwrap_err();
    assert!(matches!(error, MigrationError::Tokens { .. }), "{error}");
    assert!(stores.there().find_one(doc! {}).run().unwrap().is_none(), "nothing was copied");
}

#[test]
fn locks_that_end_with_sessions_are_refused_or_left_behind() {
    for stores in [Stores::files(), Stores { from: set(), ..Stores::files() }] {
        let stores = stores.filled(2);
        let from = stores.from.store();
        let session = from.session().unwrap();
        let key = format!("{}/bound", stores.database);
        let _guard = from.lock(&key).session(&session).acquire().unwrap();
        let _document =
            stores.jobs().lock_document(doc! { "_id": 1 }).session(&session).acquire().unwrap();
        let error = stores.migration().run(&mut go_on).unwrap_err();
        let MigrationError::InUse { bound, .. } = &error else { panic!("{error}") };
        assert_eq!(bound.len(), 2, "{error}");
        assert!(error.to_string().contains("/bound"), "{error}");
        assert!(stores.there().find_one(doc! {}).run().unwrap().is_none(), "nothing was done");
        let report = migrated(&stores.migration().leave_behind(true));
        assert!(
            matches!(&*report.left_behind, [Bound::Lock { .. }, Bound::Document { .. }]),
            "{report:?}"
        );
        assert!(!stores.to.store().is_locked(&key).unwrap());
        let there = stores.there();
        let waited_for = there.lock_document(doc! { "_id": 1 }).sleep(Duration::from_millis(10));
        assert!(waited_for.acquire().unwrap().holds(), "its lock has stayed behind");
    }
}

#[test]
fn a_lock_that_is_held_in_the_target_by_another_is_refused() {
    let stores = Stores::files();
    hold(stores.from.store(), "k", "ada", None, true);
    hold(stores.to.store(), "k", "bob", None, true);
    assert!(matches!(
        stores.migration_of_locks().run(&mut go_on),
        Err(MigrationError::LockTaken { .. })
    ));
}
