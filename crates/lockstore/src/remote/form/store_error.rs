//! Why a store cannot serve.

use std::path::Path;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, Value, Writer};

use super::code::Code;
use super::parts::{count, number};
use super::{Came, came, failure, field, nonsense};
use crate::commands::Arguments;
use crate::disk::DiskError;
use crate::error::StoreError;

/// The reply of a call that the store cannot serve.
pub(crate) fn reply(error: &StoreError) -> RawDocumentBuf {
    failure(&error.to_string(), code_of(error), |fields| write(error, fields))
}

/// The code of an error of the store: each has one, whatever command it comes from. (Replies about documents say of a store that
/// is closed or has stopped what drivers understand, and this in `errInfo`.)
pub(crate) fn code_of(error: &StoreError) -> Code {
    match error {
        StoreError::Poisoned { .. } => Code::StorePoisoned,
        StoreError::Closed => Code::StoreClosed,
        StoreError::Forked { .. } => Code::StoreForked,
        StoreError::Busy { .. } => Code::StoreBusy,
        StoreError::TooManySubscriptions { .. } => Code::StoreTooManySubscriptions,
        StoreError::Internal { .. } => Code::StoreInternal,
        StoreError::Elsewhere { .. } => Code::StoreElsewhere,
        StoreError::Disk(_) => Code::StoreDisk,
        StoreError::ServerUnresponsive { .. } => Code::StoreUnresponsive,
        StoreError::OutcomeUnknown { .. } => Code::StoreOutcomeUnknown,
        StoreError::Unreachable { .. } => Code::StoreUnreachable,
    }
}

fn write(error: &StoreError, fields: &mut Writer) {
    match error {
        StoreError::Closed => {}
        StoreError::Poisoned { cause } => fields.field(field::CAUSE, Value::String(cause)),
        StoreError::Forked { opened_by } => {
            fields.field(field::OPENED_BY, number((*opened_by).into()));
        }
        StoreError::Busy { queue_max } => fields.field(field::QUEUE_MAX, count(*queue_max)),
        StoreError::TooManySubscriptions { subscriptions_max } => {
            fields.field(field::SUBSCRIPTIONS_MAX, count(*subscriptions_max));
        }
        StoreError::Internal { what }
        | StoreError::Elsewhere { what }
        | StoreError::OutcomeUnknown { what } => {
            fields.field(field::WHAT, Value::String(what));
        }
        StoreError::Disk(error) => fields.field(field::WHAT, Value::String(&error.to_string())),
        StoreError::ServerUnresponsive { pid } => fields.field(field::PID, number((*pid).into())),
        StoreError::Unreachable { socket, reason } => {
            fields.field(field::SOCKET, Value::String(&socket.to_string_lossy()));
            fields.field(field::REASON, Value::String(reason));
        }
    }
}

/// The error of the store that a failure tells of, if it is one of those.
pub(crate) fn of(failed: &RawDocument) -> Option<StoreError> {
    match came(failed) {
        Ok(Came::Failure(code, fields)) if is_of_store(code) => Some(read(code, fields)),
        _ => None,
    }
}

fn is_of_store(code: Code) -> bool {
    (Code::StorePoisoned.number()..=Code::StoreUnreachable.number()).contains(&code.number())
        || code == Code::StoreElsewhere
}

/// The error of a reply with `code`.
pub(crate) fn read(code: Code, fields: Arguments<'_>) -> StoreError {
    try_read(code, fields).unwrap_or_else(nonsense)
}

fn text<'a>(fields: &mut Arguments<'a>, name: &str) -> Result<&'a str, Error> {
    fields.need(name, Arguments::text)
}

fn try_read(code: Code, mut fields: Arguments<'_>) -> Result<StoreError, Error> {
    let pid = |fields: &mut Arguments<'_>, name| {
        let pid = fields.need(name, Arguments::count)?;
        Ok::<_, Error>(u32::try_from(pid).unwrap_or(u32::MAX))
    };
    Ok(match code {
        Code::StorePoisoned => {
            StoreError::Poisoned { cause: text(&mut fields, field::CAUSE)?.into() }
        }
        Code::StoreClosed => StoreError::Closed,
        Code::StoreForked => StoreError::Forked { opened_by: pid(&mut fields, field::OPENED_BY)? },
        Code::StoreBusy => {
            StoreError::Busy { queue_max: fields.need(field::QUEUE_MAX, Arguments::size)? }
        }
        Code::StoreTooManySubscriptions => StoreError::TooManySubscriptions {
            subscriptions_max: fields.need(field::SUBSCRIPTIONS_MAX, Arguments::size)?,
        },
        Code::StoreDisk => {
            DiskError::Elsewhere { what: text(&mut fields, field::WHAT)?.into() }.into()
        }
        Code::StoreUnresponsive => {
            StoreError::ServerUnresponsive { pid: pid(&mut fields, field::PID)? }
        }
        Code::StoreOutcomeUnknown => {
            StoreError::OutcomeUnknown { what: text(&mut fields, field::WHAT)?.into() }
        }
        Code::StoreUnreachable => StoreError::Unreachable {
            socket: Path::new(text(&mut fields, field::SOCKET)?).into(),
            reason: text(&mut fields, field::REASON)?.into(),
        },
        Code::StoreInternal => {
            StoreError::Internal { what: text(&mut fields, field::WHAT)?.into() }
        }
        Code::StoreElsewhere => {
            StoreError::Elsewhere { what: text(&mut fields, field::WHAT)?.into() }
        }
        other => {
            let what = format!("a call was refused as no such call is: {}", other.name()).into();
            StoreError::Internal { what }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{failed, failure};
    use crate::error::DocumentError;
    use crate::remote::form::expect_success;

    /// Every error there is. Whoever adds one is stopped by the `match`.
    fn all() -> Vec<StoreError> {
        let all = vec![
            StoreError::Poisoned { cause: "the disk is full".into() },
            StoreError::Closed,
            StoreError::Forked { opened_by: 7 },
            StoreError::Busy { queue_max: 3 },
            StoreError::TooManySubscriptions { subscriptions_max: 5 },
            StoreError::ServerUnresponsive { pid: 9 },
            StoreError::OutcomeUnknown { what: "`insert` of \"c\"".into() },
            StoreError::Unreachable { socket: Path::new("/s").into(), reason: "gone".into() },
            StoreError::Internal { what: "nothing fits".into() },
            StoreError::Elsewhere { what: "it has no such question".into() },
            DiskError::Elsewhere { what: "a bad sector".into() }.into(),
        ];
        let place = |error: &StoreError| match error {
            StoreError::Poisoned { .. } => 0,
            StoreError::Closed => 1,
            StoreError::Forked { .. } => 2,
            StoreError::Busy { .. } => 3,
            StoreError::TooManySubscriptions { .. } => 4,
            StoreError::ServerUnresponsive { .. } => 5,
            StoreError::OutcomeUnknown { .. } => 6,
            StoreError::Unreachable { .. } => 7,
            StoreError::Internal { .. } => 8,
            StoreError::Elsewhere { .. } => 9,
            StoreError::Disk(_) => 10,
        };
        assert!(all.iter().map(place).eq(0..11), "each is here once");
        all
    }

    #[test]
    fn every_error_of_the_store_has_one_code_and_comes_back_as_it_was() {
        let mut codes = Vec::new();
        for error in all() {
            let code = code_of(&error);
            assert!(!codes.contains(&code.number()), "{error:?} shares its code");
            codes.push(code.number());

            let about_locks = reply(&error);
            let known = of(&about_locks).expect("it is known by its code");
            assert_eq!(known.to_string(), error.to_string());
            assert_eq!(about_locks.get_i32("code").unwrap(), code.number());
            let back = expect_success(&about_locks).unwrap_err();
            assert_eq!(format!("{back:?}"), format!("{error:?}"));

            let about_documents = failed(&DocumentError::from(error.clone()));
            let (expected, name) = match error {
                StoreError::Poisoned { .. } | StoreError::Closed => (91, "ShutdownInProgress"),
                _ => (code.number(), code.name()),
            };
            assert_eq!(about_documents.get_i32("code").unwrap(), expected, "{error:?}");
            assert_eq!(about_documents.get_str("codeName").unwrap(), name, "{error:?}");
            let back = failure::read(&about_documents);
            assert_eq!(format!("{back:?}"), format!("{:?}", DocumentError::from(error)));
        }
    }
}
