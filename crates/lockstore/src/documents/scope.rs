//! Where operations run: in the store, or in a transaction.

use std::sync::Arc;

use super::calls::{Ask, Asked, answered};
use super::{DocumentTask, Reading};
use crate::client_sessions::{Memo, RetryableWrite};
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::fence::Fence;
use crate::request::Task;
use crate::transaction::TransactionState;

/// What an operation reads on, whom it asks for what it changes, and what its changes rely on.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'s> {
    engine: &'s Arc<Engine>,
    transaction: Option<&'s Arc<TransactionState>>,
    fences: Vec<Fence>,
    /// The write that what it asks for is remembered of, and how.
    remembered: Option<(&'s RetryableWrite<'s>, Memo)>,
}

impl<'s> Scope<'s> {
    pub(crate) fn new(
        engine: &'s Arc<Engine>,
        transaction: Option<&'s Arc<TransactionState>>,
        fences: Vec<Fence>,
    ) -> Self {
        Self { engine, transaction, fences, remembered: None }
    }

    /// The same, whose next task is remembered.
    pub(crate) fn remembered(&self, write: &'s RetryableWrite<'s>, memo: Memo) -> Self {
        Self { remembered: Some((write, memo)), ..self.clone() }
    }

    pub(crate) fn engine(&self) -> &'s Arc<Engine> {
        self.engine
    }

    /// The transaction, if it is one.
    pub(crate) fn transaction(&self) -> Option<&'s Arc<TransactionState>> {
        self.transaction
    }

    /// The documents as of the last commit, or as the transaction sees them.
    pub(crate) fn reading(&self) -> Result<Reading, DocumentError> {
        self.engine.reading_in(self.transaction)
    }
}

impl Engine {
    /// The documents as of the last commit, or as the transaction sees them.
    pub(crate) fn reading_in(
        &self,
        transaction: Option<&Arc<TransactionState>>,
    ) -> Result<Reading, DocumentError> {
        match transaction {
            Some(transaction) => transaction.reading(self),
            None => Ok(self.reading()?),
        }
    }
}

impl Ask for Scope<'_> {
    fn serve(&self, task: DocumentTask) -> Asked {
        if let Some(transaction) = self.transaction {
            if !self.fences.is_empty() {
                transaction.require(self.engine, &self.fences)?;
            }
            return transaction.serve(self.engine, task);
        }
        let task = Task::Documents { fences: self.fences.clone(), task: Box::new(task) };
        answered(match &self.remembered {
            Some((write, memo)) => write.call(task, memo.clone()),
            None => self.engine.call(task),
        })
    }
}
