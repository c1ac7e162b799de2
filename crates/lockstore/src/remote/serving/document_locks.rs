//! Locks of documents: their commands, checked as a store checks them, how they are acquired, and the replies of a store.
//!
//! A command that is refused is refused by its reply, which is ready to be sent.

use bson::{RawBson, RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Document, Environment, Value, Writer};
use lockcore::{Holder, Instant, Key, SessionId, Ttl};
use std::time::Duration;

use crate::clock::WallTime;
use crate::commands::failed;
use crate::commands::locks::documents::{break_locks, failure, held, list, lock, unlock};
use crate::document_locks::request::{only_free, with_lock_fields};
pub use crate::document_locks::{
    Acquisition, Found, HeldDocument, LockUpdate, Look, Looked, Meeting, Mode, Next, Patience,
    Release, Turn,
};
use crate::document_locks::{LockDocumentRequest, fields};
use crate::documents::Namespace;
use crate::error::{DocumentError, LockDocumentError, ReleaseDocumentError};
use crate::fence::Fence;
use crate::info::BreakRecord;

/// The collection that a command is about.
///
/// # Errors
///
/// It names none.
pub fn collection<'c>(database: &str, command: &'c RawDocument) -> Result<&'c str, RawDocumentBuf> {
    let target = Document::from(command).first().map_or(Value::Missing, |(_, target)| target);
    let Value::String(name) = target else {
        let message = format!("collection name has invalid type {}", target.type_name());
        let error = docquery::Error::new(docquery::ErrorCode::INVALID_NAMESPACE, message);
        return Err(failed(&error.into()));
    };
    match Namespace::new(database, name) {
        Ok(_) => Ok(name),
        Err(error) => Err(failed(&error.into())),
    }
}

/// What of a command finds its documents. How documents are found is for who finds them to say: nothing is checked but its form.
#[derive(Clone, Debug)]
pub struct Finding {
    /// With `lock_id: null` in place of what it says of that, where documents that are locked are [passed over](Mode::Pass).
    pub filter: RawDocumentBuf,
    /// Which comes first.
    pub sort: Option<RawDocumentBuf>,
    /// The index to use.
    pub hint: Option<RawBson>,
    /// How strings are compared.
    pub collation: Option<RawBson>,
    /// The command's `let`.
    pub variables: Option<RawDocumentBuf>,
}

/// `lockDocument`.
#[derive(Clone, Debug)]
pub struct LockDocument {
    /// Which document.
    pub finding: Finding,
    /// What a document that is locked already means.
    pub mode: Mode,
    /// What is changed together with its lock.
    pub update: Option<LockUpdate>,
    /// What of the document is shown: with `_id` and the fields of the lock.
    pub projection: Option<RawDocumentBuf>,
    /// Who locks it.
    pub lock_id: Holder,
    /// Whether nobody has used this `lock_id` before.
    pub is_new_lock_id: bool,
    /// Whether it may have come before, as far as its sender knows.
    pub is_resent: bool,
    /// How long it waits for a document that is locked.
    pub patience: Option<Patience>,
    /// How long one look may take.
    pub max_time: Option<Duration>,
    /// How long its lease lasts.
    pub ttl: Option<Ttl>,
    /// With which session it ends.
    pub session: Option<SessionId>,
    /// Whether the document shows its token.
    pub show_token: bool,
    /// What it relies on.
    pub fences: Vec<Fence>,
}

impl LockDocument {
    /// Parses `lockDocument`, which has come at `now`.
    ///
    /// # Errors
    ///
    /// It is refused, with this reply.
    pub fn parse(
        command: &RawDocument,
        now: Instant,
        wall: WallTime,
    ) -> Result<Self, RawDocumentBuf> {
        Self::parsed(command, now, wall).map_err(|error| failure::write_lock(&error))
    }

    fn parsed(
        command: &RawDocument,
        now: Instant,
        wall: WallTime,
    ) -> Result<Self, LockDocumentError> {
        let raw = Raw::of(command);
        let request = lock::parse(Document::from(&*raw.rest), now)?;
        let LockDocumentRequest { selector, mode, update, projection, .. } = request;
        let now_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        let update = update.filter(|update| !update.is_empty());
        if let Some(update) = &update {
            update.check(now_ms)?;
        }
        let projection = match projection.filter(|projection| !projection.is_empty()) {
            Some(projection) => {
                let environment = Environment::new(now_ms);
                let environment = match &selector.variables {
                    Some(variables) => {
                        environment.with_let(variables).map_err(DocumentError::from)?
                    }
                    None => environment,
                };
                with_lock_fields(&projection, &environment).map_err(DocumentError::from)?
            }
            None => None,
        };
        let filter = match mode {
            Mode::Pass => only_free(&selector.filter),
            Mode::Meet | Mode::Break => selector.filter,
        };
        let (sort, variables) = (selector.sort, selector.variables);
        Ok(Self {
            finding: Finding { filter, sort, hint: raw.hint, collation: raw.collation, variables },
            mode,
            update,
            projection,
            lock_id: request.lock_id,
            is_new_lock_id: request.is_new_lock_id,
            is_resent: matches!(Document::from(command).get("lockRetry"), Value::Bool(true)),
            patience: request.patience.filter(|_| mode == Mode::Meet),
            max_time: request.max_time,
            ttl: request.ttl,
            session: request.session,
            show_token: request.show_token,
            fences: request.fences,
        })
    }
}

/// Parses `unlockDocument`: which lock is released, how, and what its update or deletion relies on.
///
/// # Errors
///
/// It is refused, with this reply.
pub fn unlock(
    command: &RawDocument,
    wall: WallTime,
) -> Result<(Fence, Release, Vec<Fence>), RawDocumentBuf> {
    let parsed = unlock::parse(Document::from(command), wall).and_then(|(lock, release)| {
        Ok((lock, release, super::fences(command).map_err(DocumentError::from)?))
    });
    parsed.map_err(|error| failure::write_release(&error.into()))
}

/// Parses `renewDocumentLock`: which lock is renewed, and for how long if not for its own TTL.
///
/// # Errors
///
/// It is refused, with this reply.
pub fn renew(command: &RawDocument) -> Result<(Fence, Option<Ttl>), RawDocumentBuf> {
    held::parse_renew(Document::from(command)).map_err(|error| failed(&error.into()))
}

/// Parses `inspectDocumentLock`.
///
/// # Errors
///
/// It is refused, with this reply.
pub fn inspect(command: &RawDocument) -> Result<Fence, RawDocumentBuf> {
    held::parse_inspect(Document::from(command)).map_err(|error| failed(&error.into()))
}

/// Parses `lockedDocuments`: how many the first batch has.
///
/// # Errors
///
/// It is refused, with this reply.
pub fn locked_documents(command: &RawDocument) -> Result<Option<u64>, RawDocumentBuf> {
    list::parse(Document::from(command)).map_err(|error| failed(&error.into()))
}

/// Parses `breakDocumentLocks`: which documents, and why.
///
/// # Errors
///
/// It is refused, with this reply.
pub fn break_locks(command: &RawDocument) -> Result<(Finding, String), RawDocumentBuf> {
    let raw = Raw::of(command);
    match break_locks::parse(Document::from(&*raw.rest)) {
        Ok((selector, reason)) => {
            let (filter, variables) = (selector.filter, selector.variables);
            let (hint, collation) = (raw.hint, raw.collation);
            Ok((Finding { filter, sort: None, hint, collation, variables }, reason.to_owned()))
        }
        Err(error) => Err(failure::write_lock(&error)),
    }
}

/// Who has locked a document, as people read it; `None` when it is free.
pub fn locked_by(document: &RawDocument) -> Option<String> {
    fields::holder(document)
}

/// What a document is called in a record of a break: `document factory.jobs { _id: 1 }`.
pub fn document_name(namespace: &str, document: &RawDocument) -> Key {
    fields::document_name(&namespace, document)
}

/// The beginning of a text, as long as a key or a holder may be.
pub fn shortened(text: &str) -> &str {
    fields::shortened(text)
}

/// The reply of `lockDocument`.
pub fn locked(
    lock_id: &Holder,
    found: Result<Found<HeldDocument>, LockDocumentError>,
) -> RawDocumentBuf {
    lock::reply(lock_id, found)
}

/// The reply of `unlockDocument`.
pub fn released(done: Result<(), ReleaseDocumentError>) -> RawDocumentBuf {
    done.map_or_else(|error| failure::write_release(&error), |()| unlock::released())
}

/// The reply of `renewDocumentLock`, after which the lease lasts so long.
pub fn renewed(done: Result<Option<Ttl>, ReleaseDocumentError>) -> RawDocumentBuf {
    done.map_or_else(|error| failure::write_release(&error), held::write_renewed)
}

/// The reply of `inspectDocumentLock`.
pub fn holds(it_does: bool) -> RawDocumentBuf {
    held::write_holds(it_does)
}

/// The reply of `breakDocumentLocks`.
pub fn broken(records: &[BreakRecord]) -> RawDocumentBuf {
    break_locks::reply(records)
}

/// Why a command about documents was refused, or its first statement that was, as its reply tells it.
pub fn error_of(reply: &RawDocument) -> DocumentError {
    let errors = reply.get_array("writeErrors").ok();
    let first = errors.and_then(|errors| errors.get_document(0).ok());
    crate::commands::failure::read(first.unwrap_or(reply))
}

/// A command, and apart from it what a store of ours would want in the ways that it knows.
struct Raw {
    rest: RawDocumentBuf,
    hint: Option<RawBson>,
    collation: Option<RawBson>,
}

impl Raw {
    fn of(command: &RawDocument) -> Self {
        let mut rest = Writer::with_capacity(command.as_bytes().len());
        let known = |name: &str| matches!(name, "hint" | "collation");
        for element in Elements::of(command.as_bytes()).filter(|element| !known(element.name())) {
            rest.copy(&element);
        }
        let rest = RawDocumentBuf::from_bytes(rest.finish()).expect("it is a part of a document");
        let value = |name| {
            let value = command.get(name).ok().flatten()?;
            Some(value).filter(|value| value.as_null().is_none()).map(RawBson::from)
        };
        Self { rest, hint: value("hint"), collation: value("collation") }
    }
}
