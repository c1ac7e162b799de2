//! Why a transaction could not acquire a lock.

use docquery::{Document, Value, Writer};
use lockcore::Key;

use super::{integer, read_held_by, write_held_by};
use crate::error::{AcquireError, ArgumentError};
use crate::remote::form::answer::{LIMITS, name_of};

/// Writes an error of a transaction's commit, or of what it notes for that. The others do not come from there.
pub(super) fn write(error: &AcquireError, info: &mut Writer) {
    match error {
        AcquireError::Held { key, by } => {
            info.open_document(ACQUISITION);
            info.field(KEY, Value::String(key));
            write_held_by(HELD_BY, by, info);
        }
        AcquireError::SessionEnded => {
            info.open_document(ACQUISITION);
            info.field(SESSION_ENDED, Value::Bool(true));
        }
        AcquireError::LimitReached { limit, max } => {
            info.open_document(ACQUISITION);
            info.field(LIMIT, Value::String(name_of(*limit)));
            info.field(MAX, Value::Int64(i64::try_from(*max).unwrap_or(i64::MAX)));
        }
        AcquireError::Argument(ArgumentError::ChangedInTransaction { key }) => {
            info.open_document(ACQUISITION);
            info.field(CHANGED_ALREADY, Value::String(key));
        }
        _ => return,
    }
    info.close();
}

/// The error that `write` has written.
pub(super) fn read(info: Document<'_>) -> Option<AcquireError> {
    let error = info.get(ACQUISITION).as_document()?;
    let key = |name| Key::new(error.get(name).as_str()?).ok();
    if let Some(key) = key(CHANGED_ALREADY) {
        return Some(ArgumentError::ChangedInTransaction { key }.into());
    }
    if error.get(SESSION_ENDED).is_truthy() {
        return Some(AcquireError::SessionEnded);
    }
    if let Some(name) = error.get(LIMIT).as_str() {
        let limit = LIMITS.into_iter().find(|limit| name_of(*limit) == name)?;
        let max = usize::try_from(integer(error, MAX)?).ok()?;
        return Some(AcquireError::LimitReached { limit, max });
    }
    let by = read_held_by(error.get(HELD_BY).as_document()?)?;
    Some(AcquireError::Held { key: key(KEY)?, by })
}

const ACQUISITION: &str = "acquisition";
const CHANGED_ALREADY: &str = "changedAlready";
const HELD_BY: &str = "heldBy";
const KEY: &str = "key";
const LIMIT: &str = "limit";
const MAX: &str = "max";
const SESSION_ENDED: &str = "sessionEnded";
