//! Documents that are locked, and by whom.

use bson::{RawDocumentBuf, rawdoc};
use docquery::{Document, Value, Writer};

use super::Place;
use super::cursor::{Cursor, Shown};
use super::select::Selector;
use crate::document_locks::fields::{LOCK_TIME_KEY, holder};
use crate::document_locks::side_grant::side_key;
use crate::documents::CollectionId;
use crate::documents::execution::{Extent, Row};
use crate::engine::Engine;
use crate::error::DocumentError;

impl Place<'_> {
    /// Who has locked which documents: `{ _id, lockId, lockTime, token, session, expiresAtNS }` for each, without what it does not
    /// have.
    pub(crate) fn locked_documents(&self) -> Result<Cursor, DocumentError> {
        // Free is what is not greater than null; an index can be asked for the first part.
        let is_locked = rawdoc! {
            "lock_id": { "$ne": null }, "$expr": { "$gt": ["$lock_id", null] },
        };
        let query = self.query(&Selector::about(is_locked))?;
        let (execution, _) = self.execute(&query, Extent::default())?;
        Ok(match execution.collection() {
            Some(collection) => Cursor::of(execution, Shown::Lock(collection), self.deadline()),
            None => Cursor::over(Vec::new()),
        })
    }
}

/// Who has locked a document of a collection.
pub(super) fn shown(engine: &Engine, collection: CollectionId, row: Row<'_>) -> RawDocumentBuf {
    let document = Document::from(row.document);
    let lock_id = holder(row.document).unwrap_or_default();
    let mut fields = Writer::new();
    fields.field("_id", document.get("_id"));
    fields.field("lockId", Value::String(&lock_id));
    if let time @ Value::DateTime(_) = document.get(LOCK_TIME_KEY) {
        fields.field("lockTime", time);
    }
    let view = engine.published.view();
    let lock = view.lock(&side_key((collection, row.record)));
    if let Some(grant) = lock.and_then(|lock| lock.grant_of(&lock_id)) {
        fields.field("token", Value::Int64(grant.token.get().cast_signed()));
        if let Some(session) = grant.session {
            fields.field("session", Value::Int64(session.get().cast_signed()));
        }
        if let Some(lease) = grant.lease {
            let nanos = i64::try_from(lease.expires_at.as_nanos()).unwrap_or(i64::MAX);
            fields.field("expiresAtNS", Value::Int64(nanos));
        }
    }
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}
