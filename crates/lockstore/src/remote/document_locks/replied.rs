//! What replies tell.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Value};
use lockcore::{Instant, Ttl};

use crate::commands::fences;
use crate::commands::locks::documents::failure;
use crate::document_locks::{Found, HeldDocument};
use crate::error::{DocumentError, LockDocumentError, ReleaseDocumentError, StoreError};
use crate::fence::Fence;

/// The reply of a command that was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replied<'r> {
    fields: Document<'r>,
}

impl<'r> Replied<'r> {
    /// A reply; `None` when the command failed.
    fn done(reply: &'r RawDocument) -> Option<Self> {
        let fields = Document::from(reply);
        fields.get("ok").is_truthy().then_some(Self { fields })
    }

    /// What `lockDocument` has found.
    pub(crate) fn found(reply: &RawDocument) -> Result<Found<HeldDocument>, LockDocumentError> {
        let Some(it) = Replied::done(reply) else { return Err(failure::read_lock(reply)) };
        if let Some(document) = it.document("unavailableDocument") {
            return Ok(Found::Unavailable(document));
        }
        let Some(document) = it.document("lockedDocument") else { return Ok(Found::Nothing) };
        let fence = fences::read(it.fields.get("fence")).ok_or_else(|| senseless("a lock"))?;
        let (ttl, valid_until) = (it.ttl(), it.number("validUntilNS").map(Instant::from_nanos));
        let rejoined = it.fields.get("rejoined").is_truthy();
        Ok(Found::Locked(HeldDocument { document, fence, ttl, valid_until, rejoined }))
    }

    /// The grant that `lockDocument` was given, if its holder did not have it before.
    pub(super) fn new_grant(reply: &RawDocument) -> Option<Fence> {
        let it = Replied::done(reply)?;
        let rejoined = it.fields.get("rejoined").is_truthy();
        fences::read(it.fields.get("fence")).filter(|_| !rejoined)
    }

    /// What `inspectDocumentLock` tells.
    pub(super) fn holds(reply: &RawDocument) -> Result<bool, StoreError> {
        match Replied::done(reply) {
            Some(it) => Ok(it.fields.get("holds").is_truthy()),
            None => match failure::read_lock(reply) {
                LockDocumentError::Document(DocumentError::Store(error)) => Err(error),
                error => Err(StoreError::Elsewhere { what: error.to_string().into() }),
            },
        }
    }

    /// How long a lease lasts after `renewDocumentLock`.
    pub(super) fn renewed(reply: &RawDocument) -> Result<Option<Ttl>, ReleaseDocumentError> {
        let done = Replied::done(reply).ok_or_else(|| failure::read_release(reply))?;
        Ok(done.ttl())
    }

    /// Whether `unlockDocument` has done it.
    pub(super) fn released(reply: &RawDocument) -> Result<(), ReleaseDocumentError> {
        Replied::done(reply).map(|_| ()).ok_or_else(|| failure::read_release(reply))
    }

    fn document(self, name: &str) -> Option<RawDocumentBuf> {
        self.fields.get(name).as_document().map(Document::to_raw)
    }

    fn number(self, name: &str) -> Option<u64> {
        match self.fields.get(name) {
            Value::Int64(number) => u64::try_from(number).ok(),
            _ => None,
        }
    }

    fn ttl(self) -> Option<Ttl> {
        self.number("ttlMS").and_then(|millis| Ttl::from_millis(millis).ok())
    }
}

fn senseless(what: &str) -> StoreError {
    StoreError::Elsewhere { what: format!("{what} in its reply makes no sense").into() }
}
