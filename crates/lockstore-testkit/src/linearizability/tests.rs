//! Correct histories pass, each fault is found, and the search agrees with the plain specification.

mod naive;
mod simulation;
mod stories;
mod waiting;

use std::collections::BTreeSet;
use std::time::Duration;

use lockstore::Token;

use super::*;
use crate::history::{Call, Outcome};
use crate::rng::Rng;
use simulation::{Bug, Plan, simulate};

const PLAN: Plan = Plan { seed: 0, operations: 2_000, clients: 8, keys: 3, crashes: 0, bug: None };

/// Simulated leases last microseconds, and clients wait as long as the dice say.
fn patient() -> Checker {
    Checker::new().slack(Duration::from_secs(3_600))
}

#[test]
fn a_correct_store_is_never_accused() {
    for seed in 0..60 {
        let crashes = [0, 20, 200][usize::try_from(seed % 3).unwrap()];
        let plan = Plan { seed, crashes, ..PLAN };
        let summary = patient()
            .check(&simulate(&plan))
            .unwrap_or_else(|violation| panic!("{plan:?}: {violation}"));
        assert!(summary.grants > 100, "{summary:?}");
        assert_eq!(summary.undecided, [], "{plan:?}");
    }
}

#[test]
fn every_fault_is_found() {
    use Bug::{
        ExpiresEarly, GrantsWhatIsHeld, LosesGrants, LowersTheToken, ReadsNonsense,
        ReleasesForOthers, ReusesTheLastToken,
    };
    let bugs = [
        (
            GrantsWhatIsHeld,
            &[Rule::Overlap, Rule::EarlyExpiry, Rule::StaleRead, Rule::NotHolder][..],
        ),
        (ReusesTheLastToken, &[Rule::TokenReused]),
        (LowersTheToken, &[Rule::TokensFall]),
        (ReadsNonsense, &[Rule::NotHolder, Rule::StaleRead, Rule::EarlyExpiry, Rule::LostGrant]),
        (ReleasesForOthers, &[Rule::NotHolder]),
        (ExpiresEarly, &[Rule::EarlyExpiry]),
        (LosesGrants, &[Rule::LostGrant, Rule::Overlap, Rule::EarlyExpiry, Rule::StaleRead]),
    ];
    for (bug, expected) in bugs {
        let mut rules = BTreeSet::new();
        for seed in 0..20 {
            let crashes = seed % 2 * 10;
            let plan = Plan { seed, crashes, bug: Some(bug), ..PLAN };
            let violation = patient().check(&simulate(&plan)).expect_err(&format!("{plan:?}"));
            assert!(!violation.operations.is_empty());
            assert!(expected.contains(&violation.rule), "{plan:?}: {violation}");
            rules.insert(format!("{:?}", violation.rule));
        }
        println!("{bug:?}: {rules:?}");
    }
}

#[test]
fn a_hundred_thousand_operations_take_seconds() {
    let plan = Plan { operations: 100_000, clients: 16, keys: 8, crashes: 2, ..PLAN };
    let history = simulate(&plan);
    let start = std::time::Instant::now();
    let summary = patient().check(&history).unwrap();
    let taken = start.elapsed();
    println!("{} operations in {taken:?}", summary.operations);
    assert_eq!(summary.undecided, []);
    assert!(taken < Duration::from_secs(20), "{taken:?}");
}

/// Changes one answer, so that about half of the histories become illegal.
fn mutate(operations: &mut [Operation], rng: &mut Rng) {
    let number = rng.index_below(operations.len());
    let token = Token::new(102 + 2 * rng.below(4)).unwrap();
    let operation = &mut operations[number];
    if rng.chance(3) {
        operation.returned = None;
        operation.outcome = Outcome::Unknown;
        return;
    }
    operation.outcome = match (operation.call, operation.outcome.clone()) {
        (Call::Release { .. } | Call::Break { .. }, Outcome::NotHeld) => match operation.call {
            Call::Break { .. } => Outcome::Broken,
            _ => Outcome::Released,
        },
        (_, Outcome::Released | Outcome::Broken | Outcome::Renewed { .. }) => Outcome::NotHeld,
        (_, Outcome::Granted { valid_until, .. }) => Outcome::Granted { token, valid_until },
        (_, Outcome::Locked(locked)) => Outcome::Locked(!locked),
        (_, Outcome::Holding(holding)) => Outcome::Holding(!holding),
        (_, Outcome::Holders(mut holders)) => {
            holders.pop();
            Outcome::Holders(holders)
        }
        (Call::Acquire { .. }, Outcome::TimedOut | Outcome::Refused) => {
            Outcome::Granted { token, valid_until: None }
        }
        (_, outcome) => outcome,
    };
}

#[test]
fn the_search_agrees_with_every_order_tried() {
    let (mut legal, mut illegal) = (0, 0);
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let plan = Plan {
            seed,
            operations: 6 + rng.index_below(4),
            clients: 3 + rng.index_below(2),
            keys: 1,
            crashes: [0, 500, 1500, 4000][rng.index_below(4)],
            bug: None,
        };
        let mut history = simulate(&plan);
        for _ in 0..rng.below(3) {
            mutate(&mut history.operations, &mut rng);
        }
        if naive::names_what_nobody_was_told(&history.operations) {
            continue;
        }
        let expected = naive::is_legal(&history.operations);
        let judged = patient().check(&history);
        assert_eq!(judged.is_ok(), expected, "seed {seed}: {judged:?}\n{}", listing(&history));
        if expected { legal += 1 } else { illegal += 1 }
    }
    println!("{legal} legal, {illegal} illegal");
    assert!(legal > 500 && illegal > 500, "{legal} legal, {illegal} illegal");
}

fn listing(history: &History) -> String {
    let lines = history.operations.iter().map(|operation| format!("  {operation}\n"));
    lines.collect()
}
