//! Says in words why a step cannot have happened.

use lockstore::{Instant, Token};

use super::key::{Effect, KeyHistory, Observation, Step, Target};
use super::state::{Configuration, Hold, wants_gone};
use super::{Rule, Violation, involved};

/// Why `number` cannot have returned at `now`, told of one of the states that were possible before.
pub(super) fn explain(
    key: &KeyHistory<'_>,
    before: &Configuration,
    number: usize,
    now: Instant,
) -> Violation {
    let case = Case { key, before, now };
    let step = &key.steps[number];
    match &step.effect {
        Effect::Grant { token: Some(token), .. } => case.grant(number, *token),
        Effect::Grant { token: None, .. } => unreachable!("an unanswered acquire does not return"),
        Effect::Extend { target, .. } | Effect::End(target) => case.not_holder(number, *target),
        Effect::Observe(observation) => case.observation(number, observation),
    }
}

struct Case<'c, 'h> {
    key: &'c KeyHistory<'h>,
    before: &'c Configuration,
    now: Instant,
}

impl Case<'_, '_> {
    fn grant(&self, number: usize, token: Token) -> Violation {
        let next = self.key.grants.get(self.before.granted);
        if next.is_none_or(|next| token < next.token) {
            let explanation = format!("token {token} was granted again after its grant had ended");
            return self.violation(Rule::TokenReused, &explanation, number, Some(token));
        }
        // The step that is stuck is the next grant of the key, which is this one or has to come before it.
        let stuck = next.map_or(token, |next| next.token);
        let step = self.step_granting(stuck).unwrap_or(number);
        let Effect::Grant { mode, .. } = self.key.steps[step].effect else {
            unreachable!("step_granting gives grants");
        };
        let holder = self.key.steps[step].holder;
        let mut holds = self.before.holds.iter();
        let Some(hold) = holds.find(|hold| hold.excludes(holder, mode)) else {
            let explanation = format!(
                "token {token} was granted, but the smaller token {stuck} of the same key cannot have been granted before"
            );
            return self.violation(Rule::TokensFall, &explanation, number, Some(stuck));
        };
        let rule = match self.fate(hold) {
            Fate::EndsLater | Fate::EndsNever => Rule::Overlap,
            Fate::Expires => Rule::EarlyExpiry,
        };
        let explanation =
            format!("token {stuck} was granted while {} still held{}", name(hold), until(hold));
        let mut violation = self.violation(rule, &explanation, step, hold.token);
        if step != number {
            violation.operations.push(self.key.operation(number).clone());
        }
        violation
    }

    fn not_holder(&self, number: usize, target: Target) -> Violation {
        let what = match target.token {
            Some(token) => format!("the grant with token {token}"),
            None => "a grant of its holder".to_owned(),
        };
        let explanation =
            format!("an operation succeeded on {what}, which did not hold at any time of it");
        let other = target.token.or(self.before.holds.first().and_then(|hold| hold.token));
        let mut violation = self.violation(Rule::NotHolder, &explanation, number, other);
        let witness = target.token.and_then(|token| self.witness(number, token));
        violation.operations.extend(witness.map(|step| self.key.operation(step).clone()));
        violation
    }

    /// The last operation before `number` returned that shows that the grant did not hold.
    fn witness(&self, number: usize, token: Token) -> Option<usize> {
        let grants = &self.key.grants;
        let place = grants.binary_search_by_key(&token, |grant| grant.token);
        let grant = grants[place.ok()?];
        let hold = Hold::new(Some(token), grant.holder?, grant.mode?, Instant::MAX);
        let shows = |step: &Step| match &step.effect {
            Effect::Grant { mode, token, .. } => {
                *token > hold.token && hold.excludes(step.holder, *mode)
            }
            Effect::Observe(observation) => wants_gone(observation, step.holder, &hold),
            Effect::End(target) => hold.is(*target, step.holder),
            Effect::Extend { .. } => false,
        };
        let before = self.key.steps[number].by;
        let steps = self.key.steps.iter().enumerate();
        let witnesses = steps.filter(|(other, step)| {
            *other != number && step.by.is_some() && step.by < before && shows(step)
        });
        witnesses.max_by_key(|(_, step)| step.by).map(|(step, _)| step)
    }

    fn observation(&self, number: usize, observation: &Observation) -> Violation {
        let step = &self.key.steps[number];
        if let Observation::Began(token) = observation {
            return self.not_begun(number, *token);
        }
        let holder = step.holder;
        let mut holds = self.before.holds.iter();
        if let Some(hold) = holds.find(|hold| wants_gone(observation, holder, hold)) {
            let rule = match self.fate(hold) {
                Fate::EndsLater => Rule::StaleRead,
                Fate::Expires => Rule::EarlyExpiry,
                Fate::EndsNever => Rule::LostGrant,
            };
            let explanation = format!(
                "an operation was told that {} did not hold, which held all that time{}",
                name(hold),
                until(hold)
            );
            return self.violation(rule, &explanation, number, hold.token);
        }
        let explanation = if let Observation::Exactly(tokens) = observation {
            format!(
                "an operation saw {tokens:?} hold, which at no time of it did so alone and together"
            )
        } else {
            "an operation was told that the key is held, and at no time of it was that so"
                .to_owned()
        };
        let last = self.before.granted.checked_sub(1);
        let last = last.map(|last| self.key.grants[last].token);
        self.violation(Rule::StaleRead, &explanation, number, last)
    }

    /// The grant was seen, or one with a greater token was, and yet it cannot have been made.
    fn not_begun(&self, number: usize, token: Token) -> Violation {
        let mut violation = match self.step_granting(token) {
            Some(step) => self.grant(step, token),
            None => self.violation(
                Rule::StaleRead,
                &format!("token {token} was seen before it can have been granted"),
                number,
                None,
            ),
        };
        violation.explanation += "; by then it, or a greater token, had been seen";
        violation.operations.push(self.key.operation(number).clone());
        violation
    }

    /// How a grant that holds comes to its end in the rest of the history.
    fn fate(&self, hold: &Hold) -> Fate {
        let answered = self.key.steps.iter().filter(|step| step.by.is_some());
        let mut later = answered.filter(|step| step.by.is_some_and(|by| by.at >= self.now));
        let named_later = later.any(|step| match &step.effect {
            Effect::End(target) | Effect::Extend { target, .. } => {
                target.token.is_some() && hold.is(*target, step.holder)
            }
            Effect::Grant { .. } | Effect::Observe(_) => false,
        });
        if named_later {
            Fate::EndsLater
        } else if hold.valid_until == Instant::MAX {
            Fate::EndsNever
        } else {
            Fate::Expires
        }
    }

    /// The step that was answered with the token first.
    fn step_granting(&self, token: Token) -> Option<usize> {
        let grants = |step: &Step| matches!(step.effect, Effect::Grant { token: Some(granted), .. } if granted == token);
        self.key.steps.iter().position(grants)
    }

    /// A violation shown by a step, and by the operations on one grant.
    fn violation(
        &self,
        rule: Rule,
        explanation: &str,
        number: usize,
        token: Option<Token>,
    ) -> Violation {
        let mut numbers = vec![self.key.steps[number].operation];
        if let Some(token) = token {
            let about = self.key.steps.iter().filter(|step| is_about(&step.effect, token));
            numbers.extend(about.take(OPERATIONS_MAX).map(|step| step.operation));
        }
        Violation {
            rule,
            explanation: format!("{explanation} (at {} ns)", self.now.as_nanos()),
            operations: involved(self.key.operations, &numbers),
        }
    }
}

enum Fate {
    /// A release, break or renewal of it succeeds later.
    EndsLater,
    /// Nothing is told of it again, and its lease ends.
    Expires,
    /// Nothing is told of it again, and it has no lease.
    EndsNever,
}

/// Whether an effect made, moved or ended the grant.
fn is_about(effect: &Effect, about: Token) -> bool {
    match effect {
        Effect::Grant { token, .. } => *token == Some(about),
        Effect::Extend { target, .. } | Effect::End(target) => target.token == Some(about),
        Effect::Observe(_) => false,
    }
}

fn name(hold: &Hold) -> String {
    match hold.token {
        Some(token) => format!("token {token}"),
        None => "a grant that was never answered".to_owned(),
    }
}

fn until(hold: &Hold) -> String {
    if hold.valid_until == Instant::MAX {
        return String::new();
    }
    format!(", until {} ns at least", hold.valid_until.as_nanos())
}

/// Of the operations on one grant, so many are shown.
const OPERATIONS_MAX: usize = 8;
