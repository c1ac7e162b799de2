//! Every way to lock a document meets every state that it may find it in, and every way to release it every way to have lost
//! it; a small model, written from the tables of the specification, says what comes of it.

#[path = "model/releasing.rs"]
mod releasing;
#[path = "model/scene.rs"]
mod scene;

use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::collection::{LockDocument, LockDocumentFuture};
use lockstore::{Collection, DocumentLock, LockDocumentError, ReleaseDocumentError};
use lockstore_tests::call::Call;
use lockstore_tests::machine::secs;
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;
use scene::{By, Change, First, ME, Scene, named, set_lock, unlock};

/// How a document is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    Sleep,
    GetLockedDoc,
    BreakLock,
}

#[derive(Clone, Copy, Debug)]
enum Caller {
    Blocking,
    Future,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    way: Way,
    first: First,
    change: Change,
    sorted: bool,
    caller: Caller,
}

/// What the specification says of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    /// Nothing matches.
    Neither,
    /// The first document is given as the one that is locked by another; with `sleep`, once `max_wait` is over.
    Unavailable,
    /// The first document is locked and updated.
    First,
    /// The first document is passed over, and the second one locked and updated.
    Second,
    /// The first document is acquired again, and not updated.
    Again,
}

fn specification(way: Way, first: First) -> Said {
    match (way, first) {
        (_, First::NoMatch) => Said::Neither,
        (_, First::Free | First::Expired) | (Way::BreakLock, _) => Said::First,
        (Way::Plain, First::HeldByAnother(_) | First::HeldByTheSame(_) | First::Empty) => {
            Said::Second
        }
        (Way::Sleep | Way::GetLockedDoc, First::HeldByTheSame(_)) => Said::Again,
        (Way::Sleep | Way::GetLockedDoc, First::HeldByAnother(_) | First::Empty) => {
            Said::Unavailable
        }
    }
}

#[test]
fn every_way_to_lock_a_document_does_what_the_specification_says() {
    let mut cases = 0;
    for way in [Way::Plain, Way::Sleep, Way::GetLockedDoc, Way::BreakLock] {
        for first in First::ALL {
            for change in Change::ALL {
                for sorted in [false, true] {
                    for caller in [Caller::Blocking, Caller::Future] {
                        check(Case { way, first, change, sorted, caller });
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 4 * 8 * 3 * 2 * 2);
}

fn check(case: Case) {
    let scene = Scene::new();
    // The sort turns the order of insertion round.
    let (first, second) = if case.sorted { ("b", "a") } else { ("a", "b") };
    let (former, mut expected) = scene.bring_about(case.first, first);
    assert_eq!(scene.documents(), expected, "{case:?}: before");
    let before = scene.store.lock("another").try_acquire().expect("it is free").leak().token;
    scene.advance_ms(1_000);

    let said = specification(case.way, case.first);
    let lock = case.ask(&scene, said);
    let taken = match said {
        Said::First | Said::Again => Some(first),
        Said::Second => Some(second),
        Said::Neither | Said::Unavailable => None,
    };
    if let Some(id) = taken {
        let document = named(&mut expected, id);
        if said != Said::Again {
            set_lock(document, lock.lock_id(), scene.now());
            case.change.apply(document);
        }
        assert_eq!(lock.locked_document(), Some(&*document), "{case:?}");
    } else {
        assert_eq!(lock.locked_document(), None, "{case:?}");
    }
    let unavailable = (said == Said::Unavailable).then(|| &*named(&mut expected, first));
    assert_eq!(lock.unavailable_document(), unavailable, "{case:?}");
    assert_eq!(scene.documents(), expected, "{case:?}: asked");
    assert_eq!(lock.holds(), taken.is_some(), "{case:?}");
    match (said, case.first) {
        (Said::Neither | Said::Unavailable, _) => assert_eq!(lock.token(), None, "{case:?}"),
        (Said::Again, First::HeldByTheSame(By::Lock)) => {
            assert_eq!(lock.token(), former.as_ref().and_then(DocumentLock::token), "{case:?}");
        }
        _ => assert!(lock.token() > Some(before), "{case:?}: {:?} and {before}", lock.token()),
    }
    let has_own_name = case.first == First::Empty;
    assert_eq!(lock.lock_id() != ME, has_own_name, "{case:?}");
    assert!(!lock.lock_id().is_empty(), "{case:?}");

    let is_taken_away = case.way == Way::BreakLock || case.first == First::Expired;
    if let Some(former) = &former {
        assert_eq!(former.holds(), !is_taken_away, "{case:?}");
        match former.renew() {
            Err(ReleaseDocumentError::LockLost { now_held_by, .. }) if is_taken_away => {
                let by = if said == Said::Second { None } else { Some(lock.lock_id()) };
                assert_eq!(now_held_by.as_deref(), by, "{case:?}");
            }
            renewed => assert!(renewed.is_ok() && !is_taken_away, "{case:?}: {renewed:?}"),
        }
    }
    lock.release().unwrap_or_else(|error| panic!("{case:?}: {error}"));
    if let Some(id) = taken {
        unlock(named(&mut expected, id));
    }
    assert_eq!(scene.documents(), expected, "{case:?}: released");
    if let Some(former) = former {
        // Who has acquired again has released for both.
        let is_over = is_taken_away || said == Said::Again;
        assert_eq!(former.release().is_err(), is_over, "{case:?}");
        unlock(named(&mut expected, first));
        assert_eq!(scene.documents(), expected, "{case:?}: released by both");
    }
    assert_eq!(scene.store.stats().expect("it serves").document_locks, 0, "{case:?}");
    assert!(scene.store.check().expect("it can be checked").is_sound(), "{case:?}");
}

impl Case {
    fn ask(self, scene: &Scene, said: Said) -> DocumentLock {
        let Scene { store, jobs, .. } = scene;
        let waits = said == Said::Unavailable && self.way == Way::Sleep;
        let mut asked = match self.caller {
            Caller::Blocking if waits => {
                let jobs = jobs.clone();
                Asked::Blocking(Call::start_asleep(move || self.request(&jobs).acquire()))
            }
            Caller::Blocking => return self.request(jobs).acquire().expect("it serves"),
            Caller::Future => Asked::Future(Task::new(self.request(jobs).acquire_async())),
        };
        if waits {
            assert!(asked.is_pending(), "{self:?} does not wait");
            eventually("it waits", || store.stats().expect("it serves").waiters == 1);
            // It looks again after 5 s, and goes on waiting.
            scene.advance_ms(MAX_WAIT_MS - 1);
            assert!(asked.is_pending(), "{self:?} gives up too early");
            scene.advance_ms(1);
        }
        asked.outcome().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    fn request(self, jobs: &Collection) -> LockDocument<'_, Document> {
        let lock_id = if self.first == First::Empty { "" } else { ME };
        let request = jobs.lock_document(doc! { "state": "ready" }).lock_id(lock_id);
        let request = match self.way {
            Way::Plain => request,
            Way::Sleep => request.sleep(secs(5)).max_wait(Duration::from_millis(MAX_WAIT_MS)),
            Way::GetLockedDoc => request.get_locked_doc(true),
            Way::BreakLock => request.break_lock(true),
        };
        let request = if self.sorted { request.sort(doc! { "rank": 1 }) } else { request };
        match self.change.update() {
            Some(update) => request.update(update),
            None => request,
        }
    }
}

/// Somebody who has asked.
enum Asked {
    Blocking(Call<Result<DocumentLock, LockDocumentError>>),
    Future(Task<LockDocumentFuture<Document>>),
}

impl Asked {
    fn is_pending(&mut self) -> bool {
        match self {
            Self::Blocking(call) => call.is_pending(),
            Self::Future(task) => task.poll().is_pending(),
        }
    }

    fn outcome(self) -> Result<DocumentLock, LockDocumentError> {
        match self {
            Self::Blocking(call) => call.outcome(),
            Self::Future(task) => task.outcome(),
        }
    }
}

/// How long who sleeps waits in all; no multiple of the time between two looks.
const MAX_WAIT_MS: u64 = 12_000;
