//! Locks that transactions acquire, renew and release.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bson::{doc, rawdoc};
use lockstore::{AcquireError, Collection, DocumentError, ErrorCode};

use super::{assert_conflict, assert_sound, collection, collide, deployment, filled, inside, set};

/// The key that comes and the key that goes are in two documents, of which the one that goes has changed.
#[test]
fn nothing_of_a_commit_stays_when_its_last_document_is_a_conflict() {
    let store = filled();
    let tx = store.begin_transaction().unwrap();
    let items = inside(&tx, "items");
    items.delete_one(doc! { "_id": 0 }).run().unwrap();
    items.insert_many((10..400).map(|n| doc! { "_id": n, "n": n })).run().unwrap();
    let last = |items: &Collection| items.update_one(doc! { "_id": 4 }, set(0)).run().map(drop);
    inside(&tx, "later").insert_one(doc! { "_id": 1 }).unwrap();
    let lock = tx.lock("k").acquire().unwrap();
    let collided = collide(&tx, last, || {
        collection(&store, "items").update_one(doc! { "_id": 4 }, set(444)).run().map(drop)
    });
    assert_conflict(collided.and_then(|()| tx.commit()));
    assert!(lock.guard().is_none());
    assert!(!store.is_locked("k").unwrap());
    let items = collection(&store, "items");
    let found: Vec<_> = items
        .find(doc! {})
        .run()
        .unwrap()
        .map(|item| item.unwrap().get_i32("n").unwrap())
        .collect();
    assert_eq!(found, [0, 1, 2, 3, 444]);
    assert_eq!(items.count_documents(doc! { "n": 0 }).run().unwrap(), 1);
    assert_eq!(store.database("test").collection_names().unwrap(), ["items"]);
    assert_sound(&store);
}

#[test]
fn locks_are_acquired_renewed_and_released_with_the_documents_or_not_at_all() {
    let store = filled();
    let held = store.lock("held").holder("me").ttl(Duration::from_secs(60)).acquire().unwrap();
    let until = held.valid_until().unwrap();
    let old = store.lock("old").acquire().unwrap();
    let run = |is_committed: bool| {
        let tx = store.begin_transaction().unwrap();
        let new = tx.lock("new").holder("me").ttl(Duration::from_secs(60)).acquire().unwrap();
        let endless = tx.lock("endless").acquire().unwrap();
        tx.renew(&held).unwrap();
        tx.release(&old).unwrap();
        inside(&tx, "items").update_one(doc! { "_id": 1 }, set(11)).run().unwrap();
        assert!(!store.is_locked("new").unwrap() && store.is_locked("old").unwrap());
        if is_committed {
            tx.commit().unwrap();
        } else {
            tx.abort();
        }
        (new, endless)
    };
    let (new, endless) = run(false);
    assert!(new.guard().is_none() && endless.guard().is_none());
    assert!(!store.is_locked("new").unwrap() && !old.is_lost());
    // Leases end at whole milliseconds: a renewal within one may leave the end where it was.
    std::thread::sleep(Duration::from_millis(2));
    let commits = store.stats().unwrap().commits;
    let (new, endless) = run(true);
    assert_eq!(store.stats().unwrap().commits, commits + deployment().commits());
    let (new, endless) = (new.guard().unwrap(), endless.guard().unwrap());
    assert!(new.token() > old.token() && endless.token() > old.token());
    assert!(new.token() < endless.token() || deployment().is_mongodb());
    assert!(store.is_lock_holder("new", "me").unwrap());
    assert!(held.valid_until().unwrap() > until);
    assert!(old.is_lost() && !store.is_locked("old").unwrap());
    // What was released may be somebody else's: dropping the guard takes nothing from it.
    let next = store.lock("old").acquire().unwrap();
    drop(old);
    assert!(store.is_lock_holder("old", next.holder()).unwrap());
    new.renew().unwrap();
    endless.release().unwrap();
    assert!(!store.is_locked("endless").unwrap());
}

#[test]
fn a_lock_that_is_held_is_an_error_at_once_and_one_that_is_taken_meanwhile_a_conflict() {
    let store = filled();
    let held = store.lock("held").acquire().unwrap();
    let tx = store.begin_transaction().unwrap();
    let refused = tx.lock("held").acquire().unwrap_err();
    let DocumentError::Acquire(refused) = refused else { panic!("{refused:?}") };
    assert!(matches!(*refused, AcquireError::Held { by, .. } if by.token == held.token()));
    let free = tx.lock("free").acquire().unwrap();
    let twice = tx.lock("free").acquire().unwrap_err();
    assert_eq!(twice.code(), ErrorCode::BAD_VALUE);
    let taken = store.lock("free").acquire().unwrap();
    assert_conflict(tx.commit());
    assert!(free.guard().is_none());
    drop(taken);
    // Run again, it is told who holds it.
    let (attempts, taken) = (AtomicU32::new(0), std::sync::Mutex::new(None));
    let failed = store.transaction(|tx| {
        let is_first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        let lock = tx.lock("free").acquire()?;
        if is_first {
            *taken.lock().unwrap() = Some(store.lock("free").acquire()?);
        }
        Ok::<_, DocumentError>(lock)
    });
    assert_eq!(failed.unwrap_err().code(), ErrorCode::LOCK_BUSY);
    assert_eq!(attempts.into_inner(), 2);
}

#[test]
fn a_lock_whose_handle_was_dropped_is_released_after_the_commit() {
    let store = filled();
    let tx = store.begin_transaction().unwrap();
    drop(tx.lock("k").acquire().unwrap());
    tx.commit().unwrap();
    assert!(!store.is_locked("k").unwrap());
}

#[test]
fn shared_locks_are_held_beside_others() {
    let store = filled();
    let one = store.lock("k").shared().acquire().unwrap();
    let tx = store.begin_transaction().unwrap();
    let two = tx.lock("k").shared().acquire().unwrap();
    tx.commit().unwrap();
    let two = two.guard().unwrap();
    assert_eq!(store.inspect("k").unwrap().unwrap().holders.len(), 2);
    drop((one, two));
    assert!(!store.is_locked("k").unwrap());
}

#[test]
fn commands_about_locks_stand_beside_what_handles_ask_for() {
    let store = filled();
    let _old = store.lock("old").holder("me").acquire().unwrap().leak();
    let mut tx = store.begin_transaction().unwrap();
    let refused = tx.run_command("admin", &rawdoc! { "lockInspect": "old" });
    assert_eq!(refused.get_i32("code").unwrap(), 263);
    let first = tx.lock("first").acquire().unwrap();
    for command in [
        rawdoc! { "lockRelease": "old", "holder": "me" },
        rawdoc! { "lockAcquire": "new", "holder": "me" },
    ] {
        let reply = tx.run_command("admin", &command);
        assert!(reply.get_bool("inCommit").unwrap(), "{reply:?}");
    }
    let last = tx.lock("last").acquire().unwrap();
    assert_eq!(tx.lock("new").acquire().unwrap_err().code(), ErrorCode::BAD_VALUE);
    tx.commit().unwrap();
    let (first, last) = (first.guard().unwrap(), last.guard().unwrap());
    assert_eq!((first.key().as_str(), last.key().as_str()), ("first", "last"));
    assert!(store.is_lock_holder("new", "me").unwrap());
    assert!(!store.is_locked("old").unwrap());
    first.renew().unwrap();
    last.renew().unwrap();
}
