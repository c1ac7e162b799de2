//! Waiters that nobody woke, as histories. Times are milliseconds; the slack is a second.

use std::time::Duration;

use lockstore::Mode;

use super::stories::{ACQUIRE, asked, granted, illegal, leased, legal, ms, release, token};
use crate::history::{Call, Moment, Outcome, Wait};
use crate::linearizability::Rule;

const fn waits(millis: u64) -> Call {
    Call::Acquire {
        mode: Mode::Exclusive,
        ttl: None,
        wait: Wait::For(Duration::from_millis(millis)),
    }
}

#[test]
fn a_waiter_is_lost() {
    let start = |released| {
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("b", waits(10_000), (3, 10_003), Outcome::TimedOut),
            asked("a", release(1), (released, released + 1), Outcome::Released),
        ]
    };
    legal(start(9_500));
    illegal(Rule::LostWaiter, start(5_000));
}

#[test]
fn waiters_for_an_expired_lease_are_lost() {
    let mut operations = vec![
        asked("a", ACQUIRE, (1, 2), leased(1, 50)),
        asked("b", ACQUIRE, (3, 0), Outcome::Waiting),
        asked("c", ACQUIRE, (4, 0), Outcome::Waiting),
        asked("d", Call::IsLocked, (900, 901), Outcome::Locked(true)),
    ];
    legal(operations.clone());
    operations.push(asked("d", Call::IsLocked, (9_000, 9_001), Outcome::Locked(false)));
    illegal(Rule::LostWaiter, operations);
}

#[test]
fn a_waiter_is_not_told_that_its_time_is_over() {
    let mut operations = vec![
        asked("a", ACQUIRE, (1, 2), granted(1)),
        asked("b", waits(100), (3, 200), Outcome::TimedOut),
    ];
    legal(operations.clone());
    operations[1].returned = Some(Moment::on_clock(ms(2_000)));
    illegal(Rule::Overdue, operations);
}

#[test]
fn a_waiter_behind_a_crashed_client_may_wait_for_ever() {
    legal(vec![
        asked("a", ACQUIRE, (1, 0), Outcome::Unknown),
        asked("b", waits(9_000), (3, 9_003), Outcome::TimedOut),
    ]);
}

#[test]
fn a_waiter_behind_renewals_waits_rightly() {
    let renew = |from| {
        let call = Call::Renew { token: Some(token(1)), ttl: Some(Duration::from_secs(2)) };
        let valid_until = Some(ms(from + 2_000));
        asked("a", call, (from, from + 1), Outcome::Renewed { valid_until })
    };
    let mut operations = vec![
        asked("a", ACQUIRE, (1, 2), leased(1, 2_001)),
        asked("b", waits(9_000), (3, 9_003), Outcome::TimedOut),
        renew(2_000),
        renew(4_000),
    ];
    illegal(Rule::LostWaiter, operations.clone());
    operations.push(renew(6_000));
    legal(operations);
}

#[test]
fn a_release_by_name_ends_the_grant_its_holder_has() {
    let by_name = Call::Release { token: None };
    illegal(
        Rule::LostWaiter,
        vec![
            asked("a", ACQUIRE, (1, 2), granted(1)),
            asked("b", waits(9_000), (3, 9_003), Outcome::TimedOut),
            asked("a", by_name, (4, 5), Outcome::Released),
        ],
    );
}
