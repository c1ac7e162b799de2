//! Looks for a legal order of the steps of one key.

use std::collections::HashSet;

use lockstore::{Instant, Mode, Token};

use crate::history::Moment;

use super::Violation;
use super::explain::explain;
use super::key::{Effect, Event, KeyHistory, Observation, Step, Target};
use super::state::{Configuration, Hold, wants_gone};
use super::unanswered::{ClassEnd, without_dominated};

pub(super) struct Search<'k, 'h> {
    pub(super) key: &'k KeyHistory<'h>,
    configurations_max: usize,
    /// Steps that were called and have not returned; those that never do stay.
    pub(super) open: Vec<usize>,
    /// What may be, given all that returned so far. Never empty.
    pub(super) configurations: Vec<Configuration>,
}

/// What a search found.
#[derive(Debug)]
pub(super) enum Verdict {
    Legal,
    Illegal(Box<Violation>),
    /// More configurations than allowed.
    Undecided,
}

impl<'k, 'h> Search<'k, 'h> {
    pub(super) fn new(key: &'k KeyHistory<'h>, configurations_max: usize) -> Self {
        Self {
            key,
            configurations_max,
            open: Vec::new(),
            configurations: vec![Configuration::default()],
        }
    }

    pub(super) fn run(mut self) -> Verdict {
        for event in self.key.events() {
            match event {
                Event::Call { step } => self.call(step),
                Event::Return { step, now } => {
                    let Some(next) = self.after_return(step, now) else {
                        return Verdict::Undecided;
                    };
                    if next.is_empty() {
                        let before = &self.configurations[0];
                        let violation = explain(self.key, before, step, now.at);
                        return Verdict::Illegal(Box::new(violation));
                    }
                    self.configurations = next;
                    self.open.retain(|&open| open != step);
                    self.forget_spent(now);
                }
            }
        }
        Verdict::Legal
    }

    fn call(&mut self, number: usize) {
        self.open.push(number);
        let step = &self.key.steps[number];
        if let Effect::Observe(observation) = &step.effect {
            for configuration in &mut self.configurations {
                if configuration.satisfies(observation, step.holder, &self.key.grants) {
                    configuration.mark(number, step);
                }
            }
        }
    }

    /// The configurations in which `step` happened by `now`, when it returned; none when they are too many.
    fn after_return(&mut self, step: usize, now: Moment) -> Option<Vec<Configuration>> {
        let mut seen: HashSet<Configuration> = HashSet::new();
        let mut found: HashSet<Configuration> = HashSet::new();
        let mut stack = self.configurations.clone();
        while let Some(mut configuration) = stack.pop() {
            if configuration.happened(step, &self.key.steps[step]) {
                configuration.unmark(step);
                found.insert(configuration);
                continue;
            }
            let mut moves = Moves {
                search: self,
                from: &configuration,
                returning: step,
                now,
                found: Vec::new(),
            };
            moves.collect();
            for mut next in moves.found {
                self.observe(&mut next);
                if seen.insert(next.clone()) {
                    stack.push(next);
                }
            }
            if seen.len() + found.len() > self.configurations_max {
                return None;
            }
        }
        Some(without_dominated(found))
    }

    /// Takes every open observation that the state satisfies.
    fn observe(&self, configuration: &mut Configuration) {
        for &number in &self.open {
            let step = &self.key.steps[number];
            if let Effect::Observe(observation) = &step.effect
                && !configuration.happened(number, step)
                && configuration.satisfies(observation, step.holder, &self.key.grants)
            {
                configuration.mark(number, step);
            }
        }
    }
}

/// The configurations one step away from another, before `returning` has happened.
pub(super) struct Moves<'s, 'k, 'h> {
    pub(super) search: &'s Search<'k, 'h>,
    from: &'s Configuration,
    returning: usize,
    pub(super) now: Moment,
    found: Vec<Configuration>,
}

impl Moves<'_, '_, '_> {
    fn collect(&mut self) {
        for index in 0..self.from.holds.len() {
            let hold = &self.from.holds[index];
            if hold.valid_until <= self.now.at && self.is_unwanted(hold) {
                let mut next = self.from.clone();
                next.holds.remove(index);
                self.found.push(next);
            }
        }
        let open: Vec<usize> = self.pending().map(|(number, _)| number).collect();
        for number in open {
            let step = &self.search.key.steps[number];
            match &step.effect {
                Effect::Observe(_) => {}
                Effect::End(target) => self.end(number, step, *target),
                Effect::Extend { target, valid_until } => {
                    self.extend(number, step, *target, *valid_until);
                }
                Effect::Grant { mode, token: Some(token), valid_until } => {
                    self.grant(number, step, *mode, *token, *valid_until);
                }
                Effect::Grant { mode, token: None, valid_until } => {
                    self.grant_unanswered(number, step, *mode, *valid_until);
                }
            }
        }
    }

    fn end(&mut self, number: usize, step: &Step, target: Target) {
        let Some(index) = self.from.find(target, step.holder) else {
            return;
        };
        if number == self.returning || self.is_unwanted(&self.from.holds[index]) {
            self.push(number, step, |next| {
                next.holds.remove(index);
            });
        }
    }

    fn extend(&mut self, number: usize, step: &Step, target: Target, valid_until: Instant) {
        let Some(index) = self.from.find(target, step.holder) else {
            return;
        };
        let hold = &self.from.holds[index];
        let worth_it = if step.by.is_some() {
            number == self.returning || self.may_end(hold)
        } else {
            // Nobody was promised the time that a renewal without an answer adds; but it may shorten.
            valid_until < hold.valid_until && self.is_unwanted(hold)
        };
        if worth_it {
            self.push(number, step, |next| {
                next.set_valid_until(index, valid_until);
            });
        }
    }

    fn grant(
        &mut self,
        number: usize,
        step: &Step,
        mode: Mode,
        token: Token,
        valid_until: Instant,
    ) {
        let grants = &self.search.key.grants;
        if grants.get(self.from.granted).map(|next| next.token) == Some(token) {
            if self.is_free_for(step.holder, mode) {
                self.push(number, step, |next| {
                    next.granted += 1;
                    next.add(Hold::new(Some(token), step.holder, mode, valid_until));
                });
            }
            return;
        }
        let target = Target { token: Some(token), of_holder: true, unseen: false };
        self.extend(number, step, target, valid_until);
    }

    fn grant_unanswered(&mut self, number: usize, step: &Step, mode: Mode, valid_until: Instant) {
        let own = Target { token: None, of_holder: true, unseen: false };
        if let Some(index) = self.from.find(own, step.holder) {
            // In another mode it is an error, which changes nothing.
            if self.from.holds[index].shared == (mode == Mode::Shared) {
                self.extend(number, step, own, valid_until);
            }
            return;
        }
        if !self.is_free_for(step.holder, mode) {
            return;
        }
        let hold = |token| Hold::new(token, step.holder, mode, valid_until);
        if let Some(next) = self.search.key.grants.get(self.from.granted)
            && next.holder.is_none_or(|holder| holder == step.holder)
            && next.mode.is_none_or(|known| known == mode)
        {
            self.push(number, step, |configuration| {
                configuration.granted += 1;
                configuration.add(hold(Some(next.token)));
            });
        }
        if !self.is_missed(step.holder) {
            return;
        }
        let Some(class) = self.class(step) else {
            self.push(number, step, |next| next.add(hold(None)));
            return;
        };
        let first = self.pending().find(|(_, other)| self.class(other) == Some(class));
        if first.is_some_and(|(first, _)| first == number) {
            let hold = match class.end {
                ClassEnd::AnyTime => Hold::forgettable(mode),
                ClassEnd::NotBefore(_) => hold(None),
            };
            self.push(number, step, |next| next.add(hold));
        }
    }

    fn push(&mut self, number: usize, step: &Step, change: impl FnOnce(&mut Configuration)) {
        let mut next = self.from.clone();
        change(&mut next);
        next.mark(number, step);
        self.found.push(next);
    }

    /// Open steps that have not happened.
    pub(super) fn pending(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.search.open.iter().filter_map(|&number| {
            let step = &self.search.key.steps[number];
            (!self.from.happened(number, step)).then_some((number, step))
        })
    }

    fn is_free_for(&self, holder: u32, mode: Mode) -> bool {
        !self.from.holds.iter().any(|hold| hold.excludes(holder, mode))
    }

    /// Whether some open step cannot happen while `hold` does.
    fn is_unwanted(&self, hold: &Hold) -> bool {
        self.pending().any(|(_, step)| match &step.effect {
            Effect::Grant { mode, token, .. } => {
                hold.excludes(step.holder, *mode) && (token.is_none() || *token != hold.token)
            }
            Effect::Observe(observation) => wants_gone(observation, step.holder, hold),
            Effect::Extend { .. } | Effect::End(_) => false,
        })
    }

    /// Whether something may end `hold`, so that what needs it has to come first.
    fn may_end(&self, hold: &Hold) -> bool {
        self.is_unwanted(hold)
            || self.pending().any(|(_, step)| match &step.effect {
                Effect::End(target) => hold.is(*target, step.holder),
                Effect::Grant { .. } | Effect::Extend { .. } | Effect::Observe(_) => false,
            })
    }

    /// Whether some open step needs a grant of `holder` that nobody was told the token of.
    fn is_missed(&self, holder: u32) -> bool {
        self.pending().any(|(_, step)| match &step.effect {
            Effect::Observe(Observation::Locked(locked)) => *locked,
            Effect::Observe(Observation::HeldByAnother) => step.holder != holder,
            Effect::Observe(Observation::Holding(holding)) => *holding && step.holder == holder,
            Effect::Observe(
                Observation::NotHeld(_)
                | Observation::Exactly(_)
                | Observation::Began(_)
                | Observation::Ended(_),
            )
            | Effect::Grant { .. } => false,
            Effect::Extend { target, .. } | Effect::End(target) => {
                target.token.is_none() && step.holder == holder && step.by.is_some()
            }
        })
    }
}
