//! Errors in replies: written where a command fails, and read where it was asked for.
//!
//! Of most errors a reply has the code and a sentence, as MongoDB's. What a typed error has besides stands in `errInfo`, which drivers
//! hand on as it is.

mod acquisition;

use std::time::Duration;

use bson::RawDocument;
use docquery::{Document, Error, ErrorCode, Value, Writer};
use lockcore::{Holder, Key, Mode, Token};

use crate::collection::BulkWriteResult;
use crate::error::{
    DocumentError, DuplicateKey, HeldBy, LockLost, TransactionEnd, TransactionSize,
};
use crate::remote::form::{self, store_error};

/// The label of errors after which the whole transaction may be run again.
pub(crate) const TRANSIENT_TRANSACTION_ERROR: &str = "TransientTransactionError";

/// The label of a commit of which it is not known whether it was done; it may be asked for again.
pub(crate) const UNKNOWN_COMMIT_RESULT: &str = "UnknownTransactionCommitResult";

/// Writes what an error has besides its code and its sentence.
pub(super) fn write_details(error: &DocumentError, fields: &mut Writer) {
    if let DocumentError::DuplicateKey(duplicate) = only(error) {
        fields.field("keyPattern", Value::from(duplicate.pattern()));
        fields.field("keyValue", Value::from(duplicate.value()));
    }
    let mut info = Writer::new();
    write_info(error, &mut info);
    if !info.is_empty() {
        fields.field(INFO, Value::Document(Document::of_bytes(&info.finish())));
    }
}

/// The sentence of an error. Of a write that was done in part it tells why the rest was not.
pub(super) fn sentence(error: &DocumentError) -> String {
    only(error).to_string()
}

/// The one error of a write that was done in part.
fn only(error: &DocumentError) -> &DocumentError {
    match error {
        DocumentError::Partial(partial) => partial.first().1,
        error => error,
    }
}

fn write_info(error: &DocumentError, info: &mut Writer) {
    match error {
        DocumentError::LockLost(lost) => write_lock_lost(lost, info),
        DocumentError::TransactionTooLarge(size) => write_size(**size, info),
        DocumentError::TransactionOver(end) => write_end(*end, info),
        DocumentError::Acquire(error) => acquisition::write(error, info),
        DocumentError::Store(error) => {
            info.field(STORE_ERROR, Value::from(&*store_error::reply(error)));
        }
        DocumentError::Partial(partial) => {
            write_info(partial.first().1, info);
            write_done(partial.result(), info);
        }
        DocumentError::Refused(_)
        | DocumentError::DuplicateKey(_)
        | DocumentError::Serialize(_)
        | DocumentError::Deserialize(_)
        | DocumentError::WriteConflict { .. } => {}
    }
}

/// What a write had done before it failed.
fn write_done(done: &BulkWriteResult, info: &mut Writer) {
    info.open_document(DONE);
    for (name, count) in [("n", done.matched_count), ("nModified", done.modified_count)] {
        info.field(name, Value::Int64(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    info.close();
}

/// How many documents a write that failed had matched and changed before.
pub(crate) fn read_done(failed: Document<'_>) -> (u64, u64) {
    let done = failed.get(INFO).as_document().map(|info| info.get(DONE));
    let Some(done) = done.and_then(|done| done.as_document()) else { return (0, 0) };
    let count = |name| integer(done, name).and_then(|count| u64::try_from(count).ok());
    (count("n").unwrap_or(0), count("nModified").unwrap_or(0))
}

/// The error that a reply, or an item of its `writeErrors`, tells of.
pub(crate) fn read(failed: &RawDocument) -> DocumentError {
    let fields = Document::from(failed);
    let code = integer(fields, "code").and_then(|code| i32::try_from(code).ok());
    let code = code.map_or(ErrorCode::INTERNAL_ERROR, ErrorCode::new);
    let message = fields.get("errmsg").as_str().unwrap_or("a failure without a reason");
    if let Some(error) = fields.get(INFO).as_document().and_then(read_info) {
        return error;
    }
    // What did not come to a store, or not back, is told under its own code.
    if let Some(error) = store_error::of(failed) {
        return error.into();
    }
    match code {
        ErrorCode::DUPLICATE_KEY => {
            if let Some(duplicate) = duplicate(fields, message) {
                return duplicate.into();
            }
        }
        ErrorCode::WRITE_CONFLICT => return write_conflict(message),
        _ if has_label(fields, TRANSIENT_TRANSACTION_ERROR) => {
            return DocumentError::TransactionOver(TransactionEnd::Lost);
        }
        ErrorCode::NO_SUCH_TRANSACTION => {
            return DocumentError::TransactionOver(TransactionEnd::Aborted);
        }
        _ => {}
    }
    Error::new(code, message).into()
}

/// Whether a reply has a label.
pub(crate) fn has_label(reply: Document<'_>, label: &str) -> bool {
    let labels = reply.get("errorLabels");
    labels.as_array().is_some_and(|labels| labels.iter().any(|it| it.as_str() == Some(label)))
}

fn read_info(info: Document<'_>) -> Option<DocumentError> {
    if let Some(lost) = info.get(LOCK_LOST).as_document() {
        return Some(Box::new(read_lock_lost(lost)?).into());
    }
    if let Some(size) = info.get(SIZE).as_document() {
        return Some(DocumentError::TransactionTooLarge(Box::new(read_size(size)?)));
    }
    if let Some(error) = info.get(STORE_ERROR).as_document() {
        return form::expect_success(&error.to_raw()).err().map(DocumentError::from);
    }
    if let Some(error) = acquisition::read(info) {
        return Some(error.into());
    }
    read_end(info).map(DocumentError::TransactionOver)
}

fn write_lock_lost(lost: &LockLost, info: &mut Writer) {
    let LockLost { key, holder, token, now_held_by } = lost;
    info.open_document(LOCK_LOST);
    info.field("key", Value::String(key.as_str()));
    info.field("holder", Value::String(holder.as_str()));
    info.field("token", token_value(*token));
    if let Some(by) = now_held_by {
        write_held_by("nowHeldBy", by, info);
    }
    info.close();
}

fn write_held_by(name: &str, by: &HeldBy, info: &mut Writer) {
    info.open_document(name);
    info.field("mode", Value::String(mode_name(by.mode)));
    info.field("holder", Value::String(by.holder.as_str()));
    info.field("token", token_value(by.token));
    if let Some(remaining) = by.remaining {
        info.field("remainingMS", millis(remaining));
    }
    info.close();
}

fn read_lock_lost(lost: Document<'_>) -> Option<LockLost> {
    let now_held_by = match lost.get("nowHeldBy").as_document() {
        None => None,
        Some(by) => Some(read_held_by(by)?),
    };
    let key = Key::new(lost.get("key").as_str()?).ok()?;
    Some(LockLost { key, holder: holder(lost)?, token: token(lost)?, now_held_by })
}

fn read_held_by(by: Document<'_>) -> Option<HeldBy> {
    let mode = by.get("mode").as_str()?;
    let modes = [Mode::Exclusive, Mode::Shared];
    let mode = modes.into_iter().find(|it| mode_name(*it) == mode)?;
    let remaining = duration(by, "remainingMS");
    Some(HeldBy { mode, holder: holder(by)?, token: token(by)?, remaining })
}

fn write_size(size: TransactionSize, info: &mut Writer) {
    let TransactionSize { documents, documents_max, bytes, bytes_max } = size;
    info.open_document(SIZE);
    for (name, number) in SIZES.into_iter().zip([documents, documents_max, bytes, bytes_max]) {
        info.field(name, Value::Int64(i64::try_from(number).unwrap_or(i64::MAX)));
    }
    info.close();
}

fn read_size(size: Document<'_>) -> Option<TransactionSize> {
    let number = |name| usize::try_from(integer(size, name)?).ok();
    let [documents, documents_max, bytes, bytes_max] = SIZES.map(number);
    Some(TransactionSize {
        documents: documents?,
        documents_max: documents_max?,
        bytes: bytes?,
        bytes_max: bytes_max?,
    })
}

fn write_end(end: TransactionEnd, info: &mut Writer) {
    info.field(END, Value::String(end_name(end)));
    if let TransactionEnd::Expired { lifetime } = end {
        info.field("lifetimeMS", millis(lifetime));
    }
}

fn read_end(info: Document<'_>) -> Option<TransactionEnd> {
    let lifetime = duration(info, "lifetimeMS").unwrap_or_default();
    let ends = [
        TransactionEnd::Committed,
        TransactionEnd::Aborted,
        TransactionEnd::Lost,
        TransactionEnd::Expired { lifetime },
    ];
    let name = info.get(END).as_str()?;
    ends.into_iter().find(|end| end_name(*end) == name)
}

const fn end_name(end: TransactionEnd) -> &'static str {
    match end {
        TransactionEnd::Committed => "committed",
        TransactionEnd::Aborted => "aborted",
        TransactionEnd::Lost => "lost",
        TransactionEnd::Expired { .. } => "expired",
    }
}

/// The names of the collection and of the index stand in the sentence alone, behind what MongoDB was doing: `Index build failed: ...`.
fn duplicate(fields: Document<'_>, message: &str) -> Option<DuplicateKey> {
    let (_, named) = message.split_once("E11000 duplicate key error collection: ")?;
    let (collection, rest) = named.split_once(" index: ")?;
    let (index, _) = rest.split_once(" dup key: ")?;
    let pattern = fields.get("keyPattern").as_document()?.to_raw();
    let value = fields.get("keyValue").as_document()?.to_raw();
    Some(DuplicateKey::new(collection, index, &pattern, value))
}

/// The sentence of the error without what its display adds.
fn write_conflict(message: &str) -> DocumentError {
    let what = message
        .strip_prefix("write conflict: ")
        .and_then(|message| message.strip_suffix(" since the transaction began; run it again"));
    DocumentError::write_conflict(what.unwrap_or(message))
}

const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

fn holder(fields: Document<'_>) -> Option<Holder> {
    Holder::new(fields.get("holder").as_str()?).ok()
}

fn token(fields: Document<'_>) -> Option<Token> {
    Token::new(u64::try_from(integer(fields, "token")?).ok()?)
}

fn token_value(token: Token) -> Value<'static> {
    Value::Int64(token.get().cast_signed())
}

fn millis(duration: Duration) -> Value<'static> {
    Value::Int64(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn duration(fields: Document<'_>, name: &str) -> Option<Duration> {
    integer(fields, name).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
}

fn integer(fields: Document<'_>, name: &str) -> Option<i64> {
    docquery::number::Number::of(fields.get(name)).map(docquery::number::Number::saturating_i64)
}

const INFO: &str = "errInfo";
const DONE: &str = "done";
const LOCK_LOST: &str = "lockLost";
const SIZE: &str = "transactionSize";
const SIZES: [&str; 4] = ["documents", "documentsMax", "bytes", "bytesMax"];
const END: &str = "transactionEnd";
const STORE_ERROR: &str = "storeError";

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::commands::reply::Reply;
    use crate::error::{AcquireError, ArgumentError};
    use crate::remote::form::answer::LIMITS;

    /// What a reply tells of an error is the error.
    #[track_caller]
    fn comes_back(error: &DocumentError) {
        let read = read(&Reply::failure(error, &[]));
        assert_eq!(format!("{read:?}"), format!("{error:?}"));
        assert_eq!((read.to_string(), read.code()), (error.to_string(), error.code()));
    }

    #[test]
    fn a_typed_error_comes_back_as_it_was() {
        comes_back(&Error::new(ErrorCode::PATH_NOT_VIABLE, "no way").into());
        let value = rawdoc! { "a": "x", "b": null };
        comes_back(
            &DuplicateKey::new("shop.or ders", "a_1", &rawdoc! { "a": 1, "b": -1 }, value).into(),
        );
        comes_back(&DocumentError::write_conflict("a document has changed"));
        for end in [
            TransactionEnd::Committed,
            TransactionEnd::Aborted,
            TransactionEnd::Lost,
            TransactionEnd::Expired { lifetime: Duration::from_millis(1_500) },
        ] {
            comes_back(&DocumentError::TransactionOver(end));
        }
        let size = TransactionSize { documents: 5, documents_max: 4, bytes: 300, bytes_max: 1_000 };
        comes_back(&DocumentError::TransactionTooLarge(Box::new(size)));
    }

    #[test]
    fn a_lost_lock_comes_back_with_who_has_it_now() {
        let by = HeldBy {
            mode: Mode::Shared,
            holder: Holder::new("other").unwrap(),
            token: Token::new(9).unwrap(),
            remaining: Some(Duration::from_millis(70)),
        };
        for now_held_by in [None, Some(HeldBy { remaining: None, ..by.clone() }), Some(by)] {
            let (key, holder) = (Key::new("k").unwrap(), Holder::new("h").unwrap());
            let lost = LockLost { key, holder, token: Token::new(7).unwrap(), now_held_by };
            comes_back(&Box::new(lost).into());
        }
    }

    #[test]
    fn why_a_transaction_has_not_acquired_a_lock_comes_back() {
        let (key, holder) = (Key::new("k").unwrap(), Holder::new("h").unwrap());
        let remaining = Some(Duration::from_millis(70));
        let by = HeldBy { mode: Mode::Shared, holder, token: Token::new(9).unwrap(), remaining };
        let mut errors = vec![
            AcquireError::Held { key: key.clone(), by },
            AcquireError::SessionEnded,
            ArgumentError::ChangedInTransaction { key }.into(),
        ];
        errors.extend(LIMITS.map(|limit| AcquireError::LimitReached { limit, max: 7 }));
        for error in errors {
            comes_back(&error.into());
        }
    }

    #[test]
    fn an_error_that_says_little_is_an_error_all_the_same() {
        let odd = read(&rawdoc! { "ok": 0, "errInfo": { "lockLost": 3 }, "code": "x" });
        assert_eq!(odd.code(), ErrorCode::INTERNAL_ERROR);
        let twice = read(&rawdoc! { "ok": 0, "code": 11_000, "errmsg": "some other words" });
        assert!(matches!(&twice, DocumentError::Refused(_)), "{twice:?}");
        assert_eq!(twice.code(), ErrorCode::DUPLICATE_KEY);
        let lost =
            read(&rawdoc! { "ok": 0, "code": 251, "errorLabels": ["TransientTransactionError"] });
        assert!(matches!(lost, DocumentError::TransactionOver(TransactionEnd::Lost)), "{lost:?}");
    }
}
