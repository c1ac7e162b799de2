//! The transactions that are open, and their end in time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use docquery::{Error, ErrorCode};
use lockcore::Instant;

use super::TransactionState;

/// The open transactions of a store, by their deadline and number.
#[derive(Debug, Default)]
pub(crate) struct OpenTransactions {
    open: Mutex<BTreeMap<(Instant, u64), Weak<TransactionState>>>,
    numbers: AtomicU64,
}

impl OpenTransactions {
    /// A number that no other transaction of the store has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, transaction: &Arc<TransactionState>) -> Result<(), Error> {
        let mut open = self.lock();
        if open.len() >= OPEN_MAX {
            let message = format!("{OPEN_MAX} transactions are open: none more can be");
            return Err(Error::new(ErrorCode::EXCEEDED_MEMORY_LIMIT, message));
        }
        open.insert(transaction.place(), Arc::downgrade(transaction));
        Ok(())
    }

    pub(super) fn remove(&self, transaction: &TransactionState) {
        self.lock().remove(&transaction.place());
    }

    /// When the next one has been open for too long.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.lock().first_key_value().map(|(&(at, _), _)| at)
    }

    /// Ends those that have been open for too long.
    pub(crate) fn expire(&self, now: Instant) {
        loop {
            let mut open = self.lock();
            let Some(first) = open.first_entry().filter(|entry| entry.key().0 <= now) else {
                return;
            };
            let transaction = first.remove();
            drop(open);
            if let Some(transaction) = transaction.upgrade() {
                transaction.expire();
            }
        }
    }

    /// Ends all, as the store closes.
    pub(crate) fn end_all(&self) {
        let open = std::mem::take(&mut *self.lock());
        for transaction in open.into_values().filter_map(|transaction| transaction.upgrade()) {
            transaction.expire();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Instant, u64), Weak<TransactionState>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many transactions may be open at once.
const OPEN_MAX: usize = 10_000;
