//! Retryable writes.
//!
//! The driver numbers the writes of its own interface, not commands. So these are sent in sessions of the driver's that stay here, under
//! numbers of ours; it adds the `lsid`, and leaves the `txnNumber` in the command alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bson::{RawDocument, RawDocumentBuf};
use lockstore::StoreError;
use mongodb::ClientSession;

use super::again::Again;
use super::limit::Limit;
use super::{Documents, sending};

/// The sessions in which nothing is under way: as many as were in use at once. They are never given back to the driver, whose numbers would be
/// older than ours.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    idle: Mutex<Vec<NumberedSession>>,
}

/// A session, and the number of its last write.
#[derive(Debug)]
struct NumberedSession {
    session: ClientSession,
    number: i64,
}

/// A session while it is in use. It comes back also from a write that was given up: the next one has another number.
struct Lent<'p> {
    from: &'p Numbered,
    session: Option<NumberedSession>,
}

impl Numbered {
    fn take(&self) -> Option<NumberedSession> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<NumberedSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.from.idle().extend(self.session.take());
    }
}

impl Documents {
    /// Runs a write that is done once, however often it has to be sent.
    pub(super) async fn run_numbered(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let idle = self.numbered.take();
        let mut lent = Lent { from: &self.numbered, session: idle };
        if lent.session.is_none() {
            let session = self.session(limit).await?;
            lent.session = Some(NumberedSession { session, number: FIRST_NUMBER });
        }
        let it = lent.session.as_mut().expect("it was opened");
        it.number += 1;
        let within = sending::Within { session: &mut it.session, txn_number: Some(it.number) };
        self.send(database, command, Again::Numbered, Some(within), limit).await
    }
}

/// Above all numbers that the driver may have given in a session before.
const FIRST_NUMBER: i64 = 1 << 32;
