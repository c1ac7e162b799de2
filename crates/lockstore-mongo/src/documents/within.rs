//! Commands within transactions of the driver, and their commits.

use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::serving;
use lockstore::{DocumentError, ErrorCode, StoreError, TransactionEnd};
use mongodb::ClientSession;
use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
};

use super::Documents;
use super::batch::{Batch, Merged};
use super::body::{code_of, has_label, has_succeeded, name_of, stripped, tells_of_failure, what};
use super::judging::{is_before_sending, is_of_network};
use super::limit::Limit;
use crate::failure::{self, elsewhere};

/// Why a transaction is over that was not committed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// MongoDB, or a grant that is gone, has ended it, as this reply tells.
    Reply(RawDocumentBuf),
    /// Its server is gone, and it with that.
    Lost(String),
    /// There is no reply.
    Store(StoreError),
}

impl Failed {
    /// Something has changed since the transaction began.
    pub(crate) fn conflict(what: &str) -> Self {
        let conflict = DocumentError::WriteConflict { what: what.into() };
        Self::Reply(serving::failed_in_transaction(&conflict))
    }

    /// Why the whole transaction is to be run again, if it is.
    pub(crate) fn transient(&self) -> Option<String> {
        match self {
            Self::Reply(reply) if has_label(reply, TRANSIENT_TRANSACTION_ERROR) => {
                Some(reply.get_str("errmsg").unwrap_or("a conflict").to_owned())
            }
            Self::Lost(why) => Some(why.clone()),
            Self::Reply(_) | Self::Store(_) => None,
        }
    }

    /// What whoever runs a transaction of its own is told.
    pub(super) fn reply(self) -> Result<RawDocumentBuf, StoreError> {
        match self {
            Self::Reply(reply) => Ok(reply),
            Self::Lost(why) => {
                tracing::debug!(%why, "a transaction is lost");
                let lost = DocumentError::TransactionOver(TransactionEnd::Lost);
                Ok(serving::failed_in_transaction(&lost))
            }
            Self::Store(error) => Err(error),
        }
    }
}

/// Whether a commit is not done, by a reply that is none of one that is. The driver may have asked for it before: what else goes wrong may do so before
/// it is looked at what has become of it.
fn is_settled_by(reply: &RawDocument) -> bool {
    has_label(reply, TRANSIENT_TRANSACTION_ERROR)
}

/// Whether a primary says only for itself that there is no such transaction: once most members have that too, it says with a label that it is to be
/// run again.
fn is_not_agreed(reply: &RawDocument) -> bool {
    code_of(reply).map(ErrorCode::new) == Some(ErrorCode::NO_SUCH_TRANSACTION)
        && !has_label(reply, TRANSIENT_TRANSACTION_ERROR)
}

pub(super) fn unknown(command: &RawDocument) -> Failed {
    Failed::Store(StoreError::OutcomeUnknown { what: what(command) })
}

/// Aborts the transaction of a session. One that is not aborted is, by the server, after a minute at the latest.
pub(crate) async fn abort_in(session: &mut ClientSession) {
    if let Err(error) = session.abort_transaction().await {
        tracing::debug!(error = %error.kind, "a transaction was not aborted");
    }
}

/// The same, and waits until that is done, but not for long: where there is no primary, the driver looks for one behind this.
pub(super) async fn abort(mut session: ClientSession) {
    let aborting = tokio::spawn(async move { abort_in(&mut session).await });
    if tokio::time::timeout(ABORT_MAX, aborting).await.is_err() {
        tracing::debug!("a transaction is aborted later");
    }
}

impl Documents {
    /// Runs a command in the transaction of `session`, in as many as its size needs. When one fails, MongoDB has ended the transaction.
    pub(crate) async fn run_in(
        &self,
        session: &mut ClientSession,
        database: &str,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, Failed> {
        let Some(batch) = Batch::of(command).filter(Batch::is_too_large) else {
            return self.run_one_in(session, database, stripped(command)).await;
        };
        let mut merged = Merged::new(&batch);
        for part in batch.parts() {
            let body = stripped(&batch.command(part.clone()));
            let reply = match self.run_one_in(session, database, body).await {
                Ok(reply) => reply,
                Err(Failed::Reply(reply)) if has_succeeded(&reply) => {
                    let _ = merged.add(part, &reply);
                    return Err(Failed::Reply(merged.finish()));
                }
                Err(failed) => return Err(failed),
            };
            let _ = merged.add(part, &reply);
        }
        Ok(merged.finish())
    }

    async fn run_one_in(
        &self,
        session: &mut ClientSession,
        database: &str,
        body: RawDocumentBuf,
    ) -> Result<RawDocumentBuf, Failed> {
        // The driver sends it in no session.
        let session = (name_of(&body) != "killCursors").then_some(session);
        match self.run_raw(database, body, session).await {
            Ok(reply) if tells_of_failure(&reply) => Err(Failed::Reply(reply)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Begins a transaction in a session.
    pub(crate) async fn begin(&self, session: &mut ClientSession) -> Result<(), Failed> {
        if let Some(time) = self.concerns.acknowledged() {
            session.advance_operation_time(time);
        }
        let options = self.concerns.of_transaction();
        let begun = session.start_transaction().with_options(options).await;
        begun.map_err(|error| self.failed(&error))
    }

    /// Commits, and asks again as long as it is not known whether that was done: it is done once. `command` names it.
    pub(crate) async fn commit(
        &self,
        session: &mut ClientSession,
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let mut tries = limit.tries();
        loop {
            let Some(committed) = limit.bound(session.commit_transaction()).await else {
                return Err(unknown(command));
            };
            let Err(error) = committed else {
                if let Some(time) = session.operation_time() {
                    self.concerns.saw_time(time);
                }
                return Ok(());
            };
            let is_unknown = error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
            let is_open =
                is_unknown || error.server_response().is_some_and(|reply| is_not_agreed(reply));
            if !is_open && !is_before_sending(&error) {
                return Err(match error.server_response() {
                    Some(reply) if is_settled_by(reply) => Failed::Reply(reply.clone()),
                    _ => unknown(command),
                });
            }
            if !tries.pause().await {
                return Err(unknown(command));
            }
        }
    }

    /// What an error without a reply means for a transaction.
    pub(super) fn failed(&self, error: &Error) -> Failed {
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } => {
                Failed::Store(self.unreachable(&failure::reason(error)))
            }
            _ if is_of_network(error) => Failed::Lost(failure::reason(error)),
            _ => Failed::Store(elsewhere(error)),
        }
    }
}

/// How long it is waited until a transaction is aborted.
const ABORT_MAX: Duration = Duration::from_secs(1);
