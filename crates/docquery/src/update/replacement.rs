//! Updates that replace the whole document.

use super::modifier::timestamp_at;
use super::storage::{TopLevelNames, check_replacement, check_size};
use super::walk::Purpose;
use crate::order::equal;
use crate::{Document, Error, ErrorCode, Result, Value, Writer};

/// A document that takes the place of another, except for its `_id`.
#[derive(Clone, Debug)]
pub(super) struct Replacement(
    /// Its bytes.
    Vec<u8>,
);

impl Replacement {
    /// The replacement by `document` at `now_ms`: timestamps of 0 become the current one.
    pub(super) fn parse(document: Document<'_>, now_ms: i64) -> Self {
        let mut writer = Writer::new();
        for (name, value) in document {
            match value {
                Value::Timestamp(0) if name != ID => {
                    writer.field(name, Value::Timestamp(timestamp_at(now_ms)));
                }
                _ => writer.field(name, value),
            }
        }
        Self(writer.finish())
    }

    /// What takes the place of `document`; `None` if nothing changes.
    ///
    /// # Errors
    ///
    /// See [`replace`].
    pub(super) fn apply(
        &self,
        document: Document<'_>,
        purpose: Purpose,
    ) -> Result<Option<Vec<u8>>> {
        let replacement = Document::of_bytes(&self.0);
        replace(document, replacement, TopLevelNames::WithoutDollar, purpose)
    }
}

/// The document that `after` becomes in place of `before`: with the `_id` of `before` where it has none, and `_id` first.
/// `None` if the two are the same to the last byte.
///
/// # Errors
///
/// `after` cannot be stored; it is too large; or it has another `_id`.
pub(super) fn replace(
    before: Document<'_>,
    after: Document<'_>,
    names: TopLevelNames,
    purpose: Purpose,
) -> Result<Option<Vec<u8>>> {
    if before.raw_bytes() == after.raw_bytes() {
        return Ok(None);
    }
    let (old_id, new_id) = (before.get(ID), after.get(ID));
    if purpose == Purpose::Update {
        check_replacement(after, names)?;
    }
    let id = if new_id.is_missing() { old_id } else { new_id };
    if let Value::Array(_) = id {
        return Err(array_as_id());
    }
    if !old_id.is_missing() && !new_id.is_missing() && !equal(old_id, new_id) {
        return Err(Error::new(
            ErrorCode::IMMUTABLE_FIELD,
            "the update would change the field '_id', which never changes",
        ));
    }
    let bytes = with_id_first(id, after);
    check_size(bytes.len(), purpose)?;
    Ok(Some(bytes))
}

/// The error for an update that makes `_id` an array.
pub(super) fn array_as_id() -> Error {
    let message = "the update makes '_id' an array, which it cannot be";
    Error::new(ErrorCode::NOT_SINGLE_VALUE_FIELD, message)
}

/// `document` with `id` as its first field.
pub(super) fn with_id_first(id: Value<'_>, document: Document<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.field(ID, id);

    for (name, value) in document.iter().filter(|(name, _)| *name != ID) {
        writer.field(name, value);
    }
    writer.finish()
}

const ID: &str = "_id";
