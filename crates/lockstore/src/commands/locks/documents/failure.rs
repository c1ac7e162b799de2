//! The errors of these commands that are not MongoDB's: written where a command fails, and read where it was asked for. What the
//! sentence tells people, `errInfo` tells programs.

use std::fmt::Display;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};
use lockcore::{Holder, Limit};

use crate::commands::failure;
use crate::commands::reply::Reply;
use crate::error::{DocumentError, LockDocumentError, ReleaseDocumentError};

/// A code, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Code(i32, &'static str);

const OTHER_SESSION: Code = Code(100_000_003, "LockHeldInOtherSession");
const LIMIT_REACHED: Code = Code(100_000_008, "LockLimitReached");
const SESSION_ENDED: Code = Code(100_000_010, "LockSessionEnded");
const LOCK_LOST: Code = Code(100_000_061, "DocumentLockLost");
const NOT_UPDATED: Code = Code(100_000_062, "DocumentNotUpdated");

/// The reply that says why a document was not locked.
pub(super) fn write_lock(error: &LockDocumentError) -> RawDocumentBuf {
    match error {
        LockDocumentError::Document(error) => Reply::failure(error),
        LockDocumentError::Argument(error) => bad_value(error),
        LockDocumentError::SessionEnded => written(error, SESSION_ENDED, |_| ()),
        LockDocumentError::OtherSession { lock_id } => written(error, OTHER_SESSION, |info| {
            info.field("lockId", Value::String(lock_id.as_str()));
        }),
        LockDocumentError::LimitReached { limit, max } => written(error, LIMIT_REACHED, |info| {
            info.field("limit", Value::String(limit_name(*limit)));
            info.field("max", Value::Int64(i64::try_from(*max).unwrap_or(i64::MAX)));
        }),
    }
}

/// Why a document was not locked.
pub(crate) fn read_lock(reply: &RawDocument) -> LockDocumentError {
    read_own_lock(reply).unwrap_or_else(|| failure::read(reply).into())
}

fn read_own_lock(reply: &RawDocument) -> Option<LockDocumentError> {
    let (code, info) = code_and_info(reply)?;
    Some(if code == SESSION_ENDED.0 {
        LockDocumentError::SessionEnded
    } else if code == OTHER_SESSION.0 {
        LockDocumentError::OtherSession { lock_id: lock_id(info)? }
    } else if code == LIMIT_REACHED.0 {
        let (name, max) = (info.get("limit").as_str()?, info.get("max"));
        let Value::Int64(max) = max else { return None };
        LockDocumentError::LimitReached {
            limit: LIMITS.into_iter().find(|limit| limit_name(*limit) == name)?,
            max: usize::try_from(max).ok()?,
        }
    } else {
        return None;
    })
}

/// The reply that says why a document was not released, or its lock not renewed.
pub(super) fn write_release(error: &ReleaseDocumentError) -> RawDocumentBuf {
    match error {
        ReleaseDocumentError::Document(error) => Reply::failure(error),
        ReleaseDocumentError::Argument(error) => bad_value(error),
        ReleaseDocumentError::LockLost { lock_id, now_held_by } => {
            written(error, LOCK_LOST, |info| {
                info.field("lockId", Value::String(lock_id.as_str()));
                if let Some(by) = now_held_by {
                    info.field("nowHeldBy", Value::String(by));
                }
            })
        }
        ReleaseDocumentError::NotUpdated(inner) => written(error, NOT_UPDATED, |info| {
            info.field("notUpdated", Value::from(&*Reply::failure(inner)));
        }),
    }
}

/// Why a document was not released, or its lock not renewed.
pub(crate) fn read_release(reply: &RawDocument) -> ReleaseDocumentError {
    read_own_release(reply).unwrap_or_else(|| failure::read(reply).into())
}

fn read_own_release(reply: &RawDocument) -> Option<ReleaseDocumentError> {
    let (code, info) = code_and_info(reply)?;
    Some(if code == LOCK_LOST.0 {
        let now_held_by = info.get("nowHeldBy").as_str().map(str::to_owned);
        ReleaseDocumentError::LockLost { lock_id: lock_id(info)?, now_held_by }
    } else if code == NOT_UPDATED.0 {
        let inner = info.get("notUpdated").as_document()?.to_raw();
        ReleaseDocumentError::NotUpdated(failure::read(&inner))
    } else {
        return None;
    })
}

fn written(error: &impl Display, code: Code, details: impl FnOnce(&mut Writer)) -> RawDocumentBuf {
    let mut fields = Writer::new();
    fields.field("ok", Value::Double(0.0));
    fields.field("errmsg", Value::String(&error.to_string()));
    fields.field("code", Value::Int32(code.0));
    fields.field("codeName", Value::String(code.1));
    fields.open_document("errInfo");
    details(&mut fields);
    fields.close();
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}

fn bad_value(error: &impl Display) -> RawDocumentBuf {
    Reply::failure(&DocumentError::from(Error::bad_value(error.to_string())))
}

fn code_and_info(reply: &RawDocument) -> Option<(i32, Document<'_>)> {
    let fields = Document::from(reply);
    match fields.get("code") {
        Value::Int32(code) => Some((code, fields.get("errInfo").as_document()?)),
        _ => None,
    }
}

fn lock_id(info: Document<'_>) -> Option<Holder> {
    Holder::new(info.get("lockId").as_str()?).ok()
}

const LIMITS: [Limit; 5] =
    [Limit::Locks, Limit::WaitersPerLock, Limit::Waiters, Limit::Sessions, Limit::LocksPerSession];

const fn limit_name(limit: Limit) -> &'static str {
    match limit {
        Limit::Locks => "locks",
        Limit::WaitersPerLock => "waitersPerLock",
        Limit::Waiters => "waiters",
        Limit::Sessions => "sessions",
        Limit::LocksPerSession => "locksPerSession",
    }
}

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
        for code in [OTHER_SESSION, LIMIT_REACHED, LOCK_LOST, NOT_UPDATED] {
            let reply =
                rawdoc! { "ok": 0.0, "code": code.0, "errmsg": "odd", "errInfo": { "lockId": 3 } };
            assert!(matches!(read_lock(&reply), LockDocumentError::Document(_)));
            assert!(matches!(read_release(&reply), ReleaseDocumentError::Document(_)));
        }
    }
}
