//! How long, how large and how often a transaction may be.

use std::time::Duration;

/// Options of a transaction; what is not set has the default that is named with it.
///
/// ```
/// use std::time::Duration;
/// use lockstore::bson::{Document, doc};
/// use lockstore::{DocumentError, Store, TransactionOptions};
///
/// let store = Store::in_memory()?;
/// let options = TransactionOptions::new().lifetime(Duration::from_secs(1)).attempts_max(1);
/// store.transaction_with(&options, |tx| {
///     tx.collection::<Document>("factory", "jobs").insert_one(doc! { "_id": 1 })?;
///     Ok::<_, DocumentError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options do nothing until a transaction begins with them"]
pub struct TransactionOptions {
    pub(crate) lifetime: Duration,
    pub(crate) documents_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) attempts_max: u32,
    /// Whether it goes on after a command that has failed.
    pub(super) goes_on: bool,
}

impl TransactionOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            lifetime: Duration::from_secs(5),
            documents_max: 10_000,
            bytes_max: 16 << 20,
            attempts_max: 100,
            goes_on: true,
        }
    }

    /// Those of a transaction by MongoDB's commands: it is open for as long as one may be there, and a command that fails aborts it.
    pub(crate) fn of_commands() -> Self {
        Self { lifetime: LIFETIME_OF_COMMANDS, goes_on: false, ..Self::new() }
    }

    /// Whether it goes on after a command that has failed.
    pub(crate) fn goes_on(mut self, goes_on: bool) -> Self {
        self.goes_on = goes_on;
        self
    }

    /// How long it may be open. Then it is aborted, and whatever it is asked for is told
    /// [`TransactionEnd::Expired`](crate::TransactionEnd::Expired). Until its end the file keeps what others delete or replace
    /// meanwhile, and [`Store::compact`](crate::Store::compact) waits for it, for 10 s. Default 5 s.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How many documents it may change. One more aborts it:
    /// [`TransactionTooLarge`](crate::DocumentError::TransactionTooLarge). Its commit is one step of the writer, for which
    /// others wait. Default 10,000.
    pub fn documents_max(mut self, documents: usize) -> Self {
        self.documents_max = documents;
        self
    }

    /// How many bytes the documents that it changes may have, as they were and as they become, together; it holds them in memory.
    /// More abort it, as with [`documents_max`](Self::documents_max). Default 16 MiB.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// How often [`Store::transaction`](crate::Store::transaction) runs it before a conflict is its error. Default 100.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How long a transaction by MongoDB's commands may be open: its `transactionLifetimeLimitSeconds`.
const LIFETIME_OF_COMMANDS: Duration = Duration::from_secs(60);
