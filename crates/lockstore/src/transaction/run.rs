//! Beginning transactions, and running closures in them.

use std::sync::Mutex;

use super::options::TransactionOptions;
use super::{Shared, Transaction, TransactionState};
use crate::backend::Backend;
use crate::error::DocumentError;
use crate::remote::RemoteTransaction;
use crate::store::Store;

impl Store {
    /// Runs `run` in a transaction and commits it, durably when this returns. After a conflict it runs again, on what is
    /// there then, at most [`attempts_max`](TransactionOptions::attempts_max) times: so `run` may do nothing besides that
    /// must not be done twice.
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{DocumentError, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let accounts = store.database("bank").collection::<Document>("accounts");
    /// accounts.insert_many([doc! { "_id": "a", "has": 10 }, doc! { "_id": "b", "has": 0 }]).run()?;
    ///
    /// let moved = store.transaction(|tx| {
    ///     let accounts = accounts.in_transaction(tx);
    ///     let taken = accounts.update_one(doc! { "_id": "a", "has": { "$gte": 3 } }, doc! { "$inc": { "has": -3 } });
    ///     if taken.run()?.matched_count == 0 {
    ///         return Ok(false);
    ///     }
    ///     accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "has": 3 } }).run()?;
    ///     tx.collection::<Document>("bank", "journal").insert_one(doc! { "from": "a", "to": "b", "moved": 3 })?;
    ///     Ok::<_, DocumentError>(true)
    /// })?;
    /// assert!(moved);
    /// assert_eq!(accounts.find_one(doc! { "_id": "b" }).run()?, Some(doc! { "_id": "b", "has": 3 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Any error of `run` aborts the transaction, and is the error of this, unless the transaction was [lost](crate::TransactionEnd::Lost). Then there are those of the commit:
    /// [`WriteConflict`](DocumentError::WriteConflict) after the last attempt, [`LockLost`](DocumentError::LockLost) for a grant
    /// that the transaction relies on, [`TransactionOver`](DocumentError::TransactionOver) after the end of its time. Nothing has
    /// changed in any case, unless the store has [stopped](crate::StoreError::Poisoned).
    pub fn transaction<T, E: From<DocumentError>>(
        &self,
        run: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transaction_with(&TransactionOptions::new(), run)
    }

    /// As [`Store::transaction`], with options.
    ///
    /// # Errors
    ///
    /// As [`Store::transaction`].
    pub fn transaction_with<T, E: From<DocumentError>>(
        &self,
        options: &TransactionOptions,
        mut run: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut turn = None;
        for attempt in 1.. {
            let mut transaction = self.begin_transaction_with(options)?;
            let may_run_again = attempt < options.attempts_max;
            match run(&mut transaction) {
                Ok(value) => match transaction.commit() {
                    Ok(()) => return Ok(value),
                    Err(error) if may_run_again && error.runs_again() => {}
                    Err(error) => return Err(error.into()),
                },
                // It was lost elsewhere, whatever the closure has made of that.
                Err(_) if may_run_again && transaction.runs_again() => {}
                Err(error) => return Err(error),
            }
            drop(turn.take());
            turn = self.turns().wait(attempt);
        }
        unreachable!("the last attempt has returned")
    }

    /// Begins a transaction that its holder commits.
    ///
    /// ```
    /// use lockstore::Store;
    /// use lockstore::bson::{Document, doc};
    ///
    /// let store = Store::in_memory()?;
    /// let tx = store.begin_transaction()?;
    /// tx.collection::<Document>("factory", "jobs").insert_one(doc! { "_id": 1 })?;
    /// tx.commit()?; // durable when it returns
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the store cannot serve, or 10,000 transactions are open.
    pub fn begin_transaction(&self) -> Result<Transaction, DocumentError> {
        self.begin_transaction_with(&TransactionOptions::new())
    }

    /// As [`Store::begin_transaction`], with options.
    ///
    /// # Errors
    ///
    /// As [`Store::begin_transaction`].
    pub fn begin_transaction_with(
        &self,
        options: &TransactionOptions,
    ) -> Result<Transaction, DocumentError> {
        let shared = match self.backend() {
            Backend::Here(engine) => Shared::Here(TransactionState::begin(engine, *options)?),
            Backend::There(remote) => Shared::There(RemoteTransaction::new(remote, *options)?),
        };
        Ok(Transaction { store: self.clone(), shared, locks: Mutex::default(), is_over: false })
    }
}
