#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use lockcore::{Holder, Key, Mode};

use super::super::lock_document::LockDocument;
use super::super::look::{Look, StoredSession};
use super::super::reading::info;
use super::super::standing::tests::{acquire, granted, seen};
use super::super::stored::session;
use super::*;

const WAITER_TTL: Duration = Duration::from_secs(30);

const SESSION: i64 = 7;

fn waits(ttl: Option<Duration>) -> Acquiring {
    let wanted = Acquire {
        key: Key::new("k").unwrap(),
        holder: Holder::new("waiter").unwrap(),
        mode: Mode::Exclusive,
        ttl: ttl.map(|ttl| Ttl::new(ttl).unwrap()),
        session: None,
        wait: Wait::Forever,
    };
    Acquiring { wanted, request: Uuid::new(), waiter_ttl: WAITER_TTL, waited: false, has: false }
}

/// The lock as it is seen with a session that lives.
fn seen_with_session(document: Option<LockDocument>, second: u64) -> Look {
    let until = bson::DateTime::from_millis(1_000_000);
    let session = StoredSession { number: SESSION, until, closed: false };
    Look { sessions: vec![session], wanted_sessions: vec![SESSION], ..seen(document, second) }
}

/// The lock when it was handed to a waiter.
fn handed_to(acquiring: &Acquiring) -> LockDocument {
    let mut standing = Standing::new(&seen_with_session(None, 1)).unwrap();
    standing.execute(&acquire("first", Mode::Exclusive), Uuid::new()).unwrap();
    let waiting = acquiring.decide(&mut standing, Willing::Wait).unwrap();
    assert!(matches!(waiting, Outcome::Waiting(_)));
    let (key, holder) = (Key::new("k").unwrap(), Holder::new("first").unwrap());
    let release = Release { key, holder, token: None };
    standing.execute(&Command::Release(release), Uuid::new()).unwrap();
    granted(standing.into_document())
}

/// How long the lock is handed to a waiter, and how long it has it when it has said that it is there.
fn handed(acquiring: &Acquiring) -> (Option<Duration>, Option<Duration>) {
    let document = handed_to(acquiring);
    let millis = |lease: &super::super::lock_document::StoredLease| {
        Duration::from_millis(u64::try_from(lease.ttl_ms).unwrap())
    };
    let handed = document.grants[0].lease.as_ref().map(millis);

    let mut standing = Standing::new(&seen_with_session(Some(document), 2)).unwrap();
    let Outcome::Granted(claimed) = acquiring.decide(&mut standing, Willing::Wait).unwrap() else {
        panic!("it is its own")
    };
    assert!(!claimed.rejoined);
    let document = standing.into_document();
    let ttl = acquiring.wanted.ttl.map(Ttl::as_duration);
    assert_eq!(document.grants[0].lease.as_ref().map(millis), ttl);
    (handed, claimed.lease.map(|lease| lease.ttl.as_duration()))
}

#[test]
fn who_waited_and_died_has_a_lock_no_longer_than_its_place_in_the_line() {
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(3_600));
    let handed = |ttl, session| {
        let mut acquiring = waits(ttl);
        acquiring.wanted.session = session;
        handed(&acquiring)
    };
    assert_eq!(handed(Some(short), None), (Some(short), Some(short)));
    assert_eq!(handed(Some(long), None), (Some(WAITER_TTL), Some(long)));
    assert_eq!(handed(None, None), (Some(WAITER_TTL), None));
    // With a session it has it no longer than that lives.
    let session = Some(session(SESSION).unwrap());
    assert_eq!(handed(Some(long), session), (Some(long), Some(long)));
    assert_eq!(handed(None, session), (None, None));
}

#[test]
fn who_is_handed_a_lock_when_it_has_given_up_ends_that_in_one_write() {
    let acquiring = waits(None);
    let look = seen(Some(handed_to(&acquiring)), 2);
    let mut standing = Standing::new(&look).unwrap();
    let left = acquiring.decide(&mut standing, Willing::GiveUp).unwrap();
    assert_eq!(left, Outcome::Cancelled);
    assert!(standing.into_document().grants.is_empty());
}

#[test]
fn who_gives_up_leaves_a_grant_that_its_holder_has_acquired_once_more() {
    let (first, again) = (waits(None), waits(None));
    let mut standing = Standing::new(&seen(Some(handed_to(&first)), 2)).unwrap();
    let joined = again.decide(&mut standing, Willing::Look).unwrap();
    assert!(matches!(joined, Outcome::Granted(granted) if granted.rejoined));
    first.decide(&mut standing, Willing::GiveUp).unwrap();
    assert_eq!(standing.into_document().grants.len(), 1);
}

/// Nobody has written yet that both of one holder have it.
#[test]
fn two_who_wait_for_one_holder_both_see_that_they_are_granted() {
    let (first, second) = (waits(None), waits(None));
    let mut standing = Standing::new(&seen(None, 1)).unwrap();
    let Command::Acquire(before) = acquire("first", Mode::Exclusive) else { unreachable!() };
    let leased = Acquire { ttl: Ttl::new(Duration::from_secs(5)).ok(), ..before };
    standing.execute(&Command::Acquire(leased), Uuid::new()).unwrap();
    first.decide(&mut standing, Willing::Wait).unwrap();
    second.decide(&mut standing, Willing::Wait).unwrap();
    let mut standing = Standing::new(&seen(Some(granted(standing.into_document())), 10)).unwrap();
    for waited in [second, first] {
        let waited = Acquiring { waited: true, ..waited };
        let came = waited.decide(&mut standing, Willing::Leave).unwrap();
        assert!(matches!(came, Outcome::Granted(_)), "{came:?}");
    }
}

#[test]
fn a_read_does_not_show_a_hand_on_that_nobody_has_written() {
    let acquiring = waits(None);
    let mut standing = Standing::new(&seen(None, 1)).unwrap();
    let Command::Acquire(first) = acquire("first", Mode::Exclusive) else { unreachable!() };
    let leased = Acquire { ttl: Ttl::new(Duration::from_secs(5)).ok(), ..first };
    standing.execute(&Command::Acquire(leased), Uuid::new()).unwrap();
    acquiring.decide(&mut standing, Willing::Wait).unwrap();
    let document = granted(standing.into_document());
    let at = |second| {
        let look = seen(Some(document.clone()), second);
        info(&Standing::new(&look).unwrap(), look.moment)
    };
    assert_eq!(at(2).unwrap().holders[0].holder.as_str(), "first");
    assert!(at(10).is_none(), "its lease has run out, and the waiter has not been told");
}
