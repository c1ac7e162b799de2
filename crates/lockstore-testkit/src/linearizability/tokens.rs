//! The grants of all keys, in the one order that their tokens give them.

use std::collections::{BTreeMap, HashMap};

use lockstore::{Holder, Key, Mode, Token};

use super::{Rule, Violation, involved};
use crate::history::{Call, Moment, Operation, Outcome};

/// All tokens that a history names as granted.
#[derive(Debug)]
pub(super) struct Tokens<'h> {
    grants: BTreeMap<Token, Grant<'h>>,
}

/// What is known of one grant.
#[derive(Debug)]
pub(super) struct Grant<'h> {
    pub(super) key: &'h Key,
    pub(super) holder: Option<&'h Holder>,
    pub(super) mode: Option<Mode>,
    /// Answered acquires that got it.
    acquires: u32,
    /// The call that can have been granted it first: its moment, and whose.
    first: Option<(u64, usize)>,
    /// Whether an unanswered acquire can have been granted it.
    unanswered: bool,
    /// The first return of an operation that names it: the moment, and whose.
    seen: (Moment, usize),
    /// The latest `first` of all tokens up to this one.
    pub(super) not_before: u64,
    /// The earliest `seen` of this token and all after it.
    pub(super) not_after: (Moment, usize),
}

impl Grant<'_> {
    /// Whether one answered acquire made the grant, so that its bounds are those of that acquire.
    pub(super) fn has_one_origin(&self) -> bool {
        self.acquires == 1 && !self.unanswered
    }

    /// Whether a token after this one was seen before this one was.
    pub(super) fn is_narrowed(&self) -> bool {
        self.not_after.0 < self.seen.0
    }
}

impl<'h> Tokens<'h> {
    pub(super) fn collect(operations: &'h [Operation]) -> Result<Self, Violation> {
        let mut tokens = Self { grants: BTreeMap::new() };
        for number in 0..operations.len() {
            for_each_named(&operations[number], |named| tokens.add(operations, number, named))?;
        }
        tokens.find_origins(operations)?;
        tokens.bound(operations)?;
        Ok(tokens)
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    pub(super) fn get(&self, token: Token) -> Option<&Grant<'h>> {
        self.grants.get(&token)
    }

    fn add(
        &mut self,
        operations: &'h [Operation],
        number: usize,
        named: &Named<'h>,
    ) -> Result<(), Violation> {
        let operation = &operations[number];
        let Some(returned) = operation.returned else {
            return Ok(());
        };
        let seen = (returned, number);
        let grant = self.grants.entry(named.token).or_insert_with(|| Grant {
            key: &operation.key,
            holder: None,
            mode: None,
            acquires: 0,
            first: None,
            unanswered: false,
            seen,
            not_before: 0,
            not_after: seen,
        });
        let same = *grant.key == operation.key
            && agree(&mut grant.holder, named.holder)
            && agree(&mut grant.mode, named.mode);
        if !same {
            return Err(Violation {
                rule: Rule::TokenReused,
                explanation: format!("token {} names two different grants", named.token),
                operations: involved(operations, &[grant.seen.1, number]),
            });
        }
        grant.seen = grant.seen.min(seen);
        if matches!(operation.outcome, Outcome::Granted { .. }) {
            grant.acquires += 1;
            let first = (operation.invoked.order, number);
            grant.first = Some(grant.first.map_or(first, |known| known.min(first)));
        }
        Ok(())
    }

    /// Lets unanswered acquires be the origin of whatever their holder was seen with.
    fn find_origins(&mut self, operations: &'h [Operation]) -> Result<(), Violation> {
        let mut by_holder: HashMap<(&Key, Option<&Holder>), (u64, usize)> = HashMap::new();
        for (number, operation) in operations.iter().enumerate() {
            if is_unanswered_acquire(operation) {
                let call = (operation.invoked.order, number);
                for holder in [None, Some(&operation.holder)] {
                    let first = by_holder.entry((&operation.key, holder)).or_insert(call);
                    *first = call.min(*first);
                }
            }
        }
        for (token, grant) in &mut self.grants {
            if let Some(&unanswered) = by_holder.get(&(grant.key, grant.holder)) {
                grant.unanswered = true;
                grant.first = Some(grant.first.map_or(unanswered, |known| known.min(unanswered)));
            }
            if grant.first.is_none() {
                return Err(Violation {
                    rule: Rule::TokenFromNowhere,
                    explanation: format!(
                        "nobody acquired anything that can have got token {token}"
                    ),
                    operations: involved(operations, &[grant.seen.1]),
                });
            }
        }
        Ok(())
    }

    /// Bounds each grant by those before and after it; see the module's documentation.
    fn bound(&mut self, operations: &[Operation]) -> Result<(), Violation> {
        let mut latest: Option<(u64, usize, Token)> = None;
        for (&token, grant) in &mut self.grants {
            if let Some((first, number, before)) = latest
                && first > grant.seen.0.order
            {
                return Err(Violation {
                    rule: Rule::TokensFall,
                    explanation: format!(
                        "token {token} was granted before token {before} was asked for, and is greater"
                    ),
                    operations: involved(operations, &[number, grant.seen.1]),
                });
            }
            if let Some((first, number)) = grant.first {
                latest = latest.max(Some((first, number, token)));
            }
            grant.not_before = latest.map_or(0, |(first, ..)| first);
        }
        let mut earliest: Option<(Moment, usize)> = None;
        for grant in self.grants.values_mut().rev() {
            let bound = earliest.map_or(grant.seen, |known| known.min(grant.seen));
            grant.not_after = bound;
            earliest = Some(bound);
        }
        Ok(())
    }
}

/// A token that an operation names as granted, and what it says of it.
struct Named<'h> {
    token: Token,
    holder: Option<&'h Holder>,
    mode: Option<Mode>,
}

fn for_each_named<'h>(
    operation: &'h Operation,
    mut name: impl FnMut(&Named<'h>) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let holder = Some(&operation.holder);
    let (token, holder, mode) = match (&operation.call, &operation.outcome) {
        (Call::Acquire { mode, .. }, Outcome::Granted { token, .. }) => {
            (*token, holder, Some(*mode))
        }
        (Call::Release { token: Some(token) }, Outcome::Released)
        | (Call::Renew { token: Some(token), .. }, Outcome::Renewed { .. }) => {
            (*token, holder, None)
        }
        (Call::Break { token }, Outcome::Broken)
        | (_, Outcome::Began { token } | Outcome::Ended { token }) => (*token, None, None),
        (_, Outcome::Holders(holders)) => {
            return holders.iter().try_for_each(|(holder, token)| {
                name(&Named { token: *token, holder: Some(holder), mode: None })
            });
        }
        _ => return Ok(()),
    };
    name(&Named { token, holder, mode })
}

/// Takes over what is said for the first time; false when it contradicts what is known.
fn agree<T: PartialEq + Copy>(known: &mut Option<T>, said: Option<T>) -> bool {
    match (*known, said) {
        (Some(known), Some(said)) => known == said,
        (None, Some(_)) => {
            *known = said;
            true
        }
        (_, None) => true,
    }
}

fn is_unanswered_acquire(operation: &Operation) -> bool {
    matches!(operation.call, Call::Acquire { .. })
        && matches!(operation.outcome, Outcome::Unknown | Outcome::Waiting)
}
