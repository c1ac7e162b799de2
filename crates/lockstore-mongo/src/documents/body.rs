//! Commands and replies as they are on the wire.

use std::borrow::Cow;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

/// What a command is called; nothing if it is empty or no sound document, which MongoDB is left to say.
pub(crate) fn name_of(command: &RawDocument) -> &str {
    command.iter().next().and_then(Result::ok).map_or("", |(name, _)| name.as_str())
}

/// A command, in an error.
pub(super) fn what(command: &RawDocument) -> Arc<str> {
    let name = name_of(command);
    match command.get_str(name) {
        Ok(target) => format!("`{name}` of {target:?}").into(),
        Err(_) => format!("`{name}`").into(),
    }
}

pub(crate) fn has_field(command: &RawDocument, name: &str) -> bool {
    command.get(name).is_ok_and(|field| field.is_some())
}

/// Whether a command is one of a transaction.
pub(crate) fn is_part_of_transaction(command: &RawDocument) -> bool {
    matches!(command.get_bool("autocommit"), Ok(false))
}

/// A command without what is ours in it, and without what the driver adds.
pub(super) fn stripped(command: &RawDocument) -> RawDocumentBuf {
    let mut body = RawDocumentBuf::new();
    for (name, value) in command.iter().flatten() {
        if !OURS.contains(&name.as_str()) {
            body.append(name, value);
        }
    }
    body
}

/// A command without a field.
pub(super) fn without<'c>(command: &'c RawDocument, field: &str) -> Cow<'c, RawDocument> {
    if !has_field(command, field) {
        return Cow::Borrowed(command);
    }
    let mut rest = RawDocumentBuf::new();
    for (name, value) in command.iter().flatten() {
        if name.as_str() != field {
            rest.append(name, value);
        }
    }
    Cow::Owned(rest)
}

/// Whether a reply says that the command was carried out.
pub(super) fn has_succeeded(reply: &RawDocument) -> bool {
    number(reply, "ok") == Some(1)
}

/// Whether a reply tells of an error, be it of a single write.
pub(super) fn tells_of_failure(reply: &RawDocument) -> bool {
    !has_succeeded(reply) || has_field(reply, "writeErrors")
}

/// The code of a reply, or of what is in one.
pub(super) fn code_of(reply: &RawDocument) -> Option<i32> {
    number(reply, "code").and_then(|code| i32::try_from(code).ok())
}

/// A whole number of any type.
pub(crate) fn number(document: &RawDocument, name: &str) -> Option<i64> {
    let value = document.get(name).ok().flatten()?;
    let small = value.as_i32().map(i64::from).or_else(|| value.as_bool().map(i64::from));
    #[expect(clippy::cast_possible_truncation, reason = "it is compared with whole numbers")]
    small.or_else(|| value.as_i64()).or_else(|| value.as_f64().map(|number| number as i64))
}

pub(super) fn has_label(reply: &RawDocument, label: &str) -> bool {
    let Ok(labels) = reply.get_array("errorLabels") else { return false };
    labels.into_iter().flatten().any(|it| it.as_str() == Some(label))
}

/// The fields of commands that never go to MongoDB as they are.
const OURS: [&str; 9] = [
    "lsid",
    "txnNumber",
    "startTransaction",
    "autocommit",
    "lockFences",
    "lockRetry",
    "lockTransaction",
    "$clusterTime",
    "$db",
];
