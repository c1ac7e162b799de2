//! Changes of locks, and who is told when they are done.

use std::sync::{Arc, Mutex, PoisonError};

use lockcore::{Granted, Key, Outcome, Refusal, Release, Renew, Wait};

use super::lock_change::{ChangedLocks, LockChange};
use crate::acquire::Wanted;
use crate::error::{DocumentError, unexpected};
use crate::guard::LockGuard;
use crate::keep_alive::KeptLease;
use crate::remote::LockAnswer;
use crate::store::Store;

/// What the commit was asked to do to a lock, and who is told of it then.
#[derive(Debug)]
pub(super) enum PromisedLock {
    /// To acquire it: the guard comes into the slot.
    Acquired(Box<Wanted>, Arc<Mutex<Option<LockGuard>>>),
    /// To renew its lease.
    Renewed(Arc<KeptLease>, Renew),
    /// To release it.
    Released(Arc<KeptLease>),
}

impl PromisedLock {
    pub(super) fn acquisition(wanted: Wanted, slot: Arc<Mutex<Option<LockGuard>>>) -> Self {
        Self::Acquired(Box::new(wanted), slot)
    }

    pub(super) fn renewal(guard: &LockGuard) -> Self {
        let lease = Arc::clone(guard.lease());
        let (key, holder, token) = (lease.key.clone(), lease.holder.clone(), Some(lease.token));
        Self::Renewed(lease, Renew { key, holder, token, ttl: guard.ttl() })
    }

    pub(super) fn release(guard: &LockGuard) -> Self {
        Self::Released(Arc::clone(guard.lease()))
    }

    pub(super) fn change(&self) -> LockChange {
        match self {
            Self::Acquired(wanted, _) => LockChange::Acquire(wanted.acquire(Wait::No)),
            Self::Renewed(_, renew) => LockChange::Renew(renew.clone()),
            Self::Released(lease) => {
                let (key, holder) = (lease.key.clone(), lease.holder.clone());
                LockChange::Release(Release { key, holder, token: Some(lease.token) })
            }
        }
    }

    /// The error for what stands in the way already.
    pub(super) fn refused(self, refusal: Refusal, store: &Store) -> DocumentError {
        match self {
            Self::Acquired(wanted, _) => {
                match wanted.outcome(store, Wait::No, LockAnswer::Refused(refusal)) {
                    Err(error) => error.into(),
                    Ok(guard) => unexpected(&guard).into(),
                }
            }
            Self::Renewed(..) | Self::Released(_) => unexpected(&refusal).into(),
        }
    }

    fn key(&self) -> &Key {
        match self {
            Self::Acquired(wanted, _) => &wanted.key,
            Self::Renewed(lease, _) | Self::Released(lease) => &lease.key,
        }
    }
}

impl ChangedLocks {
    /// Tells those to whom it was promised, in the order of the promises.
    pub(super) fn tell(self, promised: Vec<PromisedLock>, store: &Store) {
        let Self { asked_at, outcomes } = self;
        let until = |granted: Granted| {
            granted.lease.map(|lease| asked_at.saturating_add(lease.ttl.as_duration()))
        };
        let mut outcomes = outcomes.into_iter();
        for lock in promised {
            // Between them there may be those that commands have asked for.
            let outcome = outcomes.find(|(key, _)| key == lock.key()).map(|(_, outcome)| outcome);
            match (lock, outcome) {
                (PromisedLock::Acquired(wanted, slot), Some(Outcome::Granted(granted))) => {
                    let mode = wanted.mode;
                    let guard = wanted.guard(store, granted, mode, until(granted));
                    // Where nobody waits for it any more it is dropped with the slot, and so released.
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
                }
                (PromisedLock::Renewed(lease, _), Some(Outcome::Renewed(renewed))) => {
                    lease.set_valid_until(until(renewed));
                }
                (PromisedLock::Released(lease), Some(Outcome::Ended)) => {
                    lease.set_lost();
                    store.backend().let_go(&lease);
                }
                (lock, outcome) => {
                    tracing::error!(
                        ?lock,
                        ?outcome,
                        "a commit answers something else; please report it"
                    );
                }
            }
        }
    }
}
