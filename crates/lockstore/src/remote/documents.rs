//! Documents that live elsewhere: a request becomes one of MongoDB's commands, and what the reply tells becomes the results and the
//! errors that the same request has in process.

mod aggregate;
mod catalogue;
mod command;
mod cursor;
mod find;
mod find_and_modify;
mod indexes;
mod insert;
mod locked;
mod modify;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode, Value};
use lockcore::Instant;

pub(crate) use catalogue::{collections, databases, drop_database};
pub(crate) use command::Command;
pub(crate) use cursor::Cursor;
pub(crate) use modify::StatementsOutcome;
pub(crate) use reply::{Reply, has_succeeded, senseless};

use super::{Remote, RemoteTransaction};
use crate::documents::Namespace;
use crate::error::DocumentError;
use crate::fence::Fence;

/// Where and when one operation runs that is done elsewhere.
#[derive(Debug)]
pub(crate) struct Place<'c> {
    remote: &'c Arc<dyn Remote>,
    transaction: Option<&'c Arc<RemoteTransaction>>,
    fences: &'c [Fence],
    namespace: Namespace,
    deadline: Option<Instant>,
    /// A document whose fields go with each command: `comment`.
    comment: Option<RawDocumentBuf>,
}

impl<'c> Place<'c> {
    /// An operation on a collection, which may take as long as `max_time`.
    pub(crate) fn new(
        remote: &'c Arc<dyn Remote>,
        transaction: Option<&'c Arc<RemoteTransaction>>,
        fences: &'c [Fence],
        namespace: Namespace,
        max_time: Option<Duration>,
    ) -> Self {
        let deadline = max_time.map(|limit| remote.clock().now().saturating_add(limit));
        Self { remote, transaction, fences, namespace, deadline, comment: None }
    }

    /// The same, with a document whose fields go with each command.
    pub(crate) fn commented(self, comment: Option<RawDocumentBuf>) -> Self {
        Self { comment, ..self }
    }

    /// Checks that there is time left.
    pub(crate) fn check_time(&self) -> Result<(), DocumentError> {
        self.time_left()?;
        Ok(())
    }

    /// How long the operation may take yet, if that is limited.
    fn time_left(&self) -> Result<Option<Duration>, Error> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_since(self.remote.clock().now());
        if left.is_zero() {
            let message = "operation exceeded time limit";
            return Err(Error::new(ErrorCode::MAX_TIME_MS_EXPIRED, message));
        }
        Ok(Some(left))
    }

    /// A command about the collection.
    fn command(&self, name: &str) -> Command {
        Command::new(name, Value::String(self.namespace.collection()))
    }

    /// Runs a command, with all that the operation's commands have in common.
    fn run(&self, mut command: Command) -> Result<Reply, DocumentError> {
        if let Some(left) = self.time_left()? {
            command.max_time(left);
        }
        if let Some(comment) = &self.comment {
            command.fields(comment);
        }
        command.fences(self.fences);
        self.send(command)
    }

    /// Runs a command as it is.
    fn send(&self, command: Command) -> Result<Reply, DocumentError> {
        let database = self.namespace.database();
        let reply = match self.transaction {
            Some(transaction) => transaction.run(database, command)?,
            None => self.remote.run_command(database, &command.finish(), self.deadline)?,
        };
        Reply::checked(reply)
    }
}
