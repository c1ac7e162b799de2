//! Documents that are locked: who holds which, and unlocking them by force.

use std::collections::HashSet;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, DateTime, RawDocument, rawdoc};
use docquery::{Document, Value};
use lockcore::{SessionId, Token};
use serde::Serialize;

use super::Collection;
use super::given::{Asked, parsed};
use crate::document_locks::fields::{LOCK_TIME_KEY, holder};
use crate::document_locks::side_grant::side_key;
use crate::document_locks::{BreakDocument, DocumentAt, LockAnswer};
use crate::documents::execution::Extent;
use crate::documents::plan::Query;
use crate::documents::{CollectionId, RecordId};
use crate::error::{ArgumentError, DocumentError, LockDocumentError, unexpected};
use crate::info::BreakRecord;
use crate::operations::{self, AHEAD, FindRequest, Place, Selector};
use crate::records::REASON_BYTES_MAX;
use crate::request::{Answer, Task};
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
        let place = self.place(None)?.here();
        let request = FindRequest {
            selector: Selector {
                filter: rawdoc! { "lock_id": { "$ne": null } },
                ..Selector::default()
            },
            projection: Some(rawdoc! { "lock_id": 1, "lock_time": 1 }),
            show_record_id: true,
            ..FindRequest::default()
        };
        let collection = place.collection()?.map(|collection| collection.id());
        let mut found = place.find(&request)?;
        found.read_ahead(self.store.engine(), AHEAD)?;
        Ok(LockedDocuments { store: self.store.clone(), collection, found })
    }

    /// Unlocks all documents that match `filter` and are locked, whoever holds them, each with a record of it in the same commit
    /// that has the `reason`. Their holders' locks are over. Where an update has locked a document, the record has a token
    /// that nobody else has had. At most 10,000 documents: call it again for more.
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
        let place = asked.place(self)?.here();
        let query = place.query(&asked.selector)?;
        let (mut execution, sequence) = place.execute(&query, Extent::default())?;
        let Some(collection) = execution.collection() else { return Ok(Vec::new()) };
        let (mut records, mut seen) = (Vec::new(), HashSet::new());
        execution.run(place.engine(), &mut |row| {
            if holder(row.document).is_some() && seen.insert(row.record) {
                records.push(row.record);
            }
            let is_full = records.len() >= UNLOCKED_MAX;
            Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        drop(execution);
        let mut broken = Vec::with_capacity(records.len());
        for record in records {
            let at = (collection, record);
            broken.extend(break_document(&place, at, &query, sequence, reason)?);
        }
        Ok(broken)
    }
}

/// Unlocks one document by force, if it matches still and is locked.
fn break_document(
    place: &Place<'_>,
    at: DocumentAt,
    query: &Query,
    mut seen: u64,
    reason: &str,
) -> Result<Option<BreakRecord>, LockDocumentError> {
    let engine = place.engine();
    loop {
        let (filter, namespace) = (Arc::clone(&query.filter), place.namespace().clone());
        let task = BreakDocument { at, filter, seen, namespace, reason: reason.into() };
        match engine.call(Task::BreakDocument(Box::new(task))) {
            Answer::Broken(record) => return Ok(Some(*record)),
            Answer::DocumentLock(answer) => match *answer {
                LockAnswer::NothingToBreak => return Ok(None),
                LockAnswer::NotBroken(error) => return Err(error.into()),
                LockAnswer::BreakAgain => {}
                other => return Err(unexpected(&Answer::DocumentLock(Box::new(other))).into()),
            },
            Answer::Failed(error) => return Err(error.into()),
            answer => return Err(unexpected(&answer).into()),
        }
        let reading = engine.reading()?;
        if reading.catalog().collection_with(at.0).is_none() {
            return Ok(None);
        }
        let document = reading.document(at.0, at.1).map_err(DocumentError::from)?;
        let Some(document) = document else { return Ok(None) };
        if !query.filter.matches(document.raw()).map_err(DocumentError::from)? {
            return Ok(None);
        }
        seen = reading.sequence();
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
pub struct LockedDocuments {
    store: Store,
    collection: Option<CollectionId>,
    found: operations::Cursor,
}

impl Iterator for LockedDocuments {
    type Item = Result<LockedDocument, DocumentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.found.next_document(self.store.engine(), AHEAD) {
                Ok(Some(document)) => {
                    if let Some(locked) = self.read(&document) {
                        return Some(Ok(locked));
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl FusedIterator for LockedDocuments {}

impl LockedDocuments {
    /// What a document says of its lock; `None` when it is not locked, though there is something in its `lock_id`.
    fn read(&self, document: &RawDocument) -> Option<LockedDocument> {
        let lock_id = holder(document)?;
        let fields = Document::from(document);
        let record = match fields.get("$recordId") {
            Value::Int64(record) => Some(RecordId::new(record.cast_unsigned())),
            _ => None,
        };
        let engine = self.store.engine();
        let view = engine.published.view();
        let lock = self.collection.zip(record).and_then(|at| view.lock(&side_key(at)));
        let grant = lock.and_then(|lock| lock.grant_of(&lock_id));
        let now = engine.clock.now();
        Some(LockedDocument {
            id: document.get("_id").ok().flatten().map_or(Bson::Null, |id| parsed(id.into())),
            lock_time: match fields.get(LOCK_TIME_KEY) {
                Value::DateTime(millis) => Some(DateTime::from_millis(millis)),
                _ => None,
            },
            token: grant.map(|grant| grant.token),
            session: grant.and_then(|grant| grant.session),
            remaining: grant
                .and_then(|grant| grant.lease)
                .map(|lease| lease.expires_at.saturating_since(now)),
            lock_id,
        })
    }
}

impl fmt::Debug for LockedDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedDocuments").field("found", &self.found).finish_non_exhaustive()
    }
}

/// How many documents one call unlocks.
const UNLOCKED_MAX: usize = 10_000;
