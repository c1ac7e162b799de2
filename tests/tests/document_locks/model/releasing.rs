//! Every way to release a document meets everything that may have become of it meanwhile: all of a release is done, or nothing.

use lockstore::ReleaseDocumentError;
use lockstore::bson::{Document, doc};
use lockstore_tests::machine::secs;
use lockstore_tests::patience::eventually;

use super::scene::{Change, ME, OTHER, Scene, has_id, named, unlock};

/// What has become of a lock before it is released.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meanwhile {
    Nothing,
    /// Broken by another, who holds it now.
    Broken,
    /// By an ordinary update.
    Unlocked,
    /// Taken over by an ordinary update.
    TakenByUpdate,
    /// Unlocked by force.
    Forced,
    Expired,
    Deleted,
    /// The document has become one that the update on release cannot be made on.
    Unfit,
}

/// What is set to be done on release.
#[derive(Clone, Copy, Debug)]
enum OnRelease {
    Change(Change),
    Delete,
}

#[test]
fn every_way_to_release_a_document_does_all_or_nothing() {
    let releases = Change::ALL.map(OnRelease::Change).into_iter().chain([OnRelease::Delete]);
    for on_release in releases {
        for meanwhile in [
            Meanwhile::Nothing,
            Meanwhile::Broken,
            Meanwhile::Unlocked,
            Meanwhile::TakenByUpdate,
            Meanwhile::Forced,
            Meanwhile::Expired,
            Meanwhile::Deleted,
            Meanwhile::Unfit,
        ] {
            release(on_release, meanwhile);
        }
    }
}

fn release(on_release: OnRelease, meanwhile: Meanwhile) {
    let what = format!("{on_release:?}, {meanwhile:?}");
    let scene = Scene::new();
    let it = || doc! { "_id": "a" };
    let mut lock = scene.jobs.lock_document(it()).lock_id(ME).ttl(secs(60)).acquire().unwrap();
    let change = match on_release {
        OnRelease::Change(change) => change,
        OnRelease::Delete => Change::Nothing,
    };
    match (on_release, change.update()) {
        (OnRelease::Delete, _) => lock.set_delete_on_release().unwrap(),
        (OnRelease::Change(_), Some(update)) => lock.set_update_on_release(update).unwrap(),
        (OnRelease::Change(_), None) => {}
    }
    let update = |update: Document| {
        assert_eq!(scene.jobs.update_one(it(), update).run().unwrap().modified_count, 1, "{what}");
    };
    let mut other = None;
    match meanwhile {
        Meanwhile::Nothing => {}
        Meanwhile::Broken => {
            let request = scene.jobs.lock_document(it()).lock_id(OTHER).break_lock(true);
            other = Some(request.acquire().unwrap());
        }
        Meanwhile::Unlocked => update(doc! { "$set": { "lock_id": null, "lock_time": null } }),
        Meanwhile::TakenByUpdate => update(doc! { "$set": { "lock_id": OTHER } }),
        Meanwhile::Forced => {
            assert_eq!(scene.jobs.unlock(it(), "in the way").unwrap().len(), 1, "{what}");
        }
        Meanwhile::Expired => {
            scene.advance_ms(61_000);
            eventually("it expires", || scene.store.stats().unwrap().document_locks == 0);
        }
        Meanwhile::Deleted => {
            assert_eq!(scene.jobs.delete_one(it()).run().unwrap().deleted_count, 1, "{what}");
        }
        Meanwhile::Unfit => update(doc! { "$set": { "n": "no number" } }),
    }
    let still_holds = matches!(meanwhile, Meanwhile::Nothing | Meanwhile::Unfit);
    assert_eq!(lock.holds(), still_holds, "{what}");

    let mut expected = scene.documents();
    let released = lock.release();
    if still_holds {
        let document = named(&mut expected, "a");
        document.remove("lock_expires_at");
        unlock(document);
        let fails = meanwhile == Meanwhile::Unfit && change.update().is_some();
        match released {
            Err(ReleaseDocumentError::NotUpdated(_)) if fails => {}
            released => assert!(released.is_ok() && !fails, "{what}: {released:?}"),
        }
        match on_release {
            OnRelease::Delete => expected.retain(|document| !has_id(document, "a")),
            OnRelease::Change(_) if !fails && meanwhile == Meanwhile::Nothing => {
                change.apply(document);
            }
            OnRelease::Change(_) => {}
        }
    } else {
        let Err(ReleaseDocumentError::LockLost { lock_id, now_held_by }) = released else {
            panic!("{what}: {released:?}");
        };
        assert_eq!(lock_id.as_str(), ME, "{what}");
        let is_others = matches!(meanwhile, Meanwhile::Broken | Meanwhile::TakenByUpdate);
        assert_eq!(now_held_by.as_deref(), is_others.then_some(OTHER), "{what}");
    }
    assert_eq!(scene.documents(), expected, "{what}");
    assert!(other.is_none_or(|other| other.holds()), "{what}");
    assert!(scene.store.check().unwrap().is_sound(), "{what}");
}
