//! What a command says of the client session that it belongs to: `lsid`, `txnNumber` and what goes with them.

use docquery::number::Number;
use docquery::{Document, Error, ErrorCode, Result, Value};

use super::arguments::Arguments;
use crate::client_sessions::Lsid;

/// The session of a command, and what it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionFields {
    pub(super) lsid: Option<Lsid>,
    pub(super) part: Part,
}

/// What a command is in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing that the session must know of.
    None,
    /// A write that may come again, or has come again from one who knows that something is remembered of the session.
    Write { lsid: Lsid, number: i64, resent: bool },
    /// A part of a transaction.
    Transaction(TransactionPart),
}

/// A part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransactionPart {
    pub(super) lsid: Lsid,
    pub(super) number: i64,
    /// Whether it is the first one.
    pub(super) starts: bool,
    /// Whether it has come again, as a [`Part::Write`] may have.
    pub(super) resent: bool,
}

impl SessionFields {
    /// Reads and checks the fields.
    pub(super) fn parse(command: Document<'_>) -> Result<Self> {
        let lsid = lsid(command.get("lsid"))?;
        let number = number(command.get("txnNumber"))?;
        let autocommit = flag("autocommit", command.get("autocommit"))?;
        let starts = flag("startTransaction", command.get("startTransaction"))?;
        let resent = flag("lockRetry", command.get("lockRetry"))?.unwrap_or(false);
        let part = match (lsid, number) {
            (None, Some(_)) => {
                return Err(invalid(
                    "Transaction number requires a session ID to also be specified",
                ));
            }
            (Some(_), Some(..0)) => return Err(invalid("Transaction number cannot be negative")),
            (_, None) if autocommit.is_some() => {
                return Err(invalid(
                    "'autocommit' field requires a transaction number to also be specified",
                ));
            }
            (_, None) if starts.is_some() => return Err(starts_without_autocommit()),
            (_, None) => Part::None,
            (Some(lsid), Some(number)) => match (autocommit, starts) {
                (None, None) => Part::Write { lsid, number, resent },
                (None, Some(_)) => return Err(starts_without_autocommit()),
                (Some(true), _) => {
                    return Err(invalid("Specifying autocommit=true is not allowed."));
                }
                (Some(false), Some(false)) => {
                    return Err(invalid("Specifying startTransaction=false is not allowed."));
                }
                (Some(false), starts) => {
                    let starts = starts.is_some();
                    Part::Transaction(TransactionPart { lsid, number, starts, resent })
                }
            },
        };
        Ok(Self { lsid, part })
    }
}

/// The name of a session. There is one user, so whose it is does not matter.
pub(super) fn lsid(value: Value<'_>) -> Result<Option<Lsid>> {
    let lsid = match value {
        Value::Missing => return Ok(None),
        Value::Document(lsid) => lsid,
        other => return Err(wrong_type("lsid", "object", other)),
    };
    let mut arguments = Arguments::new("OperationSessionInfo.lsid", lsid)?;
    let id = arguments.value("id");
    arguments.value("uid");
    arguments.value("txnNumber");
    arguments.value("txnUUID");
    arguments.finish()?;
    match id {
        Value::Missing => Err(Error::location(
            40414,
            "BSON field 'OperationSessionInfo.lsid.id' is missing but a required field",
        )),
        Value::Binary { subtype: UUID, bytes } => match bytes.try_into() {
            Ok(bytes) => Ok(Some(Lsid::new(bytes))),
            Err(_) => Err(Error::new(
                ErrorCode::INVALID_UUID,
                "uuid must be a 16-byte binary field with UUID (4) subtype",
            )),
        },
        Value::Binary { .. } => Err(Error::type_mismatch(
            "BSON field 'OperationSessionInfo.lsid.id' is the wrong binData type, expected type 'UUID'",
        )),
        other => Err(wrong_type("lsid.id", "binData", other)),
    }
}

fn number(value: Value<'_>) -> Result<Option<i64>> {
    match value {
        Value::Missing => Ok(None),
        Value::Int32(number) => Ok(Some(number.into())),
        Value::Int64(number) => Ok(Some(number)),
        other => match Number::of(other).and_then(Number::as_exact_i64) {
            Some(number) => Ok(Some(number)),
            None => Err(wrong_type("txnNumber", "long", other)),
        },
    }
}

fn flag(name: &str, value: Value<'_>) -> Result<Option<bool>> {
    match value {
        Value::Missing => Ok(None),
        Value::Bool(flag) => Ok(Some(flag)),
        other => Err(wrong_type(name, "bool", other)),
    }
}

fn starts_without_autocommit() -> Error {
    invalid("'startTransaction' field requires 'autocommit' field to also be specified")
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::INVALID_OPTIONS, message)
}

fn wrong_type(name: &str, expected: &str, found: Value<'_>) -> Error {
    Error::type_mismatch(format!(
        "BSON field 'OperationSessionInfo.{name}' is the wrong type '{}', expected type '{expected}'",
        found.type_name()
    ))
}

/// The subtype of binary values that are UUIDs.
pub(super) const UUID: u8 = 4;
