//! Documents on a replica set: MongoDB's own commands.
//!
//! A command is sent as its caller wrote it, with what makes its reply worth something: reads show what most members have, and what this
//! process was told before; a write is on most members when it is answered, and is done once or not at all, however often it has to be
//! sent. What is not MongoDB's in a command (`lockFences`, `lockTransaction` ...) is taken out and done here.
//!
//! | what is asked | how it is done |
//! | --- | --- |
//! | reads | sent again after errors of the network and of a primary that goes |
//! | `insert`, `findAndModify`, `update` and `delete` of one document a statement | as retryable writes, under [numbers of ours](numbered) |
//! | what relies on [grants](fences), but for changes of collections and indexes | in a transaction with them |
//! | [transactions](transactions) | as the driver's |
//! | anything else that changes something | sent once, and then [`OutcomeUnknown`](StoreError::OutcomeUnknown), unless [doing it twice](again) is doing it once |

mod again;
mod batch;
mod body;
mod committing;
mod concerns;
mod cursors;
mod fenced;
mod fences;
mod hold;
mod judging;
mod limit;
mod lock_transitions;
mod numbered;
mod selected;
mod sending;
mod transactions;
mod within;

use std::path::Path;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use lockcore::Instant;
use lockstore::remote::serving;
use lockstore::{Clock, DocumentError, ErrorCode, Refusal, StoreError};
use mongodb::Client;

use crate::numbered::Numbered;
use crate::options::ReplicaSetOptions;
use again::Again;
use batch::{Batch, Merged};
use concerns::Concerns;
use cursors::Cursors;
use transactions::Transactions;

pub(crate) use body::{has_field, is_part_of_transaction, name_of, number};
pub(crate) use concerns::takes_write_concern;
pub(crate) use limit::{Limit, Tries};
pub(crate) use lock_transitions::{Applied, Later, LockTransitions, Stands};
pub(crate) use within::{Failed, abort_in};

/// The documents of a replica set.
#[derive(Debug)]
pub(crate) struct Documents {
    client: Client,
    clock: Arc<dyn Clock>,
    /// What the replica set is called in errors.
    address: Arc<Path>,
    options: ReplicaSetOptions,
    concerns: Concerns,
    numbered: Arc<Numbered>,
    cursors: Cursors,
    transactions: Transactions,
    locks: Arc<dyn LockTransitions>,
}

impl Documents {
    /// Over a client of the driver. `address` is what the replica set is called in errors; `locks` does what transactions do to locks.
    pub(crate) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        address: Arc<Path>,
        options: &ReplicaSetOptions,
        locks: Arc<dyn LockTransitions>,
    ) -> Self {
        Self {
            client,
            clock,
            address,
            options: options.clone(),
            concerns: Concerns::new(options),
            numbered: Arc::default(),
            cursors: Cursors::default(),
            transactions: Transactions::default(),
            locks,
        }
    }

    /// How long a command may take that has no deadline.
    pub(crate) fn patient(&self) -> Limit {
        self.limit(None)
    }

    /// How long a command may take.
    pub(crate) fn limit(&self, deadline: Option<Instant>) -> Limit {
        Limit::new(&*self.clock, deadline, self.options.patience)
    }

    /// Runs a command, and gives its reply, which tells of errors too. Without a `deadline` it goes on for
    /// [`patience`](ReplicaSetOptions::patience) after something has first gone wrong on the way.
    ///
    /// # Errors
    ///
    /// There is no reply: [`StoreError::Unreachable`], and nothing was done; [`StoreError::OutcomeUnknown`], and the command was done or
    /// not.
    pub(crate) async fn run(
        self: &Arc<Self>,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let limit = self.limit(deadline);
        let name = name_of(command);
        if is_part_of_transaction(command) {
            return self.run_in_transaction(database, command, limit).await;
        }
        match name {
            "startSession" => return self.open_client_session().await,
            "endSessions" => return Ok(self.end_client_sessions(command).await),
            "getMore" => return self.get_more(database, command, limit).await,
            "killCursors" => return self.kill_cursors(database, command, limit).await,
            _ => {}
        }
        if has_field(command, "txnNumber") {
            let message =
                "the store numbers retryable writes itself: leave 'lsid' and 'txnNumber' out";
            return Ok(refused(ErrorCode::INVALID_OPTIONS, message));
        }
        let fences = match serving::fences(command) {
            Ok(fences) => fences,
            Err(error) => return Ok(serving::failed(&error.into())),
        };
        if !fences.is_empty() && takes_write_concern(command) {
            return self.run_fenced(database, command, &fences, limit).await;
        }
        self.run_alone(database, command, limit).await
    }

    /// Runs a command that relies on nothing, in as many as its size needs.
    async fn run_alone(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let Some(batch) = Batch::of(command).filter(Batch::is_too_large) else {
            return self.run_one(database, command, limit).await;
        };
        let mut merged = Merged::new(&batch);
        for part in batch.parts() {
            let came = self.run_one(database, &batch.command(part.clone()), limit).await;
            if merged.take(&batch, part, came)?.is_break() {
                break;
            }
        }
        Ok(merged.finish())
    }

    async fn run_one(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        match Again::of(command) {
            Again::Numbered => self.run_numbered(database, command, limit).await,
            _ if cursors::may_open(command) => self.open_cursor(database, command, limit).await,
            again => self.send(database, command, again, None, limit).await,
        }
    }
}

/// The reply of a command that is refused here.
fn refused(code: ErrorCode, message: impl Into<String>) -> RawDocumentBuf {
    serving::failed(&DocumentError::from(Refusal::new(code, message.into())))
}
