//! What one call does to a lock, as it finds it.

use bson::Uuid;
use lockcore::{Command, Holder, Instant, Key, Outcome, Refusal, Release, Token};

use super::acquiring::{Acquiring, Willing};
use super::lock_document::StoredGrant;
use super::standing::Standing;
use super::stored::{number, number_of};
use crate::time::Moment;

/// One step of a call: decided on how the lock stands, perhaps several times, and done once.
#[derive(Debug)]
pub(super) enum Step {
    /// Holds the lock, waits for it, keeps waiting, or leaves.
    Acquire {
        acquiring: Acquiring,
        willing: Willing,
        /// Whether an earlier step may have been done unnoticed.
        is_uncertain: bool,
    },
    /// Begins a lease anew, or ends a grant.
    Ask { command: Command, request: Uuid },
    /// Ends a grant whose caller has given up, unless another call of its holder has joined it.
    HandOn { key: Key, holder: Holder, token: Token, request: Uuid },
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

impl Step {
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
            Self::Acquire { acquiring, willing, .. } => acquiring.decide(standing, *willing),
            Self::Ask { command, request } => {
                // An attempt of which we were not told has done it.
                if standing.has_ended(*request) {
                    return Ok(Outcome::Ended);
                }
                standing.execute(command, *request)
            }
            Self::HandOn { key, holder, token, request } => {
                let stored = number(*token);
                let is_it = |grant: &StoredGrant| grant.token == stored && !grant.joined;
                if !standing.document().grants.iter().any(is_it) {
                    return Ok(Outcome::Ended);
                }
                let (key, holder) = (key.clone(), holder.clone());
                let release = Release { key, holder, token: Some(*token) };
                standing.execute(&Command::Release(release), *request)
            }
        }
    }

    /// Whether what it has come to without a write is told only if nothing newer is there.
    pub(super) fn rests_on_look(&self, decided: &Result<Outcome, Refusal>) -> bool {
        match (self, decided) {
            // What may have been done need not be seen yet.
            (Self::Acquire { is_uncertain: true, .. }, _) => true,
            (Self::Acquire { .. }, Ok(Outcome::Granted(granted))) => granted.rejoined,
            (Self::Acquire { .. }, Ok(Outcome::Waiting(_)) | Err(_)) => false,
            _ => true,
        }
    }
}
