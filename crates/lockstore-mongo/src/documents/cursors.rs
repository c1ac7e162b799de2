//! Results that are fetched in batches.
//!
//! A cursor is on the server that has made it, and belongs to the session in which it was made. So that session stays with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use lockstore::{ErrorCode, StoreError};
use mongodb::ClientSession;
use mongodb::error::ErrorKind;
use tokio::time::Instant as Moment;

use super::again::Again;
use super::body::{has_succeeded, name_of, number, stripped};
use super::judging::{is_going, is_of_network};
use super::limit::Limit;
use super::sending::Within;
use super::{Documents, refused};
use crate::failure::elsewhere;

/// The cursors that are open, by number.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    open: Mutex<HashMap<i64, OpenCursor>>,
}

#[derive(Debug)]
struct OpenCursor {
    session: ClientSession,
    /// When somebody last asked for it.
    used: Moment,
}

impl Cursors {
    fn is_full(&self) -> bool {
        let mut open = self.open();
        // MongoDB has given these up.
        open.retain(|_, cursor| cursor.used.elapsed() < IDLE_MAX);
        open.len() >= OPEN_MAX
    }

    /// Keeps the session of a cursor, if there is more of it.
    fn keep(&self, reply: &RawDocument, session: ClientSession) {
        let id = reply.get_document("cursor").ok().and_then(|cursor| number(cursor, "id"));
        if let Some(id) = id.filter(|id| *id != 0) {
            self.open().insert(id, OpenCursor { session, used: Moment::now() });
        }
    }

    /// Takes a cursor out: nobody else may use it meanwhile.
    fn take(&self, id: i64) -> Option<ClientSession> {
        self.open().remove(&id).map(|cursor| cursor.session)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<i64, OpenCursor>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the reply of a command may have a cursor in it.
pub(super) fn may_open(command: &RawDocument) -> bool {
    matches!(name_of(command), "aggregate" | "find" | "listCollections" | "listIndexes")
}

impl Documents {
    /// Runs a command that may open a cursor.
    pub(super) async fn open_cursor(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        if self.cursors.is_full() {
            let message = format!("{OPEN_MAX} cursors are open: none more can be");
            return Ok(refused(ErrorCode::EXCEEDED_MEMORY_LIMIT, message));
        }
        let mut session = self.session(limit).await?;
        let within = Within { session: &mut session, txn_number: None };
        let reply = self.send(database, command, Again::of(command), Some(within), limit).await?;
        self.cursors.keep(&reply, session);
        Ok(reply)
    }

    /// The next batch: `getMore`. It is asked for once, for nobody knows where a cursor stands whose reply was lost.
    pub(super) async fn get_more(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let id = number(command, "getMore").unwrap_or(0);
        let Some(mut session) = self.cursors.take(id) else {
            return Ok(not_found(id, "nobody has it open"));
        };
        let asked = self.run_raw(database, stripped(command), Some(&mut session));
        let Some(asked) = limit.bound(asked).await else {
            return Err(self.unreachable("no reply in time"));
        };
        match asked {
            Ok(reply) if has_succeeded(&reply) => {
                self.cursors.keep(&reply, session);
                Ok(reply)
            }
            Ok(reply) if is_going(&reply) => Ok(not_found(id, "its server goes")),
            Ok(reply) => Ok(reply),
            Err(error) if is_of_network(&error) => Ok(not_found(id, "its server is gone")),
            Err(error) => match error.kind.as_ref() {
                ErrorKind::ServerSelection { .. } => Ok(not_found(id, "its server is gone")),
                _ => Err(elsewhere(&error)),
            },
        }
    }

    /// Gives cursors up: `killCursors`, which the driver sends in no session of ours.
    pub(super) async fn kill_cursors(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        if let Ok(ids) = command.get_array("cursors") {
            for id in ids.into_iter().flatten().filter_map(bson::RawBsonRef::as_i64) {
                drop(self.cursors.take(id));
            }
        }
        self.send(database, command, Again::Freely, None, limit).await
    }

    /// A session of the driver's.
    pub(crate) async fn session(&self, limit: Limit) -> Result<ClientSession, StoreError> {
        match limit.bound(self.client.start_session()).await {
            Some(session) => session.map_err(|error| elsewhere(&error)),
            None => Err(self.unreachable("no session could be opened in time")),
        }
    }
}

fn not_found(id: i64, why: &str) -> RawDocumentBuf {
    refused(ErrorCode::CURSOR_NOT_FOUND, format!("cursor id {id} not found: {why}"))
}

/// How long a cursor is kept that nobody asks for: MongoDB has ended its session by then.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);

/// How many cursors may be open at a time.
const OPEN_MAX: usize = 10_000;
