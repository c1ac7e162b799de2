//! The fields of a document that say who has locked it.

use std::fmt::Display;

use bson::raw::cstr;
use bson::{Bson, DateTime, Document as BsonDocument, RawDocument, RawDocumentBuf};
use docquery::order::rank;
use docquery::raw::Elements;
use docquery::{Document, Value, Writer};
use lockcore::{Key, Token};

use crate::error::Shell;

/// The field that says who has locked a document: a string; null or missing when it is free.
pub const LOCK_KEY: &str = "lock_id";

/// The field that says when the document was locked: a UTC date.
pub const LOCK_TIME_KEY: &str = "lock_time";

/// The field that says when the lock ends by itself, where it has a TTL: a UTC date. It is there to be read; what counts is the
/// lease that the store keeps.
pub const LOCK_EXPIRES_AT_KEY: &str = "lock_expires_at";

/// The field with the fencing token of the lock, where [`show_token`](crate::collection::LockDocument::show_token) asks for
/// it: a 64-bit integer.
pub const LOCK_TOKEN_KEY: &str = "lock_token";

/// All fields that belong to the lock.
pub(crate) const FIELDS: [&str; 4] = [LOCK_KEY, LOCK_TIME_KEY, LOCK_EXPIRES_AT_KEY, LOCK_TOKEN_KEY];

/// Who has locked a document: what is in its `lock_id`, which another program may have made anything; `None` when it is free.
pub fn get_lock_id(document: &BsonDocument) -> Option<&Bson> {
    document.get(LOCK_KEY).filter(|lock_id| !matches!(lock_id, Bson::Null | Bson::Undefined))
}

/// When a document was locked; `None` when it is not, or does not say.
pub fn get_lock_time(document: &BsonDocument) -> Option<DateTime> {
    document.get(LOCK_TIME_KEY).and_then(Bson::as_datetime).copied()
}

/// Who has locked a document: its `lock_id` if that is greater than null, as MongoDB sorts; `None` when it is free.
pub(crate) fn locked_by(document: &RawDocument) -> Option<Value<'_>> {
    let lock_id = Document::from(document).get(LOCK_KEY);
    (rank(lock_id) > rank(Value::Null)).then_some(lock_id)
}

/// Who has locked a document, as people read it.
pub(crate) fn holder(document: &RawDocument) -> Option<String> {
    locked_by(document).map(|lock_id| match lock_id {
        Value::String(lock_id) => lock_id.to_owned(),
        other => format!("{other:?}"),
    })
}

/// Whether a document is locked with this `lock_id`.
pub(crate) fn is_locked_by(document: &RawDocument, lock_id: &str) -> bool {
    matches!(locked_by(document), Some(Value::String(by)) if by == lock_id)
}

/// What a lock writes into its document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LockFields<'l> {
    pub(crate) lock_id: &'l str,
    pub(crate) since_ms: i64,
    pub(crate) expires_at_ms: Option<i64>,
    pub(crate) token: Option<Token>,
}

impl LockFields<'_> {
    /// The document, locked.
    pub(crate) fn stamp(&self, document: &RawDocument) -> RawDocumentBuf {
        with_fields(
            document,
            &[
                (LOCK_KEY, Value::String(self.lock_id)),
                (LOCK_TIME_KEY, Value::DateTime(self.since_ms)),
                (LOCK_EXPIRES_AT_KEY, date(self.expires_at_ms)),
                (LOCK_TOKEN_KEY, number(self.token)),
            ],
        )
    }
}

/// The document, unlocked.
pub(crate) fn unlocked(document: &RawDocument) -> RawDocumentBuf {
    with_fields(
        document,
        &[
            (LOCK_KEY, Value::Null),
            (LOCK_TIME_KEY, Value::Null),
            (LOCK_EXPIRES_AT_KEY, Value::Missing),
            (LOCK_TOKEN_KEY, Value::Missing),
        ],
    )
}

/// The document, whose lock ends then.
pub(crate) fn with_expiry(document: &RawDocument, expires_at_ms: Option<i64>) -> RawDocumentBuf {
    with_fields(document, &[(LOCK_EXPIRES_AT_KEY, date(expires_at_ms))])
}

/// The document, which shows this token.
pub(crate) fn with_token(document: &RawDocument, token: Token) -> RawDocumentBuf {
    with_fields(document, &[(LOCK_TOKEN_KEY, number(Some(token)))])
}

/// The document without what only a lock of ours writes into it.
pub(crate) fn without_our_fields(document: &RawDocument) -> RawDocumentBuf {
    let ours = [(LOCK_EXPIRES_AT_KEY, Value::Missing), (LOCK_TOKEN_KEY, Value::Missing)];
    with_fields(document, &ours)
}

/// The document with these values: a field that is there keeps its place, a new one comes last, and one without a value goes.
fn with_fields(document: &RawDocument, fields: &[(&str, Value<'_>)]) -> RawDocumentBuf {
    let bytes = document.as_bytes();
    let mut writer = Writer::with_capacity(bytes.len() + ROOM);
    for element in Elements::of(bytes) {
        match fields.iter().find(|(name, _)| *name == element.name()) {
            Some((name, value)) => writer.field(name, *value),
            None => writer.copy(&element),
        }
    }
    let known = Document::from(document);
    for (name, value) in fields {
        if known.get(name).is_missing() {
            writer.field(name, *value);
        }
    }
    RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document")
}

/// What a document is called in a record of a break: `document factory.jobs { _id: 1 }`.
pub(crate) fn document_name(namespace: &impl Display, document: &RawDocument) -> Key {
    let mut id = RawDocumentBuf::new();
    if let Ok(Some(value)) = document.get("_id") {
        id.append(cstr!("_id"), value);
    }
    let name = format!("document {namespace} {}", Shell(&id));
    Key::new(shortened(&name)).expect("it is short, and not empty")
}

/// The beginning of a text, as long as a key or a holder may be.
pub(crate) fn shortened(text: &str) -> &str {
    let ends = (0..=text.len().min(Key::BYTES_MAX)).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

fn date(millis: Option<i64>) -> Value<'static> {
    millis.map_or(Value::Missing, Value::DateTime)
}

fn number(token: Option<Token>) -> Value<'static> {
    token.map_or(Value::Missing, |token| Value::Int64(token.get().cast_signed()))
}

/// How many bytes the fields take, about.
const ROOM: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{doc, rawdoc};

    #[test]
    fn free_is_what_is_not_greater_than_null() {
        for free in [
            rawdoc! {},
            rawdoc! { "lock_id": null },
            rawdoc! { "lock_id": bson::RawBson::Undefined },
            rawdoc! { "lock_id": bson::RawBson::MinKey },
            rawdoc! { "nested": { "lock_id": "x" } },
        ] {
            assert!(locked_by(&free).is_none(), "{free:?}");
        }
        for locked in
            [rawdoc! { "lock_id": "" }, rawdoc! { "lock_id": "x" }, rawdoc! { "lock_id": 1 }]
        {
            assert!(locked_by(&locked).is_some(), "{locked:?}");
        }
        assert!(is_locked_by(&rawdoc! { "lock_id": "x" }, "x"));
        assert!(!is_locked_by(&rawdoc! { "lock_id": "y" }, "x"));
        assert!(!is_locked_by(&rawdoc! { "lock_id": 1 }, "1"));
    }

    #[test]
    fn a_document_is_locked_and_unlocked_in_place() {
        let fields = LockFields {
            lock_id: "me",
            since_ms: 5,
            expires_at_ms: Some(9),
            token: Some(Token::FIRST),
        };
        let before = rawdoc! { "_id": 1, "lock_time": null, "a": { "lock_id": 2 } };
        let locked = fields.stamp(&before);
        let at = bson::DateTime::from_millis;
        assert_eq!(
            locked,
            rawdoc! {
                "_id": 1, "lock_time": at(5), "a": { "lock_id": 2 }, "lock_id": "me",
                "lock_expires_at": at(9), "lock_token": 1_i64,
            }
        );
        assert_eq!(
            unlocked(&locked),
            rawdoc! { "_id": 1, "lock_time": null, "a": { "lock_id": 2 }, "lock_id": null }
        );
        // Without a TTL and a token to show, nothing of an earlier lock's stays.
        let plain = LockFields { expires_at_ms: None, token: None, ..fields };
        assert_eq!(
            plain.stamp(&locked),
            rawdoc! { "_id": 1, "lock_time": at(5), "a": { "lock_id": 2 }, "lock_id": "me" }
        );
    }

    #[test]
    fn what_a_document_says_of_its_lock_is_read() {
        let time = DateTime::from_millis(7);
        let locked = doc! { "lock_id": "me", "lock_time": time };
        assert_eq!(get_lock_id(&locked), Some(&Bson::from("me")));
        assert_eq!(get_lock_time(&locked), Some(time));
        for free in [doc! {}, doc! { "lock_id": null, "lock_time": null }] {
            assert_eq!((get_lock_id(&free), get_lock_time(&free)), (None, None));
        }
    }
}
