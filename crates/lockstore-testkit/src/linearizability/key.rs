//! The operations on one key, as steps of a search.

use std::collections::HashMap;

use lockstore::{Holder, Instant, Mode, Token};

use super::tokens::Tokens;
use super::{Rule, Violation};
use crate::history::{Call, Moment, Operation, Outcome};

/// One key's part of a history.
#[derive(Debug)]
pub(super) struct KeyHistory<'h> {
    /// Of the whole history.
    pub(super) operations: &'h [Operation],
    pub(super) steps: Vec<Step>,
    /// Every grant of the key that was seen, by token.
    pub(super) grants: Vec<Granted>,
    /// For each holder, the last return of an operation to which it matters what that one holds, or
    /// the last call of one without an answer.
    pub(super) needed_until: Vec<u64>,
}

/// What an operation did to its key, or saw of it.
#[derive(Debug)]
pub(super) struct Step {
    /// Its number in the whole history.
    pub(super) operation: usize,
    /// The holder's number on this key.
    pub(super) holder: u32,
    pub(super) effect: Effect,
    /// When it can have happened first.
    pub(super) from: u64,
    /// By when it has happened; none for an operation without an answer, which may never.
    pub(super) by: Option<Moment>,
}

#[derive(Debug)]
pub(super) enum Effect {
    /// Gives the holder a grant. Without an answer the token is not known.
    Grant { mode: Mode, token: Option<Token>, valid_until: Instant },
    /// Moves the end of a grant's lease.
    Extend { target: Target, valid_until: Instant },
    /// Ends a grant.
    End(Target),
    /// Changes nothing.
    Observe(Observation),
}

/// Which grant an operation is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) token: Option<Token>,
    /// Whether it must be the operation's holder's.
    pub(super) of_holder: bool,
    /// Whether nobody else was told of the token: then a grant without a known one may be meant.
    pub(super) unseen: bool,
}

#[derive(Debug)]
pub(super) enum Observation {
    Locked(bool),
    /// A refused acquire: somebody else holds it.
    HeldByAnother,
    Holding(bool),
    NotHeld(Target),
    /// Exactly these hold it, in order.
    Exactly(Vec<Token>),
    /// It was granted, and may have ended.
    Began(Token),
    Ended(Token),
}

/// One grant of the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) token: Token,
    pub(super) holder: Option<u32>,
    pub(super) mode: Option<Mode>,
}

impl<'h> KeyHistory<'h> {
    /// The part of the operations with these numbers, which are about one key.
    pub(super) fn new(
        operations: &'h [Operation],
        numbers: &[usize],
        tokens: &Tokens<'h>,
    ) -> Result<Self, Violation> {
        let mut holders = Holders::default();
        let mut seen: Vec<Token> = Vec::new();
        let mut steps = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let operation = &operations[number];
            let effect = effect(operation).ok_or_else(|| malformed(operation))?;
            let Some(mut effect) = effect else { continue };
            let mut from = operation.invoked.order;
            if let Effect::Grant { token: Some(token), .. } = effect
                && let Some(grant) = tokens.get(token)
                && grant.has_one_origin()
            {
                from = from.max(grant.not_before);
            }
            for_each_token(&effect, |token| {
                if tokens.get(token).is_some_and(|grant| *grant.key == operation.key) {
                    seen.push(token);
                }
            });
            if let Effect::End(target) | Effect::Extend { target, .. } = &mut effect {
                let known = |token| tokens.get(token).is_some();
                target.unseen = target.token.is_some_and(|token| !known(token));
            }
            let answered = !matches!(operation.outcome, Outcome::Unknown | Outcome::Waiting);
            steps.push(Step {
                operation: number,
                holder: holders.number(&operation.holder),
                effect,
                from,
                by: operation.returned.filter(|_| answered),
            });
        }
        seen.sort_unstable();
        seen.dedup();

        let mut grants = Vec::with_capacity(seen.len());
        for token in seen {
            let grant = tokens.get(token).expect("only known tokens were collected");
            grants.push(Granted {
                token,
                holder: grant.holder.map(|holder| holders.number(holder)),
                mode: grant.mode,
            });
            if grant.is_narrowed() {
                steps.push(Step {
                    operation: grant.not_after.1,
                    holder: u32::MAX,
                    effect: Effect::Observe(Observation::Began(token)),
                    from: grant.not_before.min(grant.not_after.0.order),
                    by: Some(grant.not_after.0),
                });
            }
        }
        let mut part = Self { operations, steps, grants, needed_until: vec![0; holders.0.len()] };
        part.find_needed_until();
        Ok(part)
    }

    fn find_needed_until(&mut self) {
        for step in &self.steps {
            let last = step.by.map_or(step.from, |by| by.order);
            let mut need = |holder: u32| {
                if let Some(until) = self.needed_until.get_mut(holder as usize) {
                    *until = last.max(*until);
                }
            };
            need(step.holder);
            for_each_token(&step.effect, |token| {
                let grants = &self.grants;
                if let Ok(place) = grants.binary_search_by_key(&token, |grant| grant.token)
                    && let Some(holder) = grants[place].holder
                {
                    need(holder);
                }
            });
        }
    }

    pub(super) fn operation(&self, step: usize) -> &'h Operation {
        &self.operations[self.steps[step].operation]
    }

    /// Calls and returns of all steps, in real-time order.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(2 * self.steps.len());
        for (number, step) in self.steps.iter().enumerate() {
            let call = Moment { order: step.from, at: Instant::ZERO };
            events.push((call.order, false, number, call));
            if let Some(by) = step.by {
                events.push((by.order, true, number, by));
            }
        }
        // Calls come before returns of the same moment: then the two are concurrent.
        events.sort_unstable();
        let events = events.into_iter();
        events
            .map(
                |(_, returns, step, now)| {
                    if returns { Event::Return { step, now } } else { Event::Call { step } }
                },
            )
            .collect()
    }
}

/// Something that happens outside of the store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Call { step: usize },
    Return { step: usize, now: Moment },
}

/// Numbers the holders of one key, so that states are small.
#[derive(Default)]
struct Holders<'h>(HashMap<&'h Holder, u32>);

impl<'h> Holders<'h> {
    fn number(&mut self, holder: &'h Holder) -> u32 {
        let next = u32::try_from(self.0.len()).expect("fewer than 2^32 holders");
        *self.0.entry(holder).or_insert(next)
    }
}

/// What an operation did or saw: `Some(None)` when it tells nothing, none when the answer does not
/// belong to the call.
#[allow(clippy::option_option)] // Private, and three answers are what it has.
fn effect(operation: &Operation) -> Option<Option<Effect>> {
    if operation.returned.is_some_and(|returned| returned.order < operation.invoked.order) {
        return None;
    }
    let unanswered = matches!(operation.outcome, Outcome::Unknown | Outcome::Waiting);
    if operation.returned.is_none() && !unanswered {
        return None;
    }
    let promised = |ttl: Option<std::time::Duration>| {
        ttl.map_or(Instant::MAX, |ttl| operation.invoked.at.saturating_add(ttl))
    };
    let told = |valid_until: &Option<Instant>| valid_until.unwrap_or(Instant::MAX);
    let observe = Effect::Observe;
    let of_holder = |token| Target { token, of_holder: true, unseen: false };
    let effect = match (&operation.call, &operation.outcome) {
        (_, Outcome::Failed)
        | (
            Call::IsLocked | Call::IsHolder | Call::Inspect | Call::Watch,
            Outcome::Unknown | Outcome::Waiting,
        ) => return Some(None),
        (Call::Acquire { wait, .. }, Outcome::TimedOut) => {
            return (*wait != crate::history::Wait::No).then_some(None);
        }
        (Call::Acquire { mode, ttl, .. }, Outcome::Unknown | Outcome::Waiting) => {
            Effect::Grant { mode: *mode, token: None, valid_until: promised(*ttl) }
        }
        (Call::Acquire { mode, .. }, Outcome::Granted { token, valid_until }) => {
            Effect::Grant { mode: *mode, token: Some(*token), valid_until: told(valid_until) }
        }
        (Call::Acquire { .. }, Outcome::Refused) => observe(Observation::HeldByAnother),
        (Call::Release { token }, Outcome::Released | Outcome::Unknown | Outcome::Waiting) => {
            Effect::End(of_holder(*token))
        }
        (Call::Renew { token, .. }, Outcome::Renewed { valid_until }) => {
            Effect::Extend { target: of_holder(*token), valid_until: told(valid_until) }
        }
        (Call::Renew { token, ttl }, Outcome::Unknown | Outcome::Waiting) => {
            Effect::Extend { target: of_holder(*token), valid_until: promised(*ttl) }
        }
        (Call::Release { token } | Call::Renew { token, .. }, Outcome::NotHeld) => {
            observe(Observation::NotHeld(of_holder(*token)))
        }
        (Call::Break { token }, outcome) => {
            let target = Target { token: Some(*token), of_holder: false, unseen: false };
            match outcome {
                Outcome::Broken | Outcome::Unknown | Outcome::Waiting => Effect::End(target),
                Outcome::NotHeld => observe(Observation::NotHeld(target)),
                _ => return None,
            }
        }
        (Call::IsLocked, Outcome::Locked(locked)) => observe(Observation::Locked(*locked)),
        (Call::IsHolder, Outcome::Holding(holding)) => observe(Observation::Holding(*holding)),
        (Call::Inspect, Outcome::Holders(holders)) => {
            let mut tokens: Vec<Token> = holders.iter().map(|&(_, token)| token).collect();
            tokens.sort_unstable();
            observe(Observation::Exactly(tokens))
        }
        (Call::Watch, Outcome::Began { token }) => observe(Observation::Began(*token)),
        (Call::Watch, Outcome::Ended { token }) => observe(Observation::Ended(*token)),
        _ => return None,
    };
    Some(Some(effect))
}

/// The tokens that an effect cannot do without.
fn for_each_token(effect: &Effect, mut token: impl FnMut(Token)) {
    match effect {
        Effect::Grant { token: named, .. } => named.iter().copied().for_each(token),
        Effect::Extend { target, .. } | Effect::End(target) => {
            target.token.iter().copied().for_each(token);
        }
        Effect::Observe(Observation::Exactly(tokens)) => tokens.iter().copied().for_each(token),
        Effect::Observe(Observation::Began(named) | Observation::Ended(named)) => token(*named),
        Effect::Observe(
            Observation::Locked(_)
            | Observation::HeldByAnother
            | Observation::Holding(_)
            | Observation::NotHeld(_),
        ) => {}
    }
}

fn malformed(operation: &Operation) -> Violation {
    Violation {
        rule: Rule::Malformed,
        explanation: "the history has an answer that does not belong to its call".to_owned(),
        operations: vec![operation.clone()],
    }
}
