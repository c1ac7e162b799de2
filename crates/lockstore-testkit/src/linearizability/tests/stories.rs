//! What went wrong in other lock systems, as histories, each judged by the rule that it breaks.
//!
//! Times are milliseconds, and the order is the time.

use std::time::Duration;

use lockstore::{Holder, Instant, Key, Mode, Token};

use crate::history::{Call, History, Moment, Operation, Outcome, Wait};
use crate::linearizability::{Checker, Rule, Violation};

pub(super) fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

pub(super) fn token(number: u64) -> Token {
    Token::new(number).unwrap()
}

/// An operation on the key `k` by `holder`, from the first time until the second; 0 for never.
pub(super) fn asked(holder: &str, call: Call, times: (u64, u64), outcome: Outcome) -> Operation {
    Operation {
        client: 0,
        key: Key::new("k").unwrap(),
        holder: Holder::new(holder).unwrap(),
        call,
        invoked: Moment::on_clock(ms(times.0)),
        returned: (times.1 > 0).then(|| Moment::on_clock(ms(times.1))),
        outcome,
    }
}

pub(super) const ACQUIRE: Call =
    Call::Acquire { mode: Mode::Exclusive, ttl: None, wait: Wait::Forever };

const SHARED: Call = Call::Acquire { mode: Mode::Shared, ttl: None, wait: Wait::Forever };

pub(super) fn granted(number: u64) -> Outcome {
    Outcome::Granted { token: token(number), valid_until: None }
}

pub(super) fn leased(number: u64, until: u64) -> Outcome {
    Outcome::Granted { token: token(number), valid_until: Some(ms(until)) }
}

pub(super) fn release(number: u64) -> Call {
    Call::Release { token: Some(token(number)) }
}

fn judged(operations: Vec<Operation>) -> Result<(), Violation> {
    let checker = Checker::new().slack(Duration::from_secs(1));
    checker.check(&History::new(operations)).map(drop)
}

#[track_caller]
pub(super) fn legal(operations: Vec<Operation>) {
    if let Err(violation) = judged(operations) {
        panic!("{violation}");
    }
}

#[track_caller]
pub(super) fn illegal(rule: Rule, operations: Vec<Operation>) {
    let violation = judged(operations).unwrap_err();
    assert_eq!(violation.rule, rule, "{violation}");
}

#[test]
fn one_after_the_other() {
    legal(vec![
        asked("a", ACQUIRE, (1, 2), granted(1)),
        asked("b", ACQUIRE, (3, 7), granted(2)),
        asked("a", release(1), (5, 6), Outcome::Released),
        asked("c", Call::IsLocked, (5, 6), Outcome::Locked(true)),
        asked("b", release(2), (8, 9), Outcome::Released),
        asked("c", Call::IsLocked, (10, 11), Outcome::Locked(false)),
    ]);
}

#[test]
fn two_holders_overlap() {
    illegal(
        Rule::Overlap,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("b", ACQUIRE, (3, 4), granted(2)),
            asked("a", release(1), (5, 6), Outcome::Released),
            asked("b", release(2), (5, 6), Outcome::Released),
        ],
    );
}

#[test]
fn an_exclusive_holder_beside_a_shared_one() {
    let sharing =
        vec![asked("a", SHARED, (1, 2), granted(1)), asked("b", SHARED, (3, 4), granted(2))];
    legal(sharing.clone());
    let mut operations = sharing;
    operations.push(asked("c", ACQUIRE, (5, 6), granted(3)));
    illegal(Rule::Overlap, operations);
}

#[test]
fn a_token_is_used_twice_by_two_holders() {
    illegal(
        Rule::TokenReused,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("a", release(1), (3, 4), Outcome::Released),
            asked("b", ACQUIRE, (5, 6), granted(1)),
        ],
    );
}

#[test]
fn a_token_is_used_twice_by_one_holder() {
    let again =
        vec![asked("a", ACQUIRE, (1, 2), granted(1)), asked("a", ACQUIRE, (3, 4), granted(1))];
    legal(again.clone());
    let mut operations = again;
    operations.insert(1, asked("a", release(1), (2, 3), Outcome::Released));
    operations[2].invoked = Moment::on_clock(ms(4));
    operations[2].returned = Some(Moment::on_clock(ms(5)));
    illegal(Rule::TokenReused, operations);
}

#[test]
fn a_token_is_used_twice_on_two_keys() {
    let mut other = asked("a", ACQUIRE, (1, 2), granted(1));
    other.key = Key::new("other").unwrap();
    let operations = vec![asked("a", ACQUIRE, (1, 2), granted(1)), other];
    illegal(Rule::TokenReused, operations);
}

#[test]
fn tokens_fall_on_another_key() {
    let mut other = asked("a", ACQUIRE, (3, 4), granted(4));
    other.key = Key::new("other").unwrap();
    let operations = vec![asked("a", ACQUIRE, (1, 2), granted(5)), other];
    illegal(Rule::TokensFall, operations);
}

#[test]
fn a_greater_token_elsewhere_shows_that_a_grant_was_made() {
    let mut other = asked("b", ACQUIRE, (1, 3), granted(6));
    other.key = Key::new("other").unwrap();
    let slow = asked("a", ACQUIRE, (1, 20), granted(5));
    let read = |locked| asked("c", Call::IsLocked, (10, 11), Outcome::Locked(locked));
    legal(vec![slow.clone(), other.clone(), read(true)]);
    illegal(Rule::LostGrant, vec![slow, other, read(false)]);
}

#[test]
fn a_grant_was_published_before_it_was_committed() {
    let before_the_crash = [
        asked("a", ACQUIRE, (1, 0), Outcome::Unknown),
        asked(
            "b",
            Call::Inspect,
            (2, 3),
            Outcome::Holders(vec![(Holder::new("a").unwrap(), token(7))]),
        ),
    ];
    let reopened = |locked| asked("b", Call::IsLocked, (100, 101), Outcome::Locked(locked));
    legal([&before_the_crash[..], &[reopened(true)]].concat());
    illegal(Rule::LostGrant, [&before_the_crash[..], &[reopened(false)]].concat());
    // Where nobody saw it, it may be lost.
    legal(vec![before_the_crash[0].clone(), reopened(false)]);
}

#[test]
fn a_crashed_client_may_have_released_what_nobody_else_was_told_of() {
    legal(vec![
        asked("a", ACQUIRE, (1, 0), Outcome::Unknown),
        asked("b", Call::IsLocked, (2, 3), Outcome::Locked(true)),
        asked("a", release(7), (4, 0), Outcome::Unknown),
        asked("b", ACQUIRE, (5, 6), granted(8)),
    ]);
}

#[test]
fn a_release_that_was_answered_is_undone_by_a_crash() {
    illegal(
        Rule::StaleRead,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("a", release(1), (3, 4), Outcome::Released),
            asked("b", Call::IsLocked, (100, 101), Outcome::Locked(true)),
        ],
    );
}

#[test]
fn somebody_releases_what_is_not_theirs() {
    let by_name = Call::Release { token: None };
    illegal(
        Rule::NotHolder,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("b", by_name, (3, 4), Outcome::Released),
        ],
    );
}

#[test]
fn an_old_guard_releases_its_successors_lock() {
    illegal(
        Rule::NotHolder,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("a", release(1), (3, 4), Outcome::Released),
            asked("a", ACQUIRE, (5, 6), granted(2)),
            asked("a", release(1), (7, 8), Outcome::Released),
        ],
    );
}

#[test]
fn a_renewal_revives_a_lock_that_was_released() {
    let renew = Call::Renew { token: Some(token(1)), ttl: None };
    let renewed = Outcome::Renewed { valid_until: None };
    illegal(
        Rule::NotHolder,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("a", release(1), (3, 4), Outcome::Released),
            asked("a", renew, (5, 6), renewed),
        ],
    );
}

#[test]
fn a_break_of_a_stale_lock_breaks_its_successor() {
    let stale = Call::Break { token: token(1) };
    let start = vec![
        asked("a", ACQUIRE, (1, 2), granted(1)),
        asked("a", release(1), (3, 4), Outcome::Released),
        asked("b", ACQUIRE, (5, 6), granted(2)),
        asked("c", stale, (7, 8), Outcome::NotHeld),
    ];
    legal(start.clone());
    let unlocked = asked("c", Call::IsLocked, (9, 10), Outcome::Locked(false));
    illegal(Rule::LostGrant, [&start[..], &[unlocked]].concat());
}

#[test]
fn a_lease_expires_early() {
    let until = |next| {
        vec![asked("a", ACQUIRE, (1, 2), leased(1, 50)), asked("b", ACQUIRE, (3, next), granted(2))]
    };
    legal(until(51));
    illegal(Rule::EarlyExpiry, until(49));
}

#[test]
fn a_renewed_lease_expires_at_its_old_time() {
    let renew = Call::Renew { token: Some(token(1)), ttl: Some(Duration::from_millis(100)) };
    let renewed = Outcome::Renewed { valid_until: Some(ms(110)) };
    illegal(
        Rule::EarlyExpiry,
        vec![
            asked("a", ACQUIRE, (1, 2), leased(1, 50)),
            asked("a", renew, (10, 11), renewed),
            asked("b", ACQUIRE, (12, 60), granted(2)),
        ],
    );
}

#[test]
fn a_read_is_behind_the_time() {
    illegal(
        Rule::StaleRead,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("b", Call::IsLocked, (3, 4), Outcome::Locked(false)),
            asked("a", release(1), (5, 6), Outcome::Released),
        ],
    );
}

#[test]
fn two_reads_go_back_in_time() {
    let read = |times, locked| asked("b", Call::IsLocked, times, Outcome::Locked(locked));
    illegal(
        Rule::LostGrant,
        vec![asked("a", ACQUIRE, (1, 10), granted(1)), read((2, 3), true), read((4, 5), false)],
    );
}

#[test]
fn an_event_tells_of_an_expiry_that_was_not() {
    let seen = |time| asked("b", Call::Watch, (1, time), Outcome::Ended { token: token(1) });
    let lease = asked("a", ACQUIRE, (1, 2), leased(1, 50));
    legal(vec![lease.clone(), seen(60)]);
    illegal(Rule::EarlyExpiry, vec![lease, seen(40)]);
}

#[test]
fn a_token_comes_from_nowhere() {
    let seen = Outcome::Holders(vec![(Holder::new("a").unwrap(), token(7))]);
    illegal(Rule::TokenFromNowhere, vec![asked("b", Call::Inspect, (2, 3), seen)]);
}

#[test]
fn an_answer_that_does_not_belong_to_its_call() {
    let operation = asked("b", Call::IsLocked, (2, 3), Outcome::Released);
    illegal(Rule::Malformed, vec![operation]);
}

#[test]
fn a_violation_reads_like_a_story() {
    let operations =
        vec![asked("a", ACQUIRE, (1, 2), leased(1, 50)), asked("b", ACQUIRE, (3, 4), granted(2))];
    let told = judged(operations).unwrap_err().to_string();
    let start =
        "EarlyExpiry: token 2 was granted while token 1 still held, until 50000000 ns at least";
    assert!(told.starts_with(start), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}
