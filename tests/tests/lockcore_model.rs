//! lockcore against its model: at random with shrinking, and completely for short runs.
use std::cell::RefCell;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use lockcore::{Instant, Limits, Mode};
use lockstore_testkit::commands::{Case, Driver, Marks, Op, Patience, Step, TokenRef};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

#[test]
fn the_table_does_what_the_model_does() {
    let mut seen = Marks::default();
    check_random_cases(20_000, |case| seen.merge(case.run().marks()));
    let missed: Vec<_> = MARKS.iter().filter(|mark| seen.count(mark) < 10).collect();
    assert!(missed.is_empty(), "hardly ever seen: {missed:?} of {seen:#?}");
}

/// Nothing that is seen depends on the hash table's seed: decisions, their changes and the order of what is due.
#[test]
fn the_same_commands_on_another_hash_seed_give_the_same_answers() {
    check_random_cases(2_000, |case| {
        let (one, other) = (case.run_with_seed(1), case.run_with_seed(u64::MAX));
        assert_eq!(one.answers(), other.answers());
    });
}

/// Two keys, two holders, both modes, with and without a lease, trying and waiting: all runs of up to four ops.
#[test]
fn all_short_runs_over_two_keys() {
    let mut alphabet = Vec::new();
    for key in ["a", "b"] {
        for holder in ["h1", "h2"] {
            for mode in [Mode::Exclusive, Mode::Shared] {
                for ttl_ms in [None, Some(1)] {
                    for wait in [Patience::No, Patience::Forever] {
                        alphabet.push(Op::Acquire {
                            key,
                            holder,
                            mode,
                            ttl_ms,
                            session: None,
                            wait,
                        });
                    }
                }
            }
            alphabet.push(Op::Release { key, holder, token: TokenRef::Unnamed });
        }
    }
    alphabet.push(Op::Cancel { waiter: 0 });
    alphabet.push(Op::Advance(Step::Nanos(1_000_000)));
    alphabet.push(Op::Settle);
    assert_eq!(check_all_runs(&alphabet, 4), 593_670);
}

/// One key and one session, with waits that end and watchers: all runs of up to five ops.
#[test]
fn all_short_runs_with_a_session() {
    let key = "a";
    let mut alphabet = Vec::new();
    for holder in ["h1", "h2"] {
        for mode in [Mode::Exclusive, Mode::Shared] {
            for session in [None, Some(0)] {
                let wait = Patience::Forever;
                alphabet.push(Op::Acquire { key, holder, mode, ttl_ms: None, session, wait });
            }
        }
        alphabet.push(Op::Release { key, holder, token: TokenRef::Unnamed });
    }
    let (holder, wait) = ("h1", Patience::Nanos(1_000_000));
    let ttl_ms = Some(1);
    alphabet.push(Op::Acquire { key, holder, mode: Mode::Exclusive, ttl_ms, session: None, wait });
    alphabet.push(Op::Renew { key, holder, token: TokenRef::Unnamed, ttl_ms });
    alphabet.push(Op::Watch { key, session: Some(0), wait: Patience::Forever });
    alphabet.push(Op::Break { key, token: TokenRef::Held });
    alphabet.push(Op::OpenSession);
    alphabet.push(Op::CloseSession { session: 0, steps: 1 });
    alphabet.push(Op::LoseSession { session: 0, nanos: 1_000_000 });
    alphabet.push(Op::TakeUpSession { session: 0 });
    alphabet.push(Op::Advance(Step::Nanos(1_000_000)));
    alphabet.push(Op::Settle);
    assert_eq!(check_all_runs(&alphabet, 5), 1_980_515);
}

/// Any list of records is a case, so one that fails can be saved as a file for `fuzz/corpus`.
fn records() -> impl Strategy<Value = Vec<[u8; Op::BYTES]>> {
    prop::collection::vec(any::<[u8; Op::BYTES]>(), 1..80)
}

/// Runs `check` on random cases; a failure is shrunk and shown with the seed that repeats it.
fn check_random_cases(cases: u32, check: impl FnMut(&Case)) {
    let seed: u64 = env::var("LOCKSTORE_SEED").map_or_else(
        |_| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos().into(),
        |seed| seed.parse().expect("LOCKSTORE_SEED is a number"),
    );
    let rng_seed = RngSeed::Fixed(seed);
    let config = Config { cases, rng_seed, failure_persistence: None, ..Config::default() };
    let check = RefCell::new(check);
    let result = TestRunner::new(config).run(&records(), |records| {
        (check.borrow_mut())(&Case::from_bytes(records.as_flattened()));
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, records)) => {
            let bytes = records.as_flattened();
            let case = Case::from_bytes(bytes);
            panic!(
                "{why}\n{case:#?}\nof the bytes {bytes:?}\nrepeat it with LOCKSTORE_SEED={seed}"
            );
        }
        Err(TestError::Abort(why)) => panic!("{why}, with LOCKSTORE_SEED={seed}"),
    }
}

/// Runs every run of 1 to `length_max` ops, but one only of those that differ in the names of keys and
/// holders alone: whoever comes first is the first of the alphabet. Returns how many were run.
fn check_all_runs(alphabet: &[Op], length_max: usize) -> u64 {
    let mut run = Vec::new();
    extend_run(alphabet, length_max, &mut run)
}

fn extend_run(alphabet: &[Op], length_max: usize, run: &mut Vec<Op>) -> u64 {
    if run.len() == length_max {
        return 0;
    }
    let mut count = 0;
    for op in alphabet {
        if !names_in_order(run, op) {
            continue;
        }
        // What came before was compared as a run of its own.
        let mut driver = Driver::new(Limits::default(), 0, Instant::ZERO);
        driver.replay(run);
        driver.step(op);
        run.push(*op);
        count += 1 + extend_run(alphabet, length_max, run);
        run.pop();
    }
    count
}

fn names_in_order(run: &[Op], op: &Op) -> bool {
    let (key, holder) = names(op);
    let known = |first: &str, name: fn(&Op) -> Option<&'static str>| {
        run.iter().any(|op| name(op) == Some(first))
    };
    (key != Some("b") || known("a", |op| names(op).0))
        && (holder != Some("h2") || known("h1", |op| names(op).1))
}

fn names(op: &Op) -> (Option<&'static str>, Option<&'static str>) {
    match *op {
        Op::Acquire { key, holder, .. }
        | Op::Renew { key, holder, .. }
        | Op::Release { key, holder, .. }
        | Op::Expire { key, holder, .. } => (Some(key), Some(holder)),
        Op::Watch { key, .. } | Op::Break { key, .. } => (Some(key), None),
        Op::Cancel { .. }
        | Op::TimeOut { .. }
        | Op::OpenSession
        | Op::LoseSession { .. }
        | Op::TakeUpSession { .. }
        | Op::CloseSession { .. }
        | Op::Advance(_)
        | Op::Poll { .. }
        | Op::Settle => (None, None),
    }
}

/// What random cases must have come by.
const MARKS: [&str; 46] = [
    "answer: cancelled",
    "answer: ended",
    "answer: free",
    "answer: granted",
    "answer: rejoined",
    "answer: renewed",
    "answer: session closed",
    "answer: session closing",
    "answer: session lost",
    "answer: session opened",
    "answer: session taken up",
    "answer: waiting",
    "ended: broken",
    "ended: expired",
    "ended: released",
    "ended: session ended",
    "granted",
    "granted: to a waiter",
    "left: cancelled",
    "left: free",
    "left: session ended",
    "left: timed out",
    "poll: due",
    "poll: idle",
    "poll: unfinished",
    "queued",
    "refused: held",
    "refused: held by other",
    "refused: limit of a session",
    "refused: limit of locks",
    "refused: limit of sessions",
    "refused: limit of waiters",
    "refused: limit of waiters of a lock",
    "refused: not due",
    "refused: not held",
    "refused: other mode",
    "refused: other session",
    "refused: other token",
    "refused: unknown session",
    "refused: unknown waiter",
    "renewed",
    "renewed: joined by a waiter",
    "session closed",
    "session closing",
    "session lost",
    "session taken up",
];
