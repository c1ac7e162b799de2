//! The specification, tried in every order: slow, and too plain to be wrong.

use std::collections::HashSet;
use std::time::Duration;

use lockstore::{Holder, Instant, Mode, Token};

use super::simulation::TICK;
use crate::history::{Call, Operation, Outcome};

/// Whether a history of one key, whose clock is its order, is linearizable.
pub(super) fn is_legal(operations: &[Operation]) -> bool {
    let mut naive = Naive { operations, tokens: tokens(operations), tried: HashSet::new() };
    naive.search(&State::default())
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    done: Vec<bool>,
    holds: Vec<(Option<Token>, Holder, Mode, Instant)>,
    last: u64,
    /// The earliest that the next thing can happen.
    now: u64,
}

struct Naive<'h> {
    operations: &'h [Operation],
    tokens: Vec<Token>,
    tried: HashSet<State>,
}

impl Naive<'_> {
    fn search(&mut self, state: &State) -> bool {
        let mut state = state.clone();
        state.done.resize(self.operations.len(), false);
        state.holds.sort_by_key(|hold| (hold.0, hold.1.clone()));
        let todo = |number: usize| !state.done[number];
        let mut deadlines =
            (0..self.operations.len()).filter(|&number| todo(number)).filter_map(|number| {
                let operation = &self.operations[number];
                (!is_unanswered(operation)).then(|| operation.returned.unwrap().order)
            });
        let Some(deadline) = deadlines.by_ref().chain([u64::MAX]).min() else {
            return true;
        };
        if deadline == u64::MAX {
            return true;
        }
        if state.now > deadline || !self.tried.insert(state.clone()) {
            return false;
        }
        for index in 0..state.holds.len() {
            let ends = state.holds[index].3;
            if ends != Instant::MAX {
                let mut next = state.clone();
                next.now = next.now.max(ends.as_nanos().div_ceil(TICK));
                next.holds.remove(index);
                if self.search(&next) {
                    return true;
                }
            }
        }
        for number in 0..self.operations.len() {
            if state.done[number] {
                continue;
            }
            let mut before = state.clone();
            before.done[number] = true;
            before.now = before.now.max(self.operations[number].invoked.order);
            if before.now > deadline {
                continue;
            }
            for next in self.outcomes(&before, &self.operations[number]) {
                if self.search(&next) {
                    return true;
                }
            }
        }
        false
    }

    /// The states in which an operation may leave the store while it is told what it was told.
    fn outcomes(&self, state: &State, operation: &Operation) -> Vec<State> {
        let holder = &operation.holder;
        let own = state.holds.iter().position(|hold| hold.1 == *holder);
        let named = |token: Option<Token>| {
            state
                .holds
                .iter()
                .position(|hold| hold.1 == *holder && (token.is_none() || hold.0 == token))
        };
        let keep = |legal: bool| {
            if legal { vec![state.clone()] } else { Vec::new() }
        };
        let without = |index: Option<usize>| {
            index.into_iter().map(|index| {
                let mut next = state.clone();
                next.holds.remove(index);
                next
            })
        };
        let until = |index: Option<usize>, until: Instant| {
            index.into_iter().map(move |index| {
                let mut next = state.clone();
                next.holds[index].3 = until;
                next
            })
        };
        match (operation.call, &operation.outcome) {
            (Call::Acquire { mode, ttl, .. }, _) => self.acquired(state, operation, mode, ttl),
            (Call::Release { token } | Call::Renew { token, .. }, Outcome::NotHeld) => {
                keep(named(token).is_none())
            }
            (Call::Release { token }, _) => without(named(token)).collect(),
            (Call::Renew { token, .. }, Outcome::Renewed { valid_until }) => {
                until(named(token), told(*valid_until)).collect()
            }
            (Call::Renew { token, ttl }, _) => {
                until(named(token), promised(operation, ttl)).collect()
            }
            (Call::Break { token }, outcome) => {
                let index = state.holds.iter().position(|hold| hold.0 == Some(token));
                match outcome {
                    Outcome::NotHeld => keep(index.is_none()),
                    _ => without(index).collect(),
                }
            }
            (_, Outcome::Locked(locked)) => keep(state.holds.is_empty() != *locked),
            (_, Outcome::Holding(holding)) => keep(own.is_some() == *holding),
            (_, Outcome::Holders(holders)) => {
                let mut seen: Vec<_> =
                    holders.iter().map(|(holder, token)| (Some(*token), holder.clone())).collect();
                seen.sort();
                let held: Vec<_> =
                    state.holds.iter().map(|hold| (hold.0, hold.1.clone())).collect();
                keep(seen == held)
            }
            (_, _) => keep(true),
        }
    }
}

impl Naive<'_> {
    fn acquired(
        &self,
        state: &State,
        operation: &Operation,
        mode: Mode,
        ttl: Option<Duration>,
    ) -> Vec<State> {
        let holder = &operation.holder;
        let own = state.holds.iter().position(|hold| hold.1 == *holder);
        let (candidates, valid_until): (Vec<Option<Token>>, _) = match &operation.outcome {
            Outcome::Granted { token, valid_until } => (vec![Some(*token)], told(*valid_until)),
            Outcome::Unknown | Outcome::Waiting => {
                let tokens = self.tokens.iter().copied().map(Some);
                (tokens.chain([None]).collect(), promised(operation, ttl))
            }
            Outcome::Refused if state.holds.iter().all(|hold| hold.1 == *holder) => return vec![],
            _ => return vec![state.clone()],
        };
        if let Some(index) = own {
            let (token, _, held, _) = &state.holds[index];
            let known = is_unanswered(operation) || candidates.contains(token);
            if *held != mode || !known {
                return vec![];
            }
            let mut next = state.clone();
            next.holds[index].3 = valid_until;
            return vec![next];
        }
        let shared = |other| (other, mode) == (Mode::Shared, Mode::Shared);
        if !state.holds.iter().all(|hold| shared(hold.2)) {
            return vec![];
        }
        let greater = |token: &Option<Token>| token.is_none_or(|token| token.get() > state.last);
        let granted = candidates.into_iter().filter(greater).map(|token| {
            let mut next = state.clone();
            next.last = token.map_or(next.last, Token::get);
            next.holds.push((token, holder.clone(), mode, valid_until));
            next
        });
        granted.collect()
    }
}

fn told(valid_until: Option<Instant>) -> Instant {
    valid_until.unwrap_or(Instant::MAX)
}

fn promised(operation: &Operation, ttl: Option<Duration>) -> Instant {
    ttl.map_or(Instant::MAX, |ttl| operation.invoked.at.saturating_add(ttl))
}

fn is_unanswered(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Unknown | Outcome::Waiting)
}

/// Whether an unanswered operation names a token that no answer names: a client cannot know it, and
/// the checker is lenient then.
pub(super) fn names_what_nobody_was_told(operations: &[Operation]) -> bool {
    let told = tokens(operations);
    operations.iter().any(|operation| {
        let named = match operation.call {
            Call::Release { token } | Call::Renew { token, .. } => token,
            Call::Break { token } => Some(token),
            _ => None,
        };
        is_unanswered(operation) && named.is_some_and(|token| !told.contains(&token))
    })
}

/// The tokens that answers name as granted.
fn tokens(operations: &[Operation]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for operation in operations {
        match (&operation.call, &operation.outcome) {
            (_, Outcome::Granted { token, .. })
            | (Call::Release { token: Some(token) }, Outcome::Released)
            | (Call::Renew { token: Some(token), .. }, Outcome::Renewed { .. })
            | (Call::Break { token }, Outcome::Broken) => tokens.push(*token),
            (_, Outcome::Holders(holders)) => tokens.extend(holders.iter().map(|holder| holder.1)),
            _ => {}
        }
    }
    tokens.sort();
    tokens.dedup();
    tokens
}
