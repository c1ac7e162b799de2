//! The errors of these commands that are not MongoDB's: written where a command fails, and read where it was asked for. What the
//! sentence tells people, fields tell programs.

use std::fmt::Display;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};
use lockcore::Holder;

use crate::commands::failed;
use crate::commands::failure;
use crate::error::{DocumentError, LockDocumentError, ReleaseDocumentError};
use crate::remote::form;
use crate::remote::form::answer::{LIMITS, name_of};
use crate::remote::form::code::Code;
use crate::remote::form::field;
use crate::remote::form::parts::count;

/// The reply that says why a document was not locked.
pub(crate) fn write_lock(error: &LockDocumentError) -> RawDocumentBuf {
    match error {
        LockDocumentError::Document(error) => failed(error),
        LockDocumentError::Argument(error) => bad_value(error),
        LockDocumentError::SessionEnded => written(error, Code::LockSessionEnded, |_| ()),
        LockDocumentError::OtherSession { lock_id } => {
            written(error, Code::LockHeldInOtherSession, |fields| {
                fields.field(LOCK_ID, Value::String(lock_id));
            })
        }
        LockDocumentError::LimitReached { limit, max } => {
            written(error, Code::LockLimitReached, |fields| {
                fields.field(field::LIMIT, Value::String(name_of(*limit)));
                fields.field(field::MAX, count(*max));
            })
        }
    }
}

/// Why a document was not locked.
pub(crate) fn read_lock(reply: &RawDocument) -> LockDocumentError {
    read_own_lock(reply).unwrap_or_else(|| failure::read(reply).into())
}

fn read_own_lock(reply: &RawDocument) -> Option<LockDocumentError> {
    let (code, fields) = code_and_fields(reply)?;
    Some(match code {
        Code::LockSessionEnded | Code::LockSessionUnknown => LockDocumentError::SessionEnded,
        Code::LockHeldInOtherSession => {
            LockDocumentError::OtherSession { lock_id: lock_id(fields)? }
        }
        Code::LockLimitReached => {
            let name = fields.get(field::LIMIT).as_str()?;
            let Value::Int64(max) = fields.get(field::MAX) else { return None };
            let limit = LIMITS.into_iter().find(|limit| name_of(*limit) == name)?;
            LockDocumentError::LimitReached { limit, max: usize::try_from(max).ok()? }
        }
        _ => return None,
    })
}

/// The reply that says why a document was not released, or its lock not renewed.
pub(crate) fn write_release(error: &ReleaseDocumentError) -> RawDocumentBuf {
    match error {
        ReleaseDocumentError::Document(error) => failed(error),
        ReleaseDocumentError::Argument(error) => bad_value(error),
        ReleaseDocumentError::LockLost { lock_id, now_held_by } => {
            written(error, Code::DocumentLockLost, |fields| {
                fields.field(LOCK_ID, Value::String(lock_id));
                if let Some(by) = now_held_by {
                    fields.field(NOW_HELD_BY, Value::String(by));
                }
            })
        }
        ReleaseDocumentError::NotUpdated(inner) => {
            written(error, Code::DocumentNotUpdated, |fields| {
                fields.field(NOT_UPDATED, Value::from(&*failed(inner)));
            })
        }
    }
}

/// Why a document was not released, or its lock not renewed.
pub(crate) fn read_release(reply: &RawDocument) -> ReleaseDocumentError {
    read_own_release(reply).unwrap_or_else(|| failure::read(reply).into())
}

fn read_own_release(reply: &RawDocument) -> Option<ReleaseDocumentError> {
    let (code, fields) = code_and_fields(reply)?;
    Some(match code {
        Code::DocumentLockLost => {
            let now_held_by = fields.get(NOW_HELD_BY).as_str().map(str::to_owned);
            ReleaseDocumentError::LockLost { lock_id: lock_id(fields)?, now_held_by }
        }
        Code::DocumentNotUpdated => {
            let inner = fields.get(NOT_UPDATED).as_document()?.to_raw();
            ReleaseDocumentError::NotUpdated(failure::read(&inner))
        }
        _ => return None,
    })
}

fn written(error: &impl Display, code: Code, details: impl FnOnce(&mut Writer)) -> RawDocumentBuf {
    form::failure(&error.to_string(), code, details)
}

fn bad_value(error: &impl Display) -> RawDocumentBuf {
    failed(&DocumentError::from(Error::bad_value(error.to_string())))
}

fn code_and_fields(reply: &RawDocument) -> Option<(Code, Document<'_>)> {
    let fields = Document::from(reply);
    match fields.get("code") {
        Value::Int32(code) => Some((Code::of(code.into())?, fields)),
        _ => None,
    }
}

fn lock_id(fields: Document<'_>) -> Option<Holder> {
    Holder::new(fields.get(LOCK_ID).as_str()?).ok()
}

const LOCK_ID: &str = "lockId";
const NOW_HELD_BY: &str = "nowHeldBy";
const NOT_UPDATED: &str = "notUpdated";

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;
    use docquery::ErrorCode;

    #[test]
    fn an_error_of_a_lock_comes_back_as_it_was() {
        let lock_id = Holder::new("mine").unwrap();
        let refused =
            || DocumentError::from(Error::new(ErrorCode::CONFLICTING_UPDATE_OPERATORS, "no"));
        let mut errors = vec![
            LockDocumentError::SessionEnded,
            LockDocumentError::OtherSession { lock_id: lock_id.clone() },
            refused().into(),
        ];
        errors.extend(LIMITS.map(|limit| LockDocumentError::LimitReached { limit, max: 7 }));
        for error in errors {
            let read = read_lock(&write_lock(&error));
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
        }
        let lost =
            |now_held_by| ReleaseDocumentError::LockLost { lock_id: lock_id.clone(), now_held_by };
        for error in [
            lost(None),
            lost(Some(String::new())),
            lost(Some("other".to_owned())),
            ReleaseDocumentError::NotUpdated(refused()),
            refused().into(),
        ] {
            let read = read_release(&write_release(&error));
            assert_eq!(format!("{read:?}"), format!("{error:?}"));
        }
    }

    #[test]
    fn a_reply_that_makes_no_sense_is_an_error_all_the_same() {
        for code in [
            Code::LockHeldInOtherSession,
            Code::LockLimitReached,
            Code::DocumentLockLost,
            Code::DocumentNotUpdated,
        ] {
            let reply = rawdoc! { "ok": 0.0, "code": code.number(), "errmsg": "odd", "lockId": 3 };
            assert!(matches!(read_lock(&reply), LockDocumentError::Document(_)));
            assert!(matches!(read_release(&reply), ReleaseDocumentError::Document(_)));
        }
    }
}
