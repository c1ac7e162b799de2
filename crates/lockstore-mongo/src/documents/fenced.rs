//! Commands within transactions of the driver, and writes that rely on grants, which run in such.

use std::ops::Range;

use bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::serving;
use lockstore::{DocumentError, Fence, StoreError, TransactionEnd};
use mongodb::ClientSession;
use mongodb::error::{
    Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
};

use super::Documents;
use super::again::Again;
use super::batch::{Batch, Merged, first_failed};
use super::body::{has_label, has_succeeded, name_of, stripped, tells_of_failure, what};
use super::limit::Limit;
use super::sending::is_of_network;
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

    /// Commits, and asks again as long as it is not known whether that was done: it is done once. `what` names it.
    pub(crate) async fn commit(
        &self,
        session: &mut ClientSession,
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let unknown = || Failed::Store(StoreError::OutcomeUnknown { what: what(command) });
        let mut tries = limit.tries();
        loop {
            let Some(committed) = limit.bound(session.commit_transaction()).await else {
                return Err(unknown());
            };
            let Err(error) = committed else {
                if let Some(time) = session.operation_time() {
                    self.concerns.saw_time(time);
                }
                return Ok(());
            };
            if !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
                return Err(match error.server_response() {
                    // It is done, but not on as many members as it should be.
                    Some(reply) if has_succeeded(reply) => unknown(),
                    Some(reply) => Failed::Reply(reply.clone()),
                    None => self.failed(&error),
                });
            }
            if !tries.pause().await {
                return Err(unknown());
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

    /// Runs a command that changes something, and relies on grants: in a transaction with them. Changes of collections and indexes, and
    /// pipelines that write, MongoDB runs in no transaction: for these the grants are checked just before.
    pub(super) async fn run_fenced(
        &self,
        database: &str,
        command: &RawDocument,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        if !IN_TRANSACTIONS.contains(&name_of(command)) {
            return self.run_behind(database, command, fences, limit).await;
        }
        let done = self.relying(database, command, fences, limit).await?;
        let refused = match done {
            Ok(reply) => return Ok(reply),
            Err(refused) => refused,
        };
        match (Batch::of(command), first_failed(&refused)) {
            // Outside of a transaction, one that fails leaves those that come before, and if they are in no order, after.
            (Some(batch), Some(failed)) if batch.len() > 1 => {
                let apart = if batch.is_ordered {
                    vec![0..failed, failed..failed + 1]
                } else {
                    (0..batch.len()).map(|index| index..index + 1).collect()
                };
                self.relying_apart(database, &batch, apart, fences, limit).await
            }
            _ => Ok(refused),
        }
    }

    /// Runs a command that MongoDB runs in no transaction, and checks just before each try what it relies on.
    async fn run_behind(
        &self,
        database: &str,
        command: &RawDocument,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (again, mut tries) = (Again::of(command), limit.tries());
        loop {
            match self.check_grants(fences, limit).await {
                Ok(()) => {}
                Err(Failed::Reply(refused)) => return Ok(refused),
                Err(Failed::Lost(why)) => return Err(self.unreachable(&why)),
                Err(Failed::Store(error)) => return Err(error),
            }
            let sent = self.send(database, command, again, None, limit.once()).await;
            let failed = match sent {
                Err(error @ StoreError::Unreachable { .. }) => error,
                Err(error @ StoreError::OutcomeUnknown { .. }) if again == Again::Freely => error,
                done => return done,
            };
            if !tries.pause().await {
                return Err(failed);
            }
        }
    }

    /// Runs the statements of a batch in several transactions.
    async fn relying_apart(
        &self,
        database: &str,
        batch: &Batch<'_>,
        apart: Vec<Range<usize>>,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let mut merged = Merged::new(batch);
        for part in apart.into_iter().filter(|part| !part.is_empty()) {
            let command = batch.command(part.clone());
            let came = Box::pin(self.run_fenced(database, &command, fences, limit)).await;
            if merged.take(batch, part, came)?.is_break() {
                break;
            }
        }
        Ok(merged.finish())
    }

    /// Runs a command in a transaction that relies on grants, again after conflicts; gives its reply, or the one that tells why nothing was
    /// done.
    async fn relying(
        &self,
        database: &str,
        command: &RawDocument,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<Result<RawDocumentBuf, RawDocumentBuf>, StoreError> {
        let mut tries = limit.tries();
        loop {
            let mut session = self.session(limit).await?;
            let run = async {
                self.begin(&mut session).await?;
                self.run_in(&mut session, database, command).await
            };
            let Some(ran) = limit.bound(run).await else {
                // Nothing is committed; the driver aborts what it drops.
                return Err(self.unreachable("no reply in time"));
            };
            let committed = match ran {
                Ok(reply) => {
                    let relying =
                        self.commit_relying(&mut session, fences, &[], limit, command).await;
                    relying.map(|()| reply)
                }
                // What cannot be done is told to those who may do it.
                Err(failed) if failed.transient().is_none() => {
                    self.check_grants(fences, limit).await.and(Err(failed))
                }
                Err(failed) => Err(failed),
            };
            let ended = match committed {
                Ok(reply) => return Ok(Ok(reply)),
                Err(failed) => failed,
            };
            let why = ended.transient();
            let told = match ended {
                Failed::Reply(reply) => Ok(Err(reply)),
                Failed::Lost(why) => Err(self.unreachable(&why)),
                Failed::Store(error) => Err(error),
            };
            let Some(why) = why else { return told };
            tracing::debug!(command = name_of(command), %why, "run again");
            if !tries.pause().await {
                return told;
            }
        }
    }
}

/// The writes that MongoDB runs in transactions.
const IN_TRANSACTIONS: [&str; 5] = ["delete", "findAndModify", "findandmodify", "insert", "update"];
