#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use lockcore::{Acquire, Key, Mode, Release, Wait};

use super::*;
use crate::time::Moment;

/// A lock as a look sees it at that second.
pub(in crate::locks) fn seen(document: Option<LockDocument>, second: u64) -> Look {
    let moment = Moment {
        there: Instant::from_millis(second * 1_000),
        here: Instant::from_millis(second * 1_000),
    };
    let (sessions, wanted_sessions) = (Vec::new(), Vec::new());
    Look { key: "k".into(), document, sessions, wanted_sessions, moment }
}

pub(in crate::locks) fn acquire(holder: &str, mode: Mode) -> Command {
    Command::Acquire(Acquire {
        key: Key::new("k").unwrap(),
        holder: Holder::new(holder).unwrap(),
        mode,
        ttl: None,
        session: None,
        wait: Wait::Until(Instant::from_millis(1_000_000)),
    })
}

fn size(document: &LockDocument) -> usize {
    bson::serialize_to_vec(document).unwrap().len()
}

/// As it is when tokens are written.
pub(in crate::locks) fn granted(mut document: LockDocument) -> LockDocument {
    let before = document.last;
    for grant in document.grants.iter_mut().filter(|grant| grant.token < 0) {
        document.last = document.last.max(before - grant.token);
        grant.token = before - grant.token;
    }
    document
}

#[test]
fn as_many_as_there_may_be_wait_for_one_lock_and_no_more() {
    let mut standing = Standing::new(&seen(None, 1)).unwrap();
    standing.execute(&acquire("holder", Mode::Exclusive), Uuid::new()).unwrap();
    for number in 0..WAITERS_MAX {
        let waits = acquire(&format!("waiter {number}"), Mode::Exclusive);
        let outcome = standing.execute(&waits, Uuid::new()).unwrap();
        assert!(matches!(outcome, Outcome::Waiting(_)), "{outcome:?}");
    }
    let refused = standing.execute(&acquire("one more", Mode::Exclusive), Uuid::new());
    let limit = Refusal::LimitReached { limit: Limit::WaitersPerLock, max: WAITERS_MAX };
    assert_eq!(refused, Err(limit));
    let document = standing.into_document();
    assert_eq!(document.waiters.len(), WAITERS_MAX);
    let read: LockDocument =
        bson::deserialize_from_slice(&bson::serialize_to_vec(&document).unwrap()).unwrap();
    assert_eq!(read, document, "their order is kept");
}

/// All of them at once: the write that tells the most.
#[test]
fn a_lock_with_the_longest_names_and_all_that_it_remembers_fits_in_a_document() {
    const DOCUMENT_MAX: usize = 8 * 1024 * 1024;
    let mut document = None;
    for round in 0..40_u64 {
        let now = round + 1;
        let mut standing = Standing::new(&seen(document.take(), now)).unwrap();
        let first = format!("first {round}");
        if standing.lock().is_none() {
            standing.execute(&acquire(&first, Mode::Exclusive), Uuid::new()).unwrap();
        }
        let limit = (0..).find_map(|number| {
            let holder = format!("{round} {number} {}", "n".repeat(Holder::BYTES_MAX - 20));
            standing.execute(&acquire(&holder, Mode::Shared), Uuid::new()).err()
        });
        assert!(matches!(limit, Some(Refusal::LimitReached { .. })), "{limit:?}");
        let full = granted(standing.into_document());
        assert!(size(&full) < DOCUMENT_MAX, "{} bytes", size(&full));
        assert!(full.waiters.len() + full.grants.len() > 1_000);

        // The first goes, and all that wait are shared holders.
        let mut standing = Standing::new(&seen(Some(full), now)).unwrap();
        let holders: Vec<Holder> =
            standing.lock().unwrap().grants().map(|grant| grant.holder.clone()).collect();
        for holder in holders {
            let release = Release { key: Key::new("k").unwrap(), holder, token: None };
            standing.execute(&Command::Release(release), Uuid::new()).unwrap();
        }
        let handed_on = granted(standing.into_document());
        assert!(size(&handed_on) < DOCUMENT_MAX, "{} bytes", size(&handed_on));
        document = Some(handed_on);
    }
}

#[test]
fn an_update_of_one_among_many_is_short() {
    let mut standing = Standing::new(&seen(None, 1)).unwrap();
    standing.execute(&acquire("holder", Mode::Exclusive), Uuid::new()).unwrap();
    for number in 0..1_000 {
        let waits = acquire(&format!("waiter {number}"), Mode::Exclusive);
        standing.execute(&waits, Uuid::new()).unwrap();
    }
    let before = granted(standing.into_document());
    let mut standing = Standing::new(&seen(Some(before.clone()), 2)).unwrap();
    let holder = Holder::new("holder").unwrap();
    let release = Release { key: Key::new("k").unwrap(), holder, token: None };
    standing.execute(&Command::Release(release), Uuid::new()).unwrap();
    let after = standing.into_document();
    assert_eq!(after.grants[0].holder, "waiter 0");
    let update = super::super::written::update(Some(&before), &after, 1).unwrap();
    let bytes: usize =
        update.iter().map(|stage| bson::serialize_to_vec(stage).unwrap().len()).sum();
    assert!(bytes < 4_096, "{bytes} bytes for a hand-on");
}
