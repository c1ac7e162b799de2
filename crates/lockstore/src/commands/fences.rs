//! `lockFences`, a field of ours that every command may have: the grants that its writes rely on.

use bson::{RawDocumentBuf, rawdoc};
use docquery::{Document, Error, Value, Writer};
use lockcore::Token;

use super::arguments::Arguments;
use crate::fence::Fence;

/// The fences of a command: `lockFences: [{ key: "nightly-report", holder: "worker 7", token: 42 }]`.
pub(crate) fn parse(command: Document<'_>) -> Result<Vec<Fence>, Error> {
    let fences = match command.get("lockFences") {
        Value::Missing => return Ok(Vec::new()),
        Value::Array(fences) => fences,
        other => return Err(wrong_type("lockFences", "array", other)),
    };
    let fences = fences.iter().map(|fence| match fence {
        Value::Document(fence) => self::fence(Arguments::new("lockFences", fence)?),
        other => Err(wrong_type("lockFences", "object", other)),
    });
    fences.collect()
}

/// A fence as it stands in commands and replies.
pub(crate) fn written(fence: &Fence) -> RawDocumentBuf {
    let (key, holder) = (fence.key.as_str(), fence.holder.as_str());
    rawdoc! { "key": key, "holder": holder, "token": fence.token.get().cast_signed() }
}

/// The fence of a command that is about a grant.
pub(super) fn required(arguments: &mut Arguments<'_>) -> Result<Fence, Error> {
    let fence = arguments.document("fence")?;
    let fence = arguments.required("fence", fence)?;
    self::fence(Arguments::new("fence", fence)?)
}

/// The fence that a reply has in it, if there is one.
pub(crate) fn read(fence: Value<'_>) -> Option<Fence> {
    self::fence(Arguments::new("fence", fence.as_document()?).ok()?).ok()
}

/// Writes the fences of a command, if it has any.
pub(crate) fn write(fences: &[Fence], fields: &mut Writer) {
    if fences.is_empty() {
        return;
    }
    fields.open_array("lockFences");
    for fence in fences {
        fields.item(Value::from(&*written(fence)));
    }
    fields.close();
}

fn fence(mut arguments: Arguments<'_>) -> Result<Fence, Error> {
    let (key, holder) = (arguments.text("key")?, arguments.text("holder")?);
    let token = arguments.integer("token")?;
    let key = arguments.required("key", key)?;
    let holder = arguments.required("holder", holder)?;
    let token = arguments.required("token", token)?;
    arguments.finish()?;
    let token = u64::try_from(token).ok().and_then(Token::new).ok_or_else(|| {
        Error::bad_value(format!("'lockFences.token' must be a fencing token, not {token}"))
    })?;
    Fence::new(key, holder, token).map_err(|error| Error::bad_value(error.to_string()))
}

fn wrong_type(name: &str, expected: &str, found: Value<'_>) -> Error {
    Error::type_mismatch(format!(
        "BSON field '{name}' is the wrong type '{}', expected type '{expected}'",
        found.type_name()
    ))
}
