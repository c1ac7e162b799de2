//! Documents that are locked: who holds which, and unlocking them by force.

use std::iter::FusedIterator;
use std::time::Duration;

use bson::{Bson, DateTime, RawDocument};
use docquery::{Document, Value};
use lockcore::{Instant, SessionId, Token};
use serde::Serialize;

use super::Collection;
use super::cursor::Found;
use super::given::{Asked, parsed};
use crate::error::{ArgumentError, DocumentError, LockDocumentError};
use crate::info::BreakRecord;
use crate::records::REASON_BYTES_MAX;
use crate::store::Store;

impl<T> Collection<T> {
    /// The documents that are locked, in whatever way, one after the other: who holds which, since when, and until when.
    ///
    /// ```
    /// use lockstore::Store;
    /// use lockstore::bson::{Document, doc};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2, "lock_id": "by hand" }, doc! { "_id": 3 }]).run()?;
    /// let _lock = jobs.lock_document(doc! { "_id": 1 }).lock_id("worker-1").acquire()?;
    /// let locked = jobs.locked_documents()?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!(locked.iter().map(|it| &*it.lock_id).collect::<Vec<_>>(), ["worker-1", "by hand"]);
    ///
    /// let broken = jobs.unlock(doc! { "_id": 2 }, "nobody knows who did that")?;
    /// assert_eq!(broken[0].holder.as_str(), "by hand");
    /// assert_eq!(store.audit(None, 1)?, broken);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn locked_documents(&self) -> Result<LockedDocuments, DocumentError> {
        let found = self.place(None)?.locked_documents()?;
        Ok(LockedDocuments { store: self.store.clone(), found })
    }

    /// Unlocks all documents that match `filter` and are locked, whoever holds them, each with a record of it in the same commit
    /// that has the `reason`. Their holders' locks are over. Where an update has locked a document, the record has a token
    /// that nobody else has had. At most 4,096 documents: call it again for more.
    ///
    /// Gives the records, in the order in which the documents were found. Their keys name the documents:
    /// `document factory.jobs { _id: 1 }`.
    ///
    /// # Errors
    ///
    /// [`LockDocumentError`]. The documents before the one that could not be unlocked are unlocked then, durably.
    pub fn unlock(
        &self,
        filter: impl Serialize,
        reason: &str,
    ) -> Result<Vec<BreakRecord>, LockDocumentError> {
        if reason.len() > REASON_BYTES_MAX {
            let (bytes, bytes_max) = (reason.len(), REASON_BYTES_MAX);
            return Err(ArgumentError::ReasonTooLong { bytes, bytes_max }.into());
        }
        self.refuse_in_transaction("a lock is not broken")?;
        let asked = Asked::about(&filter);
        asked.place(self)?.break_document_locks(&asked.selector, reason)
    }
}

/// A document that is locked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LockedDocument {
    /// Its `_id`.
    pub id: Bson,
    /// Who has locked it. What is no string, as another program may have set it, is shown as people write it.
    pub lock_id: String,
    /// When it was locked, if it says so.
    pub lock_time: Option<DateTime>,
    /// The fencing token, if this library has locked it.
    pub token: Option<Token>,
    /// The session that the lock ends with, if it is bound to one.
    pub session: Option<SessionId>,
    /// How long the lock lasts yet; `None` when it has no end.
    pub remaining: Option<Duration>,
}

/// The documents of a collection that are locked, made by [`Collection::locked_documents`]. They are read in batches, each as of
/// one commit. After an error it is at its end.
#[must_use = "documents are read when it is iterated"]
#[derive(Debug)]
pub struct LockedDocuments {
    store: Store,
    found: Found,
}

impl Iterator for LockedDocuments {
    type Item = Result<LockedDocument, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.found.next_document(&self.store);
        let now = self.store.backend().now();
        found.map(|found| found.map(|found| LockedDocument::read(&found, now))).transpose()
    }
}

impl FusedIterator for LockedDocuments {}

impl LockedDocument {
    /// What was found, as of `now`.
    fn read(found: &RawDocument, now: Instant) -> Self {
        let fields = Document::from(found);
        let number = |name| match fields.get(name) {
            Value::Int64(number) => Some(number.cast_unsigned()),
            _ => None,
        };
        Self {
            id: found.get("_id").ok().flatten().map_or(Bson::Null, |id| parsed(id.into())),
            lock_id: fields.get("lockId").as_str().unwrap_or_default().to_owned(),
            lock_time: match fields.get("lockTime") {
                Value::DateTime(millis) => Some(DateTime::from_millis(millis)),
                _ => None,
            },
            token: number("token").and_then(Token::new),
            session: number("session").and_then(SessionId::new),
            remaining: number("expiresAtNS")
                .map(|nanos| Instant::from_nanos(nanos).saturating_since(now)),
        }
    }
}
