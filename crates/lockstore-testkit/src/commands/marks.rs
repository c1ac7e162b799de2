//! What a run has come by.

use std::collections::BTreeMap;

use lockcore::{Change, EndCause, LeaveCause, Limit, Outcome, Refusal, Transition};

/// How often each kind of answer was seen, so that a test can tell that none was missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<&'static str, u64>);

impl Marks {
    /// How often `mark` was seen; for example `"ended: broken"` or `"refused: held"`.
    pub fn count(&self, mark: &str) -> u64 {
        self.0.get(mark).copied().unwrap_or(0)
    }

    /// All that were seen, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(mark, count)| (*mark, *count))
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (mark, count) in other.iter() {
            *self.0.entry(mark).or_default() += count;
        }
    }

    pub(super) fn add(&mut self, mark: &'static str) {
        *self.0.entry(mark).or_default() += 1;
    }

    pub(super) fn see(&mut self, answer: &Result<Transition, Refusal>) {
        match answer {
            Ok(transition) => {
                self.add(of_outcome(&transition.outcome));
                for change in &transition.changes {
                    self.add(of_change(change));
                }
            }
            Err(refusal) => self.add(of_refusal(refusal)),
        }
    }
}

fn of_outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Granted(granted) if granted.rejoined => "answer: rejoined",
        Outcome::Granted(_) => "answer: granted",
        Outcome::Waiting(_) => "answer: waiting",
        Outcome::Free => "answer: free",
        Outcome::Cancelled => "answer: cancelled",
        Outcome::Renewed(_) => "answer: renewed",
        Outcome::Ended => "answer: ended",
        Outcome::SessionOpened(_) => "answer: session opened",
        Outcome::SessionLost => "answer: session lost",
        Outcome::SessionTakenUp => "answer: session taken up",
        Outcome::SessionClosing => "answer: session closing",
        Outcome::SessionClosed => "answer: session closed",
    }
}

fn of_change(change: &Change) -> &'static str {
    match change {
        Change::Granted { waiter: None, .. } => "granted",
        Change::Granted { waiter: Some(_), .. } => "granted: to a waiter",
        Change::Renewed { waiter: None, .. } => "renewed",
        Change::Renewed { waiter: Some(_), .. } => "renewed: joined by a waiter",
        Change::Ended { cause, .. } => match cause {
            EndCause::Released => "ended: released",
            EndCause::Expired => "ended: expired",
            EndCause::Broken => "ended: broken",
            EndCause::SessionEnded => "ended: session ended",
        },
        Change::Queued { .. } => "queued",
        Change::Left { cause, .. } => match cause {
            LeaveCause::Free => "left: free",
            LeaveCause::TimedOut => "left: timed out",
            LeaveCause::Cancelled => "left: cancelled",
            LeaveCause::SessionEnded => "left: session ended",
        },
        Change::SessionOpened { .. } => "session opened",
        Change::SessionLost { .. } => "session lost",
        Change::SessionTakenUp { .. } => "session taken up",
        Change::SessionClosing { .. } => "session closing",
        Change::SessionClosed { .. } => "session closed",
    }
}

fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Held(_) => "refused: held",
        Refusal::OtherMode { .. } => "refused: other mode",
        Refusal::OtherSession { .. } => "refused: other session",
        Refusal::NotHeld => "refused: not held",
        Refusal::HeldByOther(_) => "refused: held by other",
        Refusal::OtherToken { .. } => "refused: other token",
        Refusal::UnknownWaiter => "refused: unknown waiter",
        Refusal::UnknownSession => "refused: unknown session",
        Refusal::NotDue => "refused: not due",
        Refusal::LimitReached { limit, .. } => match limit {
            Limit::Locks => "refused: limit of locks",
            Limit::WaitersPerLock => "refused: limit of waiters of a lock",
            Limit::Waiters => "refused: limit of waiters",
            Limit::Sessions => "refused: limit of sessions",
            Limit::LocksPerSession => "refused: limit of a session",
        },
    }
}
