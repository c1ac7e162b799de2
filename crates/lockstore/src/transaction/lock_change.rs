//! What transactions do to locks.

use lockcore::{
    Acquire, Command, HeldBy, Holder, Instant, Key, Mode, Outcome, Refusal, Release, Renew, Token,
};

use crate::remote::LockCall;
use crate::view::View;

/// What a transaction has its commit do to a lock.
#[derive(Clone, Debug)]
pub(crate) enum LockChange {
    /// Nobody waits in a commit.
    Acquire(Acquire),
    Renew(Renew),
    Release(Release),
}

/// The locks that a commit has changed, in the order in which that was asked for.
#[derive(Debug)]
pub(crate) struct ChangedLocks {
    /// When the commit was asked for.
    pub(crate) asked_at: Instant,
    /// What has become of each.
    pub(crate) outcomes: Vec<(Key, Outcome)>,
}

impl LockChange {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Acquire(Acquire { key, .. })
            | Self::Renew(Renew { key, .. })
            | Self::Release(Release { key, .. }) => key,
        }
    }

    /// Looks whether it can be in `view`, with which its transaction began. A grant that is not named is the one that its holder has
    /// there, for the commit is to change no other.
    pub(super) fn look(&mut self, view: &View, now: Instant) -> Result<(), Refusal> {
        match self {
            Self::Acquire(acquire) => check_is_free(acquire, view, now),
            Self::Renew(Renew { key, holder, token, .. })
            | Self::Release(Release { key, holder, token }) => {
                if token.is_none() {
                    *token = Some(token_of(key, holder, view)?);
                }
                Ok(())
            }
        }
    }
}

impl From<LockChange> for Command {
    fn from(change: LockChange) -> Self {
        match change {
            LockChange::Acquire(acquire) => Self::Acquire(acquire),
            LockChange::Renew(renew) => Self::Renew(renew),
            LockChange::Release(release) => Self::Release(release),
        }
    }
}

impl From<LockChange> for LockCall {
    fn from(change: LockChange) -> Self {
        match change {
            LockChange::Acquire(acquire) => Self::Acquire(acquire),
            LockChange::Renew(renew) => Self::Renew(renew),
            LockChange::Release(release) => Self::Release(release),
        }
    }
}

/// Checks that nobody stands in the way in `view`.
fn check_is_free(acquire: &Acquire, view: &View, now: Instant) -> Result<(), Refusal> {
    let Some(lock) = view.lock(&acquire.key) else { return Ok(()) };
    if let Some(grant) = lock.grant_of(&acquire.holder) {
        let token = grant.token;
        if lock.mode() != acquire.mode {
            return Err(Refusal::OtherMode { held: lock.mode(), token });
        }
        if grant.session != acquire.session {
            return Err(Refusal::OtherSession { token });
        }
        return Ok(());
    }
    let may_be_over = lock.grants().all(|grant| grant.is_overdue(now));
    if may_be_over || (lock.mode(), acquire.mode) == (Mode::Shared, Mode::Shared) {
        return Ok(());
    }
    Err(Refusal::Held(HeldBy::of(lock)))
}

/// The grant by which `holder` holds `key` in `view`.
fn token_of(key: &Key, holder: &Holder, view: &View) -> Result<Token, Refusal> {
    let lock = view.lock(key).ok_or(Refusal::NotHeld)?;
    let grant = lock.grant_of(holder).ok_or_else(|| Refusal::HeldByOther(HeldBy::of(lock)))?;
    Ok(grant.token)
}
