//! Operations without an answer: each may happen at any later time, or never, so what cannot matter
//! any more is left out.

use std::collections::{HashMap, HashSet};

use lockstore::{Instant, Mode};

use super::key::{Effect, Step};
use super::search::{Moves, Search};
use super::state::{Configuration, Hold};
use crate::history::Moment;

impl Search<'_, '_> {
    /// Whether it still matters to anybody what this holder holds.
    pub(super) fn is_needed(&self, holder: u32, now: Moment) -> bool {
        self.key.needed_until[holder as usize] >= now.order
    }

    /// Forgets steps without an answer that can do nothing any more.
    pub(super) fn forget_spent(&mut self, now: Moment) {
        let spent: Vec<usize> =
            self.open.iter().copied().filter(|&number| self.is_spent(number, now)).collect();
        if spent.is_empty() {
            return;
        }
        self.open.retain(|step| !spent.contains(step));
        for configuration in &mut self.configurations {
            configuration.used.retain(|step| !spent.contains(step));
        }
        let configurations = std::mem::take(&mut self.configurations);
        self.configurations = without_dominated(configurations.into_iter().collect());
    }

    fn is_spent(&self, number: usize, now: Moment) -> bool {
        let step = &self.key.steps[number];
        if step.by.is_some() || self.is_needed(step.holder, now) {
            return false;
        }
        let mut all = self.configurations.iter();
        match &step.effect {
            Effect::Grant { .. } => all.all(|it| it.happened(number, step)),
            Effect::Extend { target, .. } | Effect::End(target) if target.of_holder => {
                let mut open = self.open.iter().map(|&other| &self.key.steps[other]);
                let never_again = !open.any(|other| match other.effect {
                    Effect::Grant { valid_until, .. } => {
                        other.holder == step.holder && valid_until > now.at
                    }
                    Effect::Extend { .. } | Effect::End(_) | Effect::Observe(_) => false,
                });
                never_again && all.all(|it| it.holds.iter().all(|hold| hold.holder != step.holder))
            }
            Effect::Extend { target, .. } | Effect::End(target) => all.all(|it| {
                it.find(*target, step.holder).is_none()
                    && target.token.is_some_and(|token| it.has_made(token, &self.key.grants))
            }),
            Effect::Observe(_) => false,
        }
    }
}

impl Moves<'_, '_, '_> {
    /// What can be told of an unanswered acquire whose holder nobody asks for any more.
    pub(super) fn class(&self, step: &Step) -> Option<Class> {
        let Effect::Grant { mode, token: None, valid_until } = step.effect else {
            return None;
        };
        if self.search.is_needed(step.holder, self.now) {
            return None;
        }
        let nameless = Hold::new(None, step.holder, mode, valid_until);
        let mut may_be_ended = false;
        for (_, other) in self.pending() {
            match &other.effect {
                Effect::End(target) => {
                    // A break without a holder may hit any of the class.
                    may_be_ended |= target.of_holder && nameless.is(*target, other.holder);
                }
                // It may shorten this one and no other.
                Effect::Extend { target, .. } if nameless.is(*target, other.holder) => return None,
                Effect::Grant { .. } | Effect::Extend { .. } | Effect::Observe(_) => {}
            }
        }
        let end = if valid_until <= self.now.at {
            ClassEnd::AnyTime
        } else {
            ClassEnd::NotBefore(valid_until)
        };
        Some(Class {
            shared: mode == Mode::Shared,
            may_be_ended: end != ClassEnd::AnyTime && may_be_ended,
            end,
        })
    }
}

/// Unanswered acquires of one class can stand in for each other, so one of them is tried for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    shared: bool,
    /// By an unanswered release.
    may_be_ended: bool,
    pub(super) end: ClassEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassEnd {
    AnyTime,
    /// [`Instant::MAX`]: not by expiry.
    NotBefore(Instant),
}

/// Drops configurations that differ from another only in having used up more unanswered steps.
pub(super) fn without_dominated(found: HashSet<Configuration>) -> Vec<Configuration> {
    let mut best: HashMap<Configuration, Vec<Vec<usize>>> = HashMap::new();
    for mut configuration in found {
        let used = std::mem::take(&mut configuration.used);
        let others = best.entry(configuration).or_default();
        if others.iter().any(|other| is_subset(other, &used)) {
            continue;
        }
        others.retain(|other| !is_subset(&used, other));
        others.push(used);
    }
    let mut kept: Vec<Configuration> = best
        .into_iter()
        .flat_map(|(configuration, uses)| {
            uses.into_iter().map(move |used| Configuration { used, ..configuration.clone() })
        })
        .collect();
    // Hash order must not decide what an explanation says.
    kept.sort_unstable_by(|a, b| (&a.used, &a.done, &a.holds).cmp(&(&b.used, &b.done, &b.holds)));
    kept
}

fn is_subset(small: &[usize], large: &[usize]) -> bool {
    small.iter().all(|step| large.binary_search(step).is_ok())
}
