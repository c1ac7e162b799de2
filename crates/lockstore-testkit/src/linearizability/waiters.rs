//! Waiters that nobody woke.
//!
//! A lock was *surely free* at times at which no grant can have held, however late each release is
//! taken to have happened, and however early each grant. Who waits for longer than the slack while a
//! lock is surely free was forgotten.

use std::collections::HashMap;
use std::time::Duration;

use lockstore::{Instant, Mode, Token};

use super::key::{Effect, KeyHistory, Step, Target};
use super::{Rule, Violation};
use crate::history::{Call, Moment, Operation, Outcome, Wait};

pub(super) fn check(
    key: &KeyHistory<'_>,
    numbers: &[usize],
    slack: Duration,
    ended: Moment,
) -> Result<(), Violation> {
    let mut gaps: Option<Vec<Interval>> = None;
    for &number in numbers {
        let operation = &key.operations[number];
        let Call::Acquire { wait, .. } = operation.call else {
            continue;
        };
        let waited =
            Interval { from: operation.invoked.at, to: operation.returned.unwrap_or(ended).at };
        let knows_its_end = operation.returned.is_some() || operation.outcome == Outcome::Waiting;
        if knows_its_end {
            overdue(operation, wait, waited, slack)?;
        }
        if !matches!(operation.outcome, Outcome::TimedOut | Outcome::Waiting) {
            continue;
        }
        let gaps = gaps.get_or_insert_with(|| free(key, slack, ended));
        // Gaps are in order and apart; of those that reach into the wait, one may be long enough.
        let first = gaps.partition_point(|gap| gap.to <= waited.from);
        let reaching = gaps[first..].iter().take_while(|gap| gap.from < waited.to);
        if let Some(gap) = reaching.map(|gap| gap.within(waited)).find(|gap| gap.length() > slack) {
            return Err(Violation {
                rule: Rule::LostWaiter,
                explanation: format!(
                    "a waiter was not served although nobody held the lock from {} ns to {} ns, for {:?}",
                    gap.from.as_nanos(),
                    gap.to.as_nanos(),
                    gap.length()
                ),
                operations: around(key, operation, gap),
            });
        }
    }
    Ok(())
}

fn overdue(
    operation: &Operation,
    wait: Wait,
    waited: Interval,
    slack: Duration,
) -> Result<(), Violation> {
    let patience = match wait {
        Wait::No => Duration::ZERO,
        Wait::For(patience) => patience,
        Wait::Forever => return Ok(()),
    };
    if waited.length() <= patience.saturating_add(slack) {
        return Ok(());
    }
    Err(Violation {
        rule: Rule::Overdue,
        explanation: format!(
            "an acquire that was to wait for {patience:?} took {:?}",
            waited.length()
        ),
        operations: vec![operation.clone()],
    })
}

/// The waiter, and the last operation that ended a grant before the gap.
fn around(key: &KeyHistory<'_>, waiter: &Operation, gap: Interval) -> Vec<Operation> {
    let ends = key.steps.iter().filter(|step| matches!(step.effect, Effect::End(_)));
    let ends = ends.filter(|step| step.by.is_some_and(|by| by.at <= gap.from));
    let last = ends.max_by_key(|step| step.by);
    let last = last.map(|step| key.operations[step.operation].clone());
    last.into_iter().chain([waiter.clone()]).collect()
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    from: Instant,
    to: Instant,
}

impl Interval {
    fn length(self) -> Duration {
        self.to.saturating_since(self.from)
    }

    fn within(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }
}

/// When the lock was surely free, in order; pieces not longer than the slack are left out.
fn free(key: &KeyHistory<'_>, slack: Duration, ended: Moment) -> Vec<Interval> {
    let mut held = held(key, slack);
    held.sort_unstable_by_key(|interval| interval.from);
    let mut gaps = Vec::new();
    let mut free_from = Instant::ZERO;
    let end = Interval { from: ended.at, to: Instant::MAX };
    for interval in held.into_iter().chain([end]) {
        let gap = Interval { from: free_from, to: interval.from };
        if gap.length() > slack {
            gaps.push(gap);
        }
        free_from = free_from.max(interval.to);
    }
    gaps
}

/// When each grant can have held. One that nobody ended can have held until its lease and the slack
/// are over, or until a later grant shows that it had ended.
fn held(key: &KeyHistory<'_>, slack: Duration) -> Vec<Interval> {
    let mut spans = Spans::new(key);
    for step in &key.steps {
        spans.add(step);
    }
    spans.end_by_renewals_and_releases();
    spans.end_by_later_grants(slack);
    spans.intervals
}

/// The grants of a key with the time each can have held.
struct Spans<'k, 'h> {
    key: &'k KeyHistory<'h>,
    /// One for each grant, then those of acquires without an answer.
    intervals: Vec<Interval>,
    /// By when each was granted.
    granted_by: Vec<Option<Moment>>,
    ended_by: Vec<Instant>,
    /// Each holder's grants, by token.
    of_holder: HashMap<u32, Vec<usize>>,
}

impl<'k, 'h> Spans<'k, 'h> {
    fn new(key: &'k KeyHistory<'h>) -> Self {
        let mut of_holder: HashMap<u32, Vec<usize>> = HashMap::new();
        for (index, grant) in key.grants.iter().enumerate() {
            if let Some(holder) = grant.holder {
                of_holder.entry(holder).or_default().push(index);
            }
        }
        let never = Interval { from: Instant::MAX, to: Instant::ZERO };
        Self {
            key,
            intervals: vec![never; key.grants.len()],
            granted_by: vec![None; key.grants.len()],
            ended_by: vec![Instant::MAX; key.grants.len()],
            of_holder,
        }
    }

    fn add(&mut self, step: &Step) {
        let Effect::Grant { token, valid_until, .. } = step.effect else {
            return;
        };
        let operation = &self.key.operations[step.operation];
        if let Some(grant) = token.and_then(|token| self.place(token)) {
            let interval = &mut self.intervals[grant];
            interval.from = interval.from.min(operation.invoked.at);
            interval.to = interval.to.max(valid_until);
            self.granted_by[grant] = earlier(self.granted_by[grant], step.by);
        } else if operation.outcome != Outcome::Waiting {
            // One that still waits was told nothing, and is a waiter itself; this one may hold for ever.
            self.intervals.push(Interval { from: operation.invoked.at, to: Instant::MAX });
        }
    }

    fn end_by_renewals_and_releases(&mut self) {
        for step in &self.key.steps {
            match &step.effect {
                Effect::Extend { target, valid_until } => {
                    for grant in self.candidates(*target, step) {
                        let interval = &mut self.intervals[grant];
                        interval.to = interval.to.max(*valid_until);
                    }
                }
                Effect::End(target) => {
                    // If it ended a later one, the first candidate had ended before.
                    let first = self.candidates(*target, step).into_iter().next();
                    if let (Some(grant), Some(by)) = (first, step.by)
                        && (target.token.is_some() || self.was_granted_before(grant, step))
                    {
                        self.ended_by[grant] = self.ended_by[grant].min(by.at);
                    }
                }
                Effect::Grant { .. } | Effect::Observe(_) => {}
            }
        }
    }

    fn end_by_later_grants(&mut self, slack: Duration) {
        let mut any: Option<Moment> = None;
        let mut exclusive: Option<Moment> = None;
        for (index, grant) in self.key.grants.iter().enumerate().rev() {
            let successor = match grant.mode {
                Some(Mode::Exclusive) => any,
                Some(Mode::Shared) | None => exclusive,
            };
            let interval = &mut self.intervals[index];
            interval.to = interval
                .to
                .saturating_add(slack)
                .min(self.ended_by[index])
                .min(successor.map_or(Instant::MAX, |by| by.at));
            any = earlier(any, self.granted_by[index]);
            if grant.mode == Some(Mode::Exclusive) {
                exclusive = earlier(exclusive, self.granted_by[index]);
            }
        }
    }

    /// The grants that a step can be about, in order.
    fn candidates(&self, target: Target, step: &Step) -> Vec<usize> {
        if let Some(token) = target.token {
            return self.place(token).into_iter().collect();
        }
        let Some(grants) = self.of_holder.get(&step.holder) else {
            return Vec::new();
        };
        let before = grants.partition_point(|&grant| self.was_granted_before(grant, step));
        let later = grants[before..].iter().take_while(|&&grant| {
            let from = self.intervals[grant].from;
            step.by.is_none_or(|by| from <= by.at)
        });
        let last_before = before.checked_sub(1).map(|last| grants[last]);
        last_before.into_iter().chain(later.copied()).collect()
    }

    fn was_granted_before(&self, grant: usize, step: &Step) -> bool {
        self.granted_by[grant].is_some_and(|by| by.order < step.from)
    }

    fn place(&self, token: Token) -> Option<usize> {
        let grants = &self.key.grants;
        grants.binary_search_by_key(&token, |grant| grant.token).ok()
    }
}

fn earlier(known: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    known.into_iter().chain(other).min()
}
