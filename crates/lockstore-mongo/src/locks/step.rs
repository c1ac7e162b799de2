//! What one call does to a lock, as it finds it.

use bson::Uuid;
use lockcore::{Command, Instant, Outcome, Refusal, Release};

use super::acquiring::{Acquiring, Willing};
use super::standing::Standing;
use super::stored::number_of;
use crate::time::Moment;

/// One step of a call: decided on how the lock stands, perhaps several times, and done once.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) does: Does,
    /// Whether an earlier attempt of the call may have been done unnoticed, or may be still: until the lock is written, for each rests on the very
    /// state that was seen.
    pub(super) is_uncertain: bool,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Does {
    /// Holds the lock, waits for it, keeps waiting, or leaves.
    Acquire { acquiring: Acquiring, willing: Willing },
    /// Begins a lease anew, or ends a grant.
    Ask { command: Command, request: Uuid },
    /// Ends a grant whose caller has given up, unless another call of its holder has joined it.
    HandOn { granted: Release, request: Uuid },
}

/// What a step has come to. What it tells is on most members.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// When the lock was seen on which it was decided.
    pub(super) moment: Moment,
    pub(super) decided: Result<Stands, Refusal>,
}

/// How the lock stands for a call whose step was not refused.
#[derive(Clone, Debug)]
pub(super) struct Stands {
    pub(super) outcome: Outcome,
    /// How many wait before it.
    pub(super) place: usize,
    /// When something of the lock runs out next, by the primary's time.
    pub(super) next_deadline: Option<Instant>,
}

impl Stands {
    /// Whether the call stands in the line, or was granted the lock.
    pub(super) fn has_something(&self) -> bool {
        match &self.outcome {
            Outcome::Waiting(_) => true,
            Outcome::Granted(granted) => !granted.rejoined,
            _ => false,
        }
    }
}

impl Does {
    /// The session that the call binds to the lock.
    pub(super) fn wanted_session(&self) -> Option<i64> {
        match self {
            Self::Acquire { acquiring, .. } => acquiring.wanted.session.map(number_of),
            Self::Ask { .. } | Self::HandOn { .. } => None,
        }
    }

    /// The call that it is a step of.
    pub(super) fn request(&self) -> Uuid {
        match self {
            Self::Acquire { acquiring, .. } => acquiring.request,
            Self::Ask { request, .. } | Self::HandOn { request, .. } => *request,
        }
    }

    /// Does it, as the lock stands.
    pub(super) fn decide(&self, standing: &mut Standing) -> Result<Outcome, Refusal> {
        match self {
            Self::Acquire { acquiring, willing } => acquiring.decide(standing, *willing),
            Self::Ask { command, request } => {
                // An attempt of which we were not told has done it.
                if standing.has_ended(*request) {
                    return Ok(Outcome::Ended);
                }
                standing.execute(command, *request)
            }
            Self::HandOn { granted, request } => standing.hand_on(granted, *request),
        }
    }

    /// Whether what it has come to without a write is told only if nothing newer is there.
    pub(super) fn rests_on_look(&self, decided: &Result<Outcome, Refusal>) -> bool {
        match (self, decided) {
            (Self::Acquire { .. }, Ok(Outcome::Granted(granted))) => granted.rejoined,
            (Self::Acquire { .. }, Ok(Outcome::Waiting(_)) | Err(_)) => false,
            _ => true,
        }
    }
}
