//! Read and write concerns and time limits: what every command may carry. A store on one disk makes every write durable before it
//! answers and reads what is durable, so a concern is checked and changes nothing; a write that asks for more members than there are
//! is done, and told so.

use std::time::Duration;

use docquery::number::Number;
use docquery::{Document, Error, ErrorCode, Result, Value};

use super::arguments::Arguments;

/// Which concerns a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// A read concern: it reads.
    ReadConcern,
    /// A write concern: it writes.
    WriteConcern,
    /// Both: it may do either.
    Both,
}

/// What the concerns of a command come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concern {
    /// Whether the reply tells what was done; what was done is durable in any case.
    pub(crate) acknowledged: bool,
    /// The time that the command may take, if it is limited.
    pub(crate) max_time: Option<Duration>,
}

impl Concern {
    /// Checks the concerns of `command`.
    pub(crate) fn parse(command: Document<'_>, takes: Takes, in_transaction: bool) -> Result<Self> {
        check_read_concern(command.get("readConcern"), in_transaction)?;
        let write_concern = command.get("writeConcern");
        check_write_concern(write_concern, takes)?;
        let acknowledged = write_concern.as_document().is_none_or(|concern| {
            let w = Number::of(concern.get("w"));
            // Who waits for the journal waits for an answer.
            w.is_none_or(|w| w.saturating_i64() != 0) || concern.get("j").is_truthy()
        });
        Ok(Self { acknowledged, max_time: max_time(command)? })
    }
}

/// The time that a command may take, if it is limited.
pub(super) fn max_time(command: Document<'_>) -> Result<Option<Duration>> {
    let value = command.get("maxTimeMS");
    if value.is_nullish() {
        return Ok(None);
    }
    let Some(number) = Number::of(value) else {
        return Err(Error::type_mismatch(format!(
            "BSON field 'maxTimeMS' is the wrong type '{}', expected types '[long, int, decimal, double]'",
            value.type_name()
        )));
    };
    let Some(whole) = number.as_exact_i64() else {
        return Err(Error::bad_value("maxTimeMS has a value that is not whole"));
    };
    match u32::try_from(whole) {
        Ok(limit) if i32::try_from(limit).is_ok() => {
            Ok((limit > 0).then(|| Duration::from_millis(limit.into())))
        }
        _ => Err(Error::bad_value(format!("{whole} value for maxTimeMS is out of range"))),
    }
}

fn check_read_concern(value: Value<'_>, in_transaction: bool) -> Result<()> {
    let concern = match value {
        Value::Missing => return Ok(()),
        Value::Document(document) => document,
        other => return Err(wrong_type("readConcern", "object", other)),
    };
    let mut level = None;
    for (name, value) in concern {
        match (name, value) {
            ("level", Value::String(text)) => level = Some(text),
            ("level", other) => return Err(wrong_type("level", "string", other)),
            ("afterClusterTime" | "atClusterTime", Value::Timestamp(stamp)) => {
                check_cluster_time(name, stamp, concern)?;
            }
            ("afterClusterTime" | "atClusterTime", other) => {
                return Err(wrong_type(name, "timestamp", other));
            }
            ("provenance", value) => check_provenance("ReadConcernArgs::parse", value)?,
            ("afterOpTime", Value::Document(_))
            | ("allowTransactionTableSnapshot", Value::Bool(_)) => {}
            (name, _) => {
                return Err(Error::new(
                    ErrorCode::INVALID_OPTIONS,
                    format!("Unrecognized option in readConcern: {name}"),
                ));
            }
        }
    }
    match level {
        None | Some("local" | "majority" | "available") => Ok(()),
        // That is what a transaction reads.
        Some("snapshot") if in_transaction => Ok(()),
        // What was acknowledged before is read.
        Some("linearizable") if !in_transaction => Ok(()),
        Some("linearizable") => Err(Error::new(
            ErrorCode::INVALID_OPTIONS,
            "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in order to run in a transaction",
        )),
        Some("snapshot") => Err(unsupported_level()),
        Some(other) => Err(Error::failed_to_parse(format!(
            "readConcern.level must be either 'local', 'majority', 'linearizable', 'available', or 'snapshot', not '{other}'"
        ))),
    }
}

fn unsupported_level() -> Error {
    Error::new(
        ErrorCode::INVALID_OPTIONS,
        "the read concern level 'snapshot' needs a transaction; what is read here is durable with any level",
    )
}

fn check_cluster_time(name: &str, stamp: u64, concern: Document<'_>) -> Result<()> {
    let invalid = |text: String| Err(Error::new(ErrorCode::INVALID_OPTIONS, text));
    if name == "atClusterTime" && concern.get("level").as_str() != Some("snapshot") {
        return invalid(format!("{name} field can be set only if level is equal to snapshot"));
    }
    // A timestamp without seconds is a null one.
    if stamp >> 32 == 0 {
        return invalid(format!("{name} cannot be a null timestamp"));
    }
    invalid(format!("{name} names a time of a cluster, and there is none"))
}

fn check_write_concern(value: Value<'_>, takes: Takes) -> Result<()> {
    let concern = match value {
        Value::Missing => return Ok(()),
        Value::Document(document) => document,
        other => return Err(wrong_type("writeConcern", "object", other)),
    };
    if takes == Takes::ReadConcern {
        return Err(Error::new(
            ErrorCode::INVALID_OPTIONS,
            "Command does not support writeConcern",
        ));
    }
    let mut arguments = Arguments::new("WriteConcernOptions", concern)?;
    check_w(arguments.value("w"))?;
    arguments.flag("j")?;
    arguments.flag("fsync")?;
    check_timeout(arguments.value("wtimeout"))?;
    check_provenance("WriteConcernOptions", arguments.value("provenance"))?;
    arguments.value("getLastError");
    arguments.value("wOpTime");
    arguments.value("wElectionId");
    arguments.finish()
}

/// Why the write concern of a command that was done asks for more than there is: there is one member, and it has no tags.
pub(super) fn unsatisfied(concern: Document<'_>) -> Option<Error> {
    match concern.get("w") {
        Value::String("majority") => None,
        Value::String(mode) => Some(Error::new(
            ErrorCode::UNKNOWN_REPL_WRITE_CONCERN,
            format!("No write concern mode named '{mode}' found in replica set configuration"),
        )),
        Value::Document(tags) => tags.first().map(|(tag, _)| {
            let message = format!("No replica set tag key {tag} in config");
            Error::new(ErrorCode::NO_SUCH_KEY, message)
        }),
        w => Number::of(w).filter(|w| w.saturating_i64() > 1).map(|_| {
            let message = "Not enough data-bearing nodes";
            Error::new(ErrorCode::UNSATISFIABLE_WRITE_CONCERN, message)
        }),
    }
}

fn check_w(w: Value<'_>) -> Result<()> {
    if w.is_missing() || w.as_str().is_some() {
        return Ok(());
    }
    if let Some(number) = Number::of(w) {
        let number = number.saturating_i64();
        return if (0..=VOTERS_MAX).contains(&number) {
            Ok(())
        } else {
            Err(Error::failed_to_parse(format!(
                "w has to be a non-negative number and not greater than {VOTERS_MAX}; found: {number}"
            )))
        };
    }
    let Value::Document(tags) = w else {
        return Err(Error::failed_to_parse(format!(
            "w has to be a number, string, or object; found: {}",
            w.type_name()
        )));
    };
    if tags.is_empty() {
        return Err(Error::failed_to_parse("tagged write concern requires tags"));
    }
    match tags.iter().find(|(_, value)| !value.is_number()) {
        None => Ok(()),
        Some((tag, _)) => Err(Error::failed_to_parse(format!(
            "tags must be a single level document with only number values; '{tag}' is none"
        ))),
    }
}

/// Anything but a number counts as 0, as on the server.
fn check_timeout(timeout: Value<'_>) -> Result<()> {
    match Number::of(timeout).map(Number::saturating_i64) {
        Some(number) if number > i64::from(i32::MAX) => {
            Err(Error::failed_to_parse("wtimeout must be a 32-bit integer"))
        }
        _ => Ok(()),
    }
}

fn check_provenance(of: &str, value: Value<'_>) -> Result<()> {
    const SOURCES: [&str; 5] = [
        "clientSupplied",
        "implicitDefault",
        "customDefault",
        "getLastErrorDefaults",
        "internalWriteDefault",
    ];
    match value {
        Value::Missing | Value::Null | Value::Undefined => Ok(()),
        Value::String(source) if SOURCES.contains(&source) => Ok(()),
        Value::String(source) => Err(Error::bad_value(format!(
            "Enumeration value '{source}' for field '{of}.provenance' is not a valid value."
        ))),
        other => Err(Error::type_mismatch(format!(
            "BSON field '{of}.provenance' is the wrong type '{}', expected type 'string'",
            other.type_name()
        ))),
    }
}

fn wrong_type(name: &str, expected: &str, found: Value<'_>) -> Error {
    Error::type_mismatch(format!(
        "\"{name}\" had the wrong type. Expected {expected}, found {}",
        found.type_name()
    ))
}

/// The largest `w` that the server takes.
const VOTERS_MAX: i64 = 50;
