//! Transactions: what is read and changed in several collections and locks, all of it or nothing.

mod lock;
mod lock_change;
mod open;
mod options;
mod promised;
mod run;
mod state;
mod turn;
mod work;

use std::sync::{Arc, Mutex, PoisonError};

use bson::{RawDocument, RawDocumentBuf};

pub use lock::{TransactionLock, TransactionLockRequest};
pub(crate) use lock_change::{ChangedLocks, LockChange};
pub(crate) use open::OpenTransactions;
pub use options::TransactionOptions;
pub(crate) use state::TransactionState;
pub(crate) use turn::Turns;

use promised::PromisedLock;

use crate::collection::Collection;
use crate::commands;
use crate::error::DocumentError;
use crate::fence::Fence;
use crate::guard::LockGuard;
use crate::remote::documents::Command;
use crate::remote::{RemoteTransaction, form};
use crate::store::Store;

/// A transaction: it sees the documents and locks as of one commit, with its own changes on top, and its commit does all that it
/// has changed at once, or nothing.
///
/// Most begin with [`Store::transaction`], which commits them and runs them again after a conflict. One that is longer than a
/// closure begins with [`Store::begin_transaction`], and ends with [`commit`](Self::commit) or [`abort`](Self::abort);
/// dropping it aborts it, also in a panic.
///
/// # What it sees
///
/// What was committed when it began, and what it has changed itself; never what others commit meanwhile. Nobody sees anything of
/// it before its commit, and readers then see all of it. Within it, operations give the same results and the same errors as
/// outside: an operation that fails changes nothing (or, of many documents, what
/// [`Partial`](DocumentError::Partial) says), and the transaction goes on.
///
/// Of a store that lives [elsewhere](crate::remote) it begins with its first operation, as MongoDB's do, and what is there of it ends with what has
/// it: a commit then is [`TransactionEnd::Lost`](crate::TransactionEnd::Lost), and [`Store::transaction`] runs it again.
///
/// # Conflicts
///
/// Of two that change the same document, the first to commit wins, and the other one's commit is a
/// [`WriteConflict`](DocumentError::WriteConflict): so it is where a document that it has changed is not what it was any more; where
/// another document has got a unique key that one of its own has; where a collection that it has changed was dropped, or one
/// that it makes has come into being; where a lock that it acquires was taken. What it has only read may have changed (two
/// transactions that each read what the other changes may both commit): have it change, or lock, what it relies on.
///
/// It waits for nobody: it holds nothing that others need until its commit, so there are no deadlocks. A transaction begun inside
/// another is one of its own, and so is a write through a handle that is not the transaction's.
///
/// # Bounds
///
/// It may be open for 5 s and change 10,000 documents of 16 MiB: see [`TransactionOptions`]. It changes or relies on at most
/// 1,000 locks each, and at most 10,000 transactions are open at once.
#[derive(Debug)]
#[must_use = "a transaction that is dropped is aborted"]
pub struct Transaction {
    store: Store,
    shared: Shared,
    /// What its commit was asked to do to locks, in the order in which that was noted.
    locks: Mutex<Vec<PromisedLock>>,
    /// Whether it was committed.
    is_over: bool,
}

/// A transaction as its handles share it.
#[derive(Clone, Debug)]
pub(crate) enum Shared {
    /// In this process.
    Here(Arc<TransactionState>),
    /// Elsewhere.
    There(Arc<RemoteTransaction>),
}

impl Shared {
    pub(crate) fn here(&self) -> Option<&Arc<TransactionState>> {
        match self {
            Self::Here(state) => Some(state),
            Self::There(_) => None,
        }
    }

    pub(crate) fn there(&self) -> Option<&Arc<RemoteTransaction>> {
        match self {
            Self::Here(_) => None,
            Self::There(transaction) => Some(transaction),
        }
    }
}

impl Transaction {
    /// A collection as the transaction sees it, with the same calls as outside. As
    /// [`Collection::in_transaction`](Collection::in_transaction).
    pub fn collection<T>(&self, database: &str, name: &str) -> Collection<T> {
        self.store.database(database).collection(name).in_transaction(self)
    }

    /// Runs one of MongoDB's commands in the transaction, as [`Database::run_command`](crate::Database::run_command) does
    /// outside. A cursor that it opens goes on with `getMore`, until the transaction is over. The commands that may run are those that read
    /// and write documents, and [three about locks](crate::remote#transactions), which are for the commit. One that fails does not end the transaction, as it would in MongoDB: [`abort`](Self::abort) does.
    pub fn run_command(&mut self, database: &str, command: &RawDocument) -> RawDocumentBuf {
        match &self.shared {
            Shared::Here(state) => {
                commands::run(self.store.engine(), Some(state), database, command)
            }
            Shared::There(transaction) => {
                let sent = Command::of(command);
                let reply = match form::call::of(command, self.store.backend().now()) {
                    Some(call) => transaction.note(database, sent, call),
                    None => transaction.run(database, sent),
                };
                reply.unwrap_or_else(|error| commands::failed(&error))
            }
        }
    }

    /// Begins to acquire the lock of `key` in the commit: set what it needs, and then
    /// [`acquire`](TransactionLockRequest::acquire).
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{DocumentError, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let lock = store.transaction(|tx| {
    ///     let lock = tx.lock("nightly-report").acquire()?;
    ///     tx.collection::<Document>("factory", "reports").insert_one(doc! { "state": "running" })?;
    ///     Ok::<_, DocumentError>(lock)
    /// })?;
    /// let guard = lock.guard().expect("the transaction is committed");
    /// assert!(store.is_lock_holder("nightly-report", guard.holder())?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lock<'t>(&'t self, key: &'t str) -> TransactionLockRequest<'t> {
        TransactionLockRequest::new(self, key)
    }

    /// Has the commit begin the lease of a lock anew, for the guard's TTL.
    ///
    /// # Errors
    ///
    /// The transaction changes this lock already, or is over. That the grant is over is told by the commit:
    /// [`LockLost`](DocumentError::LockLost).
    pub fn renew(&self, guard: &LockGuard) -> Result<(), DocumentError> {
        self.change_lock(PromisedLock::renewal(guard))
    }

    /// Has the commit release a lock: after it the guard is [lost](LockGuard::is_lost), and dropping it does nothing.
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{DocumentError, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let guard = store.lock("nightly-report").acquire()?;
    /// store.transaction(|tx| {
    ///     tx.collection::<Document>("factory", "reports").insert_one(doc! { "state": "done" })?;
    ///     tx.release(&guard)
    /// })?;
    /// assert!(!store.is_locked("nightly-report")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Transaction::renew`].
    pub fn release(&self, guard: &LockGuard) -> Result<(), DocumentError> {
        self.change_lock(PromisedLock::release(guard))
    }

    /// Has the commit check that a grant is still there: if it is not, nothing is committed, and the commit's error is
    /// [`LockLost`](DocumentError::LockLost). The writes of a collection that is [`fenced`](Collection::fenced_by) do so too.
    ///
    /// # Errors
    ///
    /// The transaction is over, or relies on too many.
    pub fn require(&self, fence: Fence) -> Result<(), DocumentError> {
        match &self.shared {
            Shared::Here(state) => state.require(self.store.engine(), &[fence]),
            Shared::There(transaction) => transaction.require(fence),
        }
    }

    /// Commits: all that the transaction has changed is durable when this returns, or nothing has changed. Where it has only
    /// read, there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]: see [`Store::transaction`].
    pub fn commit(mut self) -> Result<(), DocumentError> {
        let changed = match &self.shared {
            Shared::Here(state) => {
                let engine = self.store.engine();
                state.commit(engine, |task| engine.call(task))?
            }
            Shared::There(transaction) => transaction.commit()?,
        };
        self.is_over = true;
        let promised = self.locks.get_mut().unwrap_or_else(PoisonError::into_inner);
        changed.tell(std::mem::take(promised), &self.store);
        Ok(())
    }

    /// Gives up all that the transaction has changed. So does dropping it.
    pub fn abort(self) {}

    /// Has the commit change a lock.
    fn change_lock(&self, promised: PromisedLock) -> Result<(), DocumentError> {
        // In a forked child the lock below may be held for ever.
        self.store.backend().check_usable()?;
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = match &self.shared {
            Shared::Here(state) => state.change_lock(self.store.engine(), promised.change())?,
            Shared::There(transaction) => transaction.change_lock(promised.change())?,
        };
        match noted {
            Ok(()) => locks.push(promised),
            Err(refusal) => return Err(promised.refused(refusal, &self.store)),
        }
        Ok(())
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether it was lost elsewhere, so that the whole of it is to be run again.
    fn runs_again(&self) -> bool {
        self.shared.there().is_some_and(|transaction| transaction.runs_again())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        match &self.shared {
            Shared::Here(state) if self.store.engine().is_forked() => state.forget(),
            Shared::Here(state) if !self.is_over => state.abort(self.store.engine()),
            Shared::Here(_) => {}
            Shared::There(transaction) => transaction.abort(),
        }
    }
}
