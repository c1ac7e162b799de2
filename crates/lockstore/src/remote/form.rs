//! How locks are written in BSON: each thing by one file, which writes and reads it.

pub(crate) mod answer;
pub(crate) mod backup;
pub(crate) mod call;
pub(crate) mod code;
pub(crate) mod event;
pub(crate) mod figures;
pub(crate) mod info;
pub(crate) mod parts;
pub(crate) mod query;
pub(crate) mod session;
pub(crate) mod store_error;
pub(crate) mod tokens;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};

use crate::commands::Arguments;
use crate::error::StoreError;
use code::Code;

/// The names of all fields.
pub(crate) mod field {
    pub(crate) const AFTER: &str = "after";
    pub(crate) const AT_MS: &str = "atMS";
    pub(crate) const BEFORE: &str = "before";
    pub(crate) const BOOT_ID: &str = "bootId";
    pub(crate) const CAUSE: &str = "cause";
    pub(crate) const DOCUMENT_LOCKS: &str = "documentLocks";
    pub(crate) const EVENTS: &str = "events";
    pub(crate) const EVENTS_MAX: &str = "eventsMax";
    pub(crate) const EXPIRES_AT_NS: &str = "expiresAtNS";
    pub(crate) const FOLDER: &str = "folder";
    pub(crate) const FOR_MS: &str = "forMS";
    pub(crate) const FREE: &str = "free";
    pub(crate) const HELD: &str = "held";
    pub(crate) const HELD_BY: &str = "heldBy";
    pub(crate) const HOLDER: &str = "holder";
    pub(crate) const HOLDERS: &str = "holders";
    pub(crate) const ID: &str = "id";
    pub(crate) const INSTANCE: &str = "instance";
    pub(crate) const KEY: &str = "key";
    pub(crate) const KIND: &str = "kind";
    pub(crate) const LIMIT: &str = "limit";
    pub(crate) const LOCK: &str = "lock";
    pub(crate) const LOCKS: &str = "locks";
    pub(crate) const MARK_MS: &str = "markMS";
    pub(crate) const MAX: &str = "max";
    pub(crate) const MODE: &str = "mode";
    pub(crate) const MORE: &str = "more";
    pub(crate) const MOVED: &str = "moved";
    pub(crate) const NOW_MS: &str = "nowMS";
    pub(crate) const NUMBER: &str = "number";
    pub(crate) const OPENED_BY: &str = "openedBy";
    pub(crate) const PATH: &str = "path";
    pub(crate) const HOST: &str = "host";
    pub(crate) const PID: &str = "pid";
    pub(crate) const PID_NAMESPACE: &str = "pidNamespace";
    pub(crate) const QUEUE_MAX: &str = "queueMax";
    pub(crate) const REASON: &str = "reason";
    pub(crate) const RECORD: &str = "record";
    pub(crate) const RECORDS: &str = "records";
    pub(crate) const REJOINED: &str = "rejoined";
    pub(crate) const REMAINING_MS: &str = "remainingMS";
    pub(crate) const REMAINING_NS: &str = "remainingNS";
    pub(crate) const SEQUENCE: &str = "sequence";
    pub(crate) const SESSION: &str = "session";
    pub(crate) const SESSIONS: &str = "sessions";
    pub(crate) const SINCE: &str = "since";
    pub(crate) const SINCE_MS: &str = "sinceMS";
    pub(crate) const SOCKET: &str = "socket";
    pub(crate) const STANDING: &str = "standing";
    pub(crate) const START_TIME: &str = "startTime";
    pub(crate) const SUBSCRIPTION: &str = "subscription";
    pub(crate) const SUBSCRIPTIONS_MAX: &str = "subscriptionsMax";
    pub(crate) const TOKEN: &str = "token";
    pub(crate) const TTL_MS: &str = "ttlMS";
    pub(crate) const UNLESS_REJOINED: &str = "unlessRejoined";
    pub(crate) const UNTIL_NS: &str = "untilNS";
    pub(crate) const WAIT: &str = "wait";
    pub(crate) const WAITED: &str = "waited";
    pub(crate) const WAITER: &str = "waiter";
    pub(crate) const WAITERS: &str = "waiters";
    pub(crate) const WHAT: &str = "what";
}

/// A command, or a reply without its `ok`.
pub(crate) fn document(fields: Writer) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}

/// A reply that tells of success.
pub(crate) fn success(write: impl FnOnce(&mut Writer)) -> RawDocumentBuf {
    let mut fields = Writer::new();
    write(&mut fields);
    fields.field("ok", Value::Double(1.0));
    document(fields)
}

/// A reply that tells of an error: the sentence, the code, and what it is about.
pub(crate) fn failure(
    sentence: &str,
    code: Code,
    write: impl FnOnce(&mut Writer),
) -> RawDocumentBuf {
    let mut fields = Writer::new();
    fields.field("ok", Value::Double(0.0));
    fields.field("errmsg", Value::String(sentence));
    fields.field("code", Value::Int32(code.number()));
    fields.field("codeName", Value::String(code.name()));
    write(&mut fields);
    document(fields)
}

/// A reply that came: what was asked for, or one of our errors.
pub(crate) enum Came<'a> {
    Success(Arguments<'a>),
    Failure(Code, Arguments<'a>),
}

/// Looks at a reply. What is no error of ours is none that the caller could have made.
pub(crate) fn came(reply: &RawDocument) -> Result<Came<'_>, StoreError> {
    let document = Document::from(reply);
    let mut fields = Arguments::new("reply", document).map_err(nonsense)?;
    if fields.value("ok").is_truthy() {
        return Ok(Came::Success(fields));
    }
    let number = fields.integer("code").map_err(nonsense)?.unwrap_or_default();
    if let Some(code) = Code::of(number) {
        return Ok(Came::Failure(code, fields));
    }
    let sentence = fields.text("errmsg").map_err(nonsense)?.unwrap_or_default();
    Err(StoreError::Internal { what: format!("a call was refused: {sentence}").into() })
}

/// Whether a reply tells of one of our own errors.
pub(crate) fn is_own_failure(reply: &RawDocument) -> bool {
    matches!(came(reply), Ok(Came::Failure(..)))
}

/// The fields of a reply that is a success, or the store's error.
pub(crate) fn expect_success(reply: &RawDocument) -> Result<Arguments<'_>, StoreError> {
    match came(reply)? {
        Came::Success(fields) => Ok(fields),
        Came::Failure(code, fields) => Err(store_error::read(code, fields)),
    }
}

/// A reply that cannot be understood: a mistake of ours, here or there.
pub(crate) fn nonsense(error: Error) -> StoreError {
    let error = error.within("a reply that makes no sense: ");
    StoreError::Internal { what: error.message().into() }
}

#[cfg(test)]
mod tests;
