#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use lockcore::{Holder, Key, Mode, Release};

use super::super::reading::info;
use super::super::standing::tests::{acquire, granted, seen};
use super::*;

const WAITER_TTL: Duration = Duration::from_secs(30);

fn waits(ttl: Option<Duration>) -> Acquiring {
    let wanted = Acquire {
        key: Key::new("k").unwrap(),
        holder: Holder::new("waiter").unwrap(),
        mode: Mode::Exclusive,
        ttl: ttl.map(|ttl| Ttl::new(ttl).unwrap()),
        session: None,
        wait: Wait::Forever,
    };
    Acquiring { wanted, request: Uuid::new(), waiter_ttl: WAITER_TTL, waited: false }
}

/// How long the lock is handed to a waiter, and how long it has it when it has said that it is there.
fn handed(ttl: Option<Duration>) -> (Option<Duration>, Option<Duration>) {
    let acquiring = waits(ttl);
    let mut standing = Standing::new(&seen(None, 1)).unwrap();
    standing.execute(&acquire("first", Mode::Exclusive), Uuid::new()).unwrap();
    let waiting = acquiring.decide(&mut standing, Willing::Wait).unwrap();
    assert!(matches!(waiting, Outcome::Waiting(_)));
    let (key, holder) = (Key::new("k").unwrap(), Holder::new("first").unwrap());
    let release = Release { key, holder, token: None };
    standing.execute(&Command::Release(release), Uuid::new()).unwrap();
    let document = granted(standing.into_document());
    let millis = |lease: &super::super::lock_document::StoredLease| {
        Duration::from_millis(u64::try_from(lease.ttl_ms).unwrap())
    };
    let handed = document.grants[0].lease.as_ref().map(millis);

    let mut standing = Standing::new(&seen(Some(document), 2)).unwrap();
    let Outcome::Granted(claimed) = acquiring.decide(&mut standing, Willing::Wait).unwrap() else {
        panic!("it is its own")
    };
    assert!(!claimed.rejoined);
    let document = standing.into_document();
    assert_eq!(document.grants[0].lease.as_ref().map(millis), ttl);
    (handed, claimed.lease.map(|lease| lease.ttl.as_duration()))
}

#[test]
fn who_waited_and_died_has_a_lock_no_longer_than_its_place_in_the_line() {
    let (short, long) = (Duration::from_secs(5), Duration::from_secs(3_600));
    assert_eq!(handed(Some(short)), (Some(short), Some(short)));
    assert_eq!(handed(Some(long)), (Some(WAITER_TTL), Some(long)));
    assert_eq!(handed(None), (Some(WAITER_TTL), None));
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
