//! Writes that rely on grants, in transactions of the driver.

use std::ops::Range;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use lockstore::{Fence, StoreError};
use mongodb::ClientSession;

use super::Documents;
use super::again::Again;
use super::batch::{Batch, Merged, first_failed};
use super::body::name_of;
use super::limit::Limit;
use super::within::{Failed, unknown};

impl Documents {
    /// Runs a command that changes something, and relies on grants: in a transaction with them. Changes of collections and indexes, and
    /// pipelines that write, MongoDB runs in no transaction: for these the grants are checked just before.
    pub(super) async fn run_fenced(
        self: &Arc<Self>,
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
        self: &Arc<Self>,
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
        self: &Arc<Self>,
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
        self: &Arc<Self>,
        database: &str,
        command: &RawDocument,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<Result<RawDocumentBuf, RawDocumentBuf>, StoreError> {
        let mut tries = limit.tries();
        loop {
            let (it, session) = (Arc::clone(self), self.session(limit).await?);
            let running = it.run_whole(session, database.to_owned(), command.to_owned());
            let Some((session, ran)) = limit.bound_whole(running).await else {
                // Nothing is committed.
                return Err(self.unreachable("no reply in time"));
            };
            let committed = match ran {
                Ok(reply) => {
                    self.commit_whole(session, fences, limit, command).await.map(|()| reply)
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

    /// Runs a command in a transaction, which the driver aborts when the session is dropped.
    async fn run_whole(
        self: Arc<Self>,
        mut session: ClientSession,
        database: String,
        command: RawDocumentBuf,
    ) -> (ClientSession, Result<RawDocumentBuf, Failed>) {
        let ran = match self.begin(&mut session).await {
            Ok(()) => self.run_in(&mut session, &database, &command).await,
            Err(failed) => Err(failed),
        };
        (session, ran)
    }

    /// Commits what relies on grants, which are held until it is known what has become of it.
    async fn commit_whole(
        self: &Arc<Self>,
        mut session: ClientSession,
        fences: &[Fence],
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let hold = self.hold_for(&mut session, fences, limit).await?;
        let (it, own) = (Arc::clone(self), command.to_owned());
        let unbound = limit.without_deadline();
        let committing = async move { it.commit_held(&mut session, hold, unbound, &own).await };
        let committed = limit.bound_whole(committing).await;
        committed.unwrap_or_else(|| Err(unknown(command)))
    }
}

/// The writes that MongoDB runs in transactions.
const IN_TRANSACTIONS: [&str; 5] = ["delete", "findAndModify", "findandmodify", "insert", "update"];
