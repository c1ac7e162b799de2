//! One key of a correct store, and how far a search has come with it.

use lockstore::{Instant, Mode, Token};

use super::key::{Granted, Observation, Step, Target};

/// A state of the key, and which open steps have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Configuration {
    /// In order, so that equal states are equal.
    pub(super) holds: Vec<Hold>,
    /// How many of the key's grants were made.
    pub(super) granted: usize,
    /// Steps that happened and have not returned yet, in order.
    pub(super) done: Vec<usize>,
    /// Steps that never return and happened, in order.
    pub(super) used: Vec<usize>,
}

/// A grant that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hold {
    /// None for one whose token nobody was told.
    pub(super) token: Option<Token>,
    pub(super) holder: u32,
    pub(super) shared: bool,
    /// It does not expire before; [`Instant::MAX`] if never.
    pub(super) valid_until: Instant,
}

impl Hold {
    /// A grant of which nothing matters any more but that it holds: it may end at any time.
    pub(super) fn forgettable(mode: Mode) -> Self {
        Self::new(None, u32::MAX, mode, Instant::ZERO)
    }

    pub(super) fn new(token: Option<Token>, holder: u32, mode: Mode, valid_until: Instant) -> Self {
        Self { token, holder, shared: mode == Mode::Shared, valid_until }
    }

    /// Whether a grant to `holder` in `mode` has to wait for the end of this one.
    pub(super) fn excludes(&self, holder: u32, mode: Mode) -> bool {
        self.holder == holder || !self.shared || mode == Mode::Exclusive
    }

    pub(super) fn is(&self, target: Target, holder: u32) -> bool {
        let named = target.token.is_none() || target.token == self.token;
        (named || (target.unseen && self.token.is_none()))
            && (!target.of_holder || self.holder == holder)
    }
}

impl Configuration {
    pub(super) fn happened(&self, number: usize, step: &Step) -> bool {
        let list = if step.by.is_some() { &self.done } else { &self.used };
        list.binary_search(&number).is_ok()
    }

    pub(super) fn mark(&mut self, number: usize, step: &Step) {
        let list = if step.by.is_some() { &mut self.done } else { &mut self.used };
        if let Err(place) = list.binary_search(&number) {
            list.insert(place, number);
        }
    }

    pub(super) fn unmark(&mut self, number: usize) {
        if let Ok(place) = self.done.binary_search(&number) {
            self.done.remove(place);
        }
    }

    pub(super) fn add(&mut self, hold: Hold) {
        self.holds.push(hold);
        self.holds.sort_unstable();
    }

    pub(super) fn set_valid_until(&mut self, index: usize, valid_until: Instant) {
        self.holds[index].valid_until = valid_until;
        self.holds.sort_unstable();
    }

    pub(super) fn find(&self, target: Target, holder: u32) -> Option<usize> {
        self.holds.iter().position(|hold| hold.is(target, holder))
    }

    pub(super) fn has_made(&self, token: Token, grants: &[Granted]) -> bool {
        grants[..self.granted].binary_search_by_key(&token, |grant| grant.token).is_ok()
    }

    pub(super) fn satisfies(
        &self,
        observation: &Observation,
        holder: u32,
        grants: &[Granted],
    ) -> bool {
        let mut holds = self.holds.iter();
        match observation {
            Observation::Locked(locked) => self.holds.is_empty() != *locked,
            Observation::HeldByAnother => holds.any(|hold| hold.holder != holder),
            Observation::Holding(holding) => holds.any(|hold| hold.holder == holder) == *holding,
            Observation::NotHeld(target) => !holds.any(|hold| hold.is(*target, holder)),
            Observation::Exactly(tokens) => {
                self.holds.len() == tokens.len()
                    && holds.zip(tokens).all(|(hold, token)| hold.token == Some(*token))
            }
            Observation::Began(token) => self.has_made(*token, grants),
            Observation::Ended(token) => {
                self.has_made(*token, grants) && !holds.any(|hold| hold.token == Some(*token))
            }
        }
    }
}

/// Whether an observation that is not satisfied may become so by the end of `hold`.
pub(super) fn wants_gone(observation: &Observation, holder: u32, hold: &Hold) -> bool {
    match observation {
        Observation::Locked(locked) => !locked,
        Observation::Holding(holding) => !holding && hold.holder == holder,
        Observation::NotHeld(target) => hold.is(*target, holder),
        Observation::Exactly(tokens) => hold.token.is_none_or(|token| !tokens.contains(&token)),
        Observation::Ended(token) => hold.token == Some(*token),
        Observation::HeldByAnother | Observation::Began(_) => false,
    }
}
