//! Cursors that are left open between `find` or `aggregate` and `getMore`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docquery::{Error, ErrorCode, Value, limits};
use lockcore::Instant;

use super::Call;
use super::reply::Reply;
use crate::client_sessions::Lsid;
use crate::documents::Namespace;
use crate::error::DocumentError;
use crate::operations::Cursor;

/// The cursors of a store, by number.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    open: Mutex<HashMap<i64, OpenCursor>>,
    last: AtomicI64,
}

/// Whose cursor it is: only they go on with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owner {
    /// The client session.
    pub(super) lsid: Option<Lsid>,
    /// The number of the transaction in it.
    pub(super) transaction: Option<i64>,
}

#[derive(Debug)]
struct OpenCursor {
    owner: Owner,
    namespace: Box<str>,
    cursor: Cursor,
    /// When somebody last asked for it.
    used: Instant,
}

/// How many documents a batch has.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSize(Option<u64>);

impl BatchSize {
    pub(super) fn of(asked: Option<u64>) -> Self {
        Self(asked)
    }

    /// How many the first batch has at most: it may be none.
    pub(super) fn first(self) -> usize {
        self.0.map_or(FIRST_BATCH, |size| usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// How many a later batch has at most.
    fn next(self) -> usize {
        match self.0 {
            None | Some(0) => usize::MAX,
            Some(size) => usize::try_from(size).unwrap_or(usize::MAX),
        }
    }
}

impl Call<'_> {
    /// The first batch of a cursor, which is left open if there is more and it is not the only one.
    pub(super) fn reply_with_cursor(
        &self,
        namespace: &str,
        mut cursor: Cursor,
        size: BatchSize,
        single_batch: bool,
    ) -> Result<Reply, DocumentError> {
        let batch = cursor.next_batch(self.engine, size.first(), limits::DOCUMENT_BYTES_MAX)?;
        let id = if single_batch || cursor.is_finished() {
            0
        } else {
            self.engine.cursors.keep(self.owner, namespace, cursor, self.engine.clock.now())?
        };
        Ok(Reply::batch(namespace, "firstBatch", &batch, id))
    }
}

impl Cursors {
    fn keep(
        &self,
        owner: Owner,
        namespace: &str,
        cursor: Cursor,
        now: Instant,
    ) -> Result<i64, Error> {
        let mut open = self.lock();
        open.retain(|_, cursor| now.saturating_since(cursor.used) < IDLE_MAX);
        if open.len() >= OPEN_MAX {
            let message = format!("{OPEN_MAX} cursors are open: none more can be");
            return Err(Error::new(ErrorCode::EXCEEDED_MEMORY_LIMIT, message));
        }
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        open.insert(id, OpenCursor { owner, namespace: namespace.into(), cursor, used: now });
        Ok(id)
    }

    /// Takes a cursor out: nobody else may use it meanwhile.
    fn take(&self, id: i64, owner: Owner, namespace: &str, now: Instant) -> Result<Cursor, Error> {
        let mut open = self.lock();
        let not_found =
            || Error::new(ErrorCode::CURSOR_NOT_FOUND, format!("cursor id {id} not found"));
        let found = open.get(&id).ok_or_else(not_found)?;
        if &*found.namespace != namespace {
            return Err(Error::new(
                ErrorCode::UNAUTHORIZED,
                format!("cursor {id} belongs to '{}', not to '{namespace}'", found.namespace),
            ));
        }
        found.owner.check(id, owner)?;
        let found = open.remove(&id).ok_or_else(not_found)?;
        if now.saturating_since(found.used) >= IDLE_MAX {
            return Err(not_found());
        }
        Ok(found.cursor)
    }

    fn put_back(&self, id: i64, owner: Owner, namespace: &str, cursor: Cursor, now: Instant) {
        let namespace = namespace.into();
        self.lock().insert(id, OpenCursor { owner, namespace, cursor, used: now });
    }

    /// Ends the cursors of a client session, or of one transaction in it.
    pub(super) fn kill_of(&self, lsid: Lsid, transaction: Option<i64>) {
        self.lock().retain(|_, OpenCursor { owner, .. }| {
            owner.lsid != Some(lsid) || (transaction.is_some() && owner.transaction != transaction)
        });
    }

    /// Ends the cursors of all client sessions.
    pub(super) fn kill_all_of_sessions(&self) {
        self.lock().retain(|_, cursor| cursor.owner.lsid.is_none());
    }

    fn kill(&self, id: i64) -> bool {
        self.lock().remove(&id).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, OpenCursor>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Checks that `by` may go on with a cursor of this owner.
    fn check(self, id: i64, by: Self) -> Result<(), Error> {
        let refused = |code, why: String| {
            Err(Error::location(
                code,
                format!("Cannot run getMore on cursor {id}, which was {why}"),
            ))
        };
        match (self.lsid, by.lsid) {
            (None, Some(by)) => {
                return refused(50736, format!("not created in a session, in session {by}"));
            }
            (Some(own), None) => {
                return refused(50737, format!("created in session {own}, without an lsid"));
            }
            (Some(own), Some(by)) if own != by => {
                return refused(50738, format!("created in session {own}, in session {by}"));
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        match (self.transaction, by.transaction) {
            (None, Some(by)) => {
                refused(50739, format!("not created in a transaction, in transaction {by}"))
            }
            (Some(own), None) => {
                refused(50740, format!("created in transaction {own}, without a txnNumber"))
            }
            (Some(own), Some(by)) if own != by => {
                refused(50741, format!("created in transaction {own}, in transaction {by}"))
            }
            (None, None) | (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// `getMore`.
pub(super) fn get_more(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("getMore")?;
    let Value::Int64(id) = call.target else {
        return Err(Error::type_mismatch(format!(
            "BSON field 'getMore.getMore' is the wrong type '{}', expected type 'long'",
            call.target.type_name()
        ))
        .into());
    };
    let collection = arguments.text("collection")?;
    let collection = arguments.required("collection", collection)?;
    let size = BatchSize(arguments.count("batchSize")?);
    arguments.value("term");
    arguments.value("lastKnownCommittedOpTime");
    arguments.finish()?;
    let namespace = list_namespace(call.database, collection)?;
    let cursors = &call.engine.cursors;
    let mut cursor = cursors.take(id, call.owner, &namespace, call.engine.clock.now())?;
    let batch = cursor.next_batch(call.engine, size.next(), limits::DOCUMENT_BYTES_MAX)?;
    let left = if cursor.is_finished() {
        0
    } else {
        cursors.put_back(id, call.owner, &namespace, cursor, call.engine.clock.now());
        id
    };
    Ok(Reply::batch(&namespace, "nextBatch", &batch, left))
}

/// `killCursors`.
pub(super) fn kill(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("killCursors")?;
    let namespace = call.namespace()?;
    let ids = arguments.array("cursors")?;
    let ids = arguments.required("cursors", ids)?;
    arguments.finish()?;
    drop(namespace);
    let ids = ids.iter().map(|id| match id {
        Value::Int64(id) => Ok(id),
        other => Err(Error::type_mismatch(format!(
            "BSON field 'killCursors.cursors' is the wrong type '{}', expected type 'long'",
            other.type_name()
        ))),
    });
    let (killed, not_found): (Vec<i64>, Vec<i64>) = ids
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .partition(|id| call.engine.cursors.kill(*id));
    let mut reply = Reply::new();
    for (name, ids) in [
        ("cursorsKilled", killed),
        ("cursorsNotFound", not_found),
        ("cursorsAlive", Vec::new()),
        ("cursorsUnknown", Vec::new()),
    ] {
        reply.fields.open_array(name);
        for id in ids {
            reply.fields.item(Value::Int64(id));
        }
        reply.fields.close();
    }
    Ok(reply)
}

/// The namespace of a cursor: of a collection, or of a list that a command has made.
fn list_namespace(database: &str, collection: &str) -> Result<String, Error> {
    if collection.starts_with("$cmd.") {
        return Ok(format!("{database}.{collection}"));
    }
    Ok(Namespace::new(database, collection)?.to_string())
}

/// How many documents the first batch has where nobody says.
const FIRST_BATCH: usize = 101;

/// How long a cursor is kept that nobody asks for.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// How many cursors may be open at a time.
const OPEN_MAX: usize = 10_000;
