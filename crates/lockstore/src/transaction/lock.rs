//! Locks that a transaction acquires, renews and releases.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockcore::{Command, Granted, Instant, Key, Mode, Outcome, Release, Renew, Wait};

use super::Shared;
use crate::acquire::{LockRequest, Wanted};
use crate::error::{AcquireError, ArgumentError, DocumentError, unexpected};
use crate::guard::LockGuard;
use crate::keep_alive::KeptLease;
use crate::remote::{LockAnswer, LockCall};
use crate::session::Session;
use crate::store::Store;
use crate::view::View;

/// A lock that a transaction is about to acquire, made by [`Transaction::lock`](crate::Transaction::lock). By default it is as one
/// of [`Store::lock`]: exclusive, without end, by a holder of its own.
#[derive(Debug)]
#[must_use = "nothing is acquired before `acquire`"]
pub struct TransactionLockRequest<'t> {
    store: &'t Store,
    shared: &'t Shared,
    request: LockRequest<'t>,
}

/// A lock that the commit of a transaction acquires. After it, this has the guard: [`guard`](Self::guard). Dropping it drops
/// the guard, which releases the lock.
#[derive(Clone, Debug)]
#[must_use = "the lock is released after the commit if this was dropped"]
pub struct TransactionLock {
    granted: Arc<Mutex<Option<LockGuard>>>,
}

/// What the commit does to a lock, and what comes of it then.
#[derive(Debug)]
pub(crate) struct LockChange {
    key: Key,
    what: What,
}

#[derive(Debug)]
enum What {
    Acquire(Box<Wanted>, Arc<Mutex<Option<LockGuard>>>),
    Renew(Arc<KeptLease>, Command),
    Release(Arc<KeptLease>),
}

/// The locks that a commit has changed, before anybody is told of them.
#[derive(Debug)]
pub(crate) struct ChangedLocks {
    pub(super) changes: Vec<LockChange>,
    /// What has become of each.
    pub(super) outcomes: Box<[Outcome]>,
    pub(super) asked_at: Instant,
}

impl ChangedLocks {
    /// Tells those who hold them.
    pub(super) fn done(self, store: &Store) {
        for (change, outcome) in self.changes.into_iter().zip(self.outcomes) {
            change.done(outcome, self.asked_at, store);
        }
    }
}

impl<'t> TransactionLockRequest<'t> {
    pub(super) fn new(store: &'t Store, shared: &'t Shared, key: &'t str) -> Self {
        Self { store, shared, request: LockRequest::new(store, key) }
    }

    /// As [`LockRequest::holder`].
    pub fn holder(mut self, holder: &'t str) -> Self {
        self.request = self.request.holder(holder);
        self
    }

    /// As [`LockRequest::ttl`]; the lease begins with the commit.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.request = self.request.ttl(ttl);
        self
    }

    /// As [`LockRequest::shared`].
    pub fn shared(mut self) -> Self {
        self.request = self.request.shared();
        self
    }

    /// As [`LockRequest::session`].
    pub fn session(mut self, session: &Session) -> Self {
        self.request = self.request.session(session);
        self
    }

    /// Has the commit acquire it. If somebody holds it who did so when the transaction began, that is an error at once; if
    /// somebody has come meanwhile, the commit is a conflict. It does not wait.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Acquire`] says who holds it, or what else is wrong; the transaction goes on.
    pub fn acquire(self) -> Result<TransactionLock, DocumentError> {
        let wanted = self.request.check().map_err(AcquireError::from)?;
        let granted = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&granted);
        match self.shared {
            Shared::Here(state) => state.change_lock(self.store.engine(), |view| {
                check_is_free(&wanted, view, self.store)?;
                Ok(LockChange::acquisition(wanted, slot))
            })?,
            Shared::There(transaction) => {
                transaction.change_lock(LockChange::acquisition(wanted, slot), self.store)?;
            }
        }
        Ok(TransactionLock { granted })
    }
}

impl TransactionLock {
    /// The guard of the lock, once the transaction is committed; `None` before, if it never is, and when it was taken already.
    pub fn guard(self) -> Option<LockGuard> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    /// Has the commit change a lock.
    pub(super) fn change_lock(
        &self,
        store: &Store,
        change: LockChange,
    ) -> Result<(), DocumentError> {
        match self {
            Self::Here(state) => state.change_lock(store.engine(), |_| Ok(change)),
            Self::There(transaction) => transaction.change_lock(change, store),
        }
    }
}

impl LockChange {
    fn acquisition(wanted: Wanted, slot: Arc<Mutex<Option<LockGuard>>>) -> Self {
        Self { key: wanted.key.clone(), what: What::Acquire(Box::new(wanted), slot) }
    }

    pub(super) fn renewal(guard: &LockGuard) -> Self {
        let lease = Arc::clone(guard.lease());
        let (key, holder, token) = (lease.key.clone(), lease.holder.clone(), Some(lease.token));
        let renew = Command::Renew(Renew { key: key.clone(), holder, token, ttl: guard.ttl() });
        Self { key, what: What::Renew(lease, renew) }
    }

    pub(super) fn release(guard: &LockGuard) -> Self {
        let lease = Arc::clone(guard.lease());
        Self { key: lease.key.clone(), what: What::Release(lease) }
    }

    /// Checks that none of the changes so far is one of this key.
    pub(crate) fn check_is_first(&self, changes: &[Self]) -> Result<(), DocumentError> {
        if changes.iter().all(|change| change.key != self.key) {
            return Ok(());
        }
        let key = self.key.clone();
        Err(AcquireError::from(ArgumentError::ChangedInTransaction { key }).into())
    }

    pub(super) fn command(&self) -> Command {
        match &self.what {
            What::Acquire(wanted, _) => Command::Acquire(wanted.acquire(Wait::No)),
            What::Renew(_, renew) => renew.clone(),
            What::Release(lease) => {
                let (key, holder) = (lease.key.clone(), lease.holder.clone());
                Command::Release(Release { key, holder, token: Some(lease.token) })
            }
        }
    }

    /// The same as a call.
    pub(crate) fn call(&self) -> LockCall {
        match self.command() {
            Command::Acquire(acquire) => LockCall::Acquire(acquire),
            Command::Renew(Renew { key, holder, token, ttl }) => {
                LockCall::Renew(Renew { key, holder, token, ttl })
            }
            Command::Release(Release { key, holder, token }) => {
                LockCall::Release(Release { key, holder, token })
            }
            other => unreachable!("a transaction does nothing else with locks: {other:?}"),
        }
    }

    /// The error for an answer that says that the commit cannot do it.
    pub(crate) fn refused(&self, answer: LockAnswer, store: &Store) -> DocumentError {
        match (&self.what, answer) {
            (_, LockAnswer::Failed(error)) => error.into(),
            (What::Acquire(wanted, _), refusal @ LockAnswer::Refused(_)) => {
                match (**wanted).clone().outcome(store, Wait::No, refusal) {
                    Err(error) => error.into(),
                    Ok(guard) => unexpected(&guard).into(),
                }
            }
            (_, answer) => unexpected(&answer).into(),
        }
    }

    /// The commit that was asked for at `asked_at` has done it.
    pub(crate) fn done(self, outcome: Outcome, asked_at: Instant, store: &Store) {
        let until = |granted: Granted| {
            granted.lease.map(|lease| asked_at.saturating_add(lease.ttl.as_duration()))
        };
        match (self.what, outcome) {
            (What::Acquire(wanted, slot), Outcome::Granted(granted)) => {
                let mode = wanted.mode;
                let guard = wanted.guard(store, granted, mode, until(granted));
                // Where nobody waits for it any more it is dropped with the slot, and so released.
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
            }
            (What::Renew(lease, _), Outcome::Renewed(renewed)) => {
                lease.set_valid_until(until(renewed));
            }
            (What::Release(lease), Outcome::Ended) => {
                lease.set_lost();
                store.backend().let_go(&lease);
            }
            (what, outcome) => {
                tracing::error!(
                    ?what,
                    ?outcome,
                    "a commit answers something else; please report it"
                );
            }
        }
    }
}

/// Checks that nobody stands in the way in `view`.
fn check_is_free(wanted: &Wanted, view: &View, store: &Store) -> Result<(), AcquireError> {
    let Some(lock) = view.lock(&wanted.key) else { return Ok(()) };
    let (key, holder) = (wanted.key.clone(), wanted.holder.clone());
    if let Some(grant) = lock.grant_of(&holder) {
        if lock.mode() != wanted.mode {
            return Err(AcquireError::OtherMode { key, holder, held: lock.mode() });
        }
        if grant.session != wanted.session {
            return Err(AcquireError::OtherSession { key, holder });
        }
        return Ok(());
    }
    let now = store.engine().clock.now();
    let may_be_over = lock.grants().all(|grant| grant.is_overdue(now));
    if may_be_over || (lock.mode(), wanted.mode) == (Mode::Shared, Mode::Shared) {
        return Ok(());
    }
    Err(AcquireError::Held { key, by: store.held_by(lockcore::HeldBy::of(lock)) })
}
