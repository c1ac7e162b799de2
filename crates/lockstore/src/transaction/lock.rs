//! Locks that a transaction acquires.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Transaction;
use super::promised::PromisedLock;
use crate::acquire::LockRequest;
use crate::error::{AcquireError, DocumentError};
use crate::guard::LockGuard;
use crate::session::Session;

/// A lock that a transaction is about to acquire, made by [`Transaction::lock`](crate::Transaction::lock). By default it is as one
/// of [`Store::lock`](crate::Store::lock): exclusive, without end, by a holder of its own.
#[derive(Debug)]
#[must_use = "nothing is acquired before `acquire`"]
pub struct TransactionLockRequest<'t> {
    transaction: &'t Transaction,
    request: LockRequest<'t>,
}

/// A lock that the commit of a transaction acquires. After it, this has the guard: [`guard`](Self::guard). Dropping it drops
/// the guard, which releases the lock.
#[derive(Clone, Debug)]
#[must_use = "the lock is released after the commit if this was dropped"]
pub struct TransactionLock {
    granted: Arc<Mutex<Option<LockGuard>>>,
}

impl<'t> TransactionLockRequest<'t> {
    pub(super) fn new(transaction: &'t Transaction, key: &'t str) -> Self {
        Self { transaction, request: LockRequest::new(&transaction.store, key) }
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
        self.transaction.change_lock(PromisedLock::acquisition(wanted, Arc::clone(&granted)))?;
        Ok(TransactionLock { granted })
    }
}

impl TransactionLock {
    /// The guard of the lock, once the transaction is committed; `None` before, if it never is, and when it was taken already.
    pub fn guard(self) -> Option<LockGuard> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
