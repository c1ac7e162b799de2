//! What one call does to a lock, as it finds it.

use bson::Uuid;
use lockcore::{Command, Instant, Outcome, Refusal, Release};

use super::acquiring::{Acquiring, Willing};
use super::given_up::GivenUp;
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
    /// Begins a lease anew, or ends a grant: before its caller is told that nobody knows, for what the holder is told from then on is newer.
    Ask { command: Command, request: Uuid, given_up: GivenUp },
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
            Self::Ask { command, request, given_up } => {
                // An attempt of which we were not told has done it.
                if standing.has_ended(*request) {
                    return Ok(Outcome::Ended);
                }
                if given_up.is_late() {
                    return Ok(Outcome::Cancelled);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

    use lockcore::{Mode, Renew, Ttl};
    use tokio::sync::watch;

    use super::super::lock_document::LockDocument;
    use super::super::standing::tests::{acquire, granted, seen};
    use super::*;

    /// A lock that `a` holds, and what it has.
    fn held() -> (LockDocument, Release) {
        let mut standing = Standing::new(&seen(None, 1)).unwrap();
        let Command::Acquire(acquired) = acquire("a", Mode::Exclusive) else { unreachable!() };
        standing.execute(&Command::Acquire(acquired.clone()), Uuid::new()).unwrap();
        let document = granted(standing.into_document());
        let standing = Standing::new(&seen(Some(document.clone()), 1)).unwrap();
        let token = standing.token_of(&acquired.holder).unwrap();
        (document, Release { key: acquired.key, holder: acquired.holder, token })
    }

    #[test]
    fn whoever_was_told_that_nobody_knows_ends_and_shortens_nothing_any_more() {
        let (document, release) = held();
        let Release { key, holder, token } = release.clone();
        let renew =
            Renew { key, holder, token, ttl: Ttl::new(std::time::Duration::from_secs(1)).ok() };
        for command in [Command::Release(release), Command::Renew(renew)] {
            let (late, given_up) = GivenUp::never(watch::channel(false).1).or_late();
            let does = Does::Ask { command, request: Uuid::new(), given_up };
            let decided = || {
                let mut standing = Standing::new(&seen(Some(document.clone()), 2)).unwrap();
                let outcome = does.decide(&mut standing).unwrap();
                (outcome, standing.has_changed())
            };
            assert!(matches!(decided(), (Outcome::Ended | Outcome::Renewed(_), true)));
            late.give_up();
            assert_eq!(decided(), (Outcome::Cancelled, false));
        }
    }

    #[test]
    fn whoever_acquires_again_without_a_lease_is_not_handed_on_by_who_gave_up() {
        let (document, granted) = held();
        let mut standing = Standing::new(&seen(Some(document.clone()), 2)).unwrap();
        standing.execute(&acquire("a", Mode::Exclusive), Uuid::new()).unwrap();
        let joined = standing.into_document();
        assert_ne!(joined.rev, document.rev, "what is on its way finds another state");
        let mut standing = Standing::new(&seen(Some(joined), 3)).unwrap();
        Does::HandOn { granted, request: Uuid::new() }.decide(&mut standing).unwrap();
        assert_eq!(standing.document().grants.len(), 1);
    }
}
