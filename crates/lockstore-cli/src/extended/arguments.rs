//! Extended JSON on the command line, as JSON5: names need no quotes, and texts may have single ones.

use json5::Position;
use lockstore::Hint;
use lockstore::bson::oid::ObjectId;
use lockstore::bson::raw::RawArrayBuf;
use lockstore::bson::{Document, RawBson, RawDocumentBuf};
use serde::de::{DeserializeSeed as _, IgnoredAny};

use super::read::{AnyValue, as_document, kind, value_of_json};

/// A document on the command line.
pub(crate) fn parse_document(text: &str) -> Result<RawDocumentBuf, String> {
    as_document(parse_value(text)?)
}

/// An array on the command line.
pub(crate) fn parse_array(text: &str) -> Result<RawArrayBuf, String> {
    match parse_value(text)? {
        RawBson::Array(array) => Ok(array),
        other => Err(format!("an array such as [{{...}}] was expected, not {}", kind(&other))),
    }
}

/// A document of operators, or the stages of a pipeline.
pub(crate) fn parse_update(text: &str) -> Result<RawBson, String> {
    match parse_value(text)? {
        RawBson::Array(stages) => Ok(RawBson::Array(stages)),
        other => {
            let update = as_document(other)?;
            match update.iter().next() {
                Some(Ok((name, _))) if name.as_str().starts_with('$') => {
                    Ok(RawBson::Document(update))
                }
                _ => Err("an update has operators such as {$set: {state: \"done\"}}, or is an array of the \
                          stages of a pipeline; whole documents are replaced by `lockstore doc import --mode upsert`"
                    .to_owned()),
            }
        }
    }
}

/// The name of an index, or its keys.
pub(crate) fn parse_hint(text: &str) -> Result<Hint, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(Hint::Name(text.to_owned()));
    }
    let keys = Document::try_from(&*parse_document(text)?).map_err(|error| error.to_string())?;
    Ok(Hint::Keys(keys))
}

/// An `_id`: 24 hexadecimal digits are an `ObjectId`, what is JSON is what it says, and anything else is a string. What
/// begins as a document, an array or a quoted text must be one.
pub(crate) fn parse_id(text: &str) -> Result<RawBson, String> {
    if let Ok(id) = ObjectId::parse_str(text) {
        return Ok(RawBson::ObjectId(id));
    }
    if text.starts_with(['{', '[', '"', '\'']) {
        return parse_value(text);
    }
    Ok(value_of_json(text.as_bytes()).unwrap_or_else(|_| RawBson::String(text.to_owned())))
}

fn parse_value(text: &str) -> Result<RawBson, String> {
    let mut json = json5::Deserializer::from_str(text);
    let read = AnyValue::OUTERMOST.deserialize(&mut json);
    // Behind the value there may be nothing but space: the library's own reader says so, and where.
    let read = read.and_then(|value| json5::from_str(text).map(|IgnoredAny| value));
    read.map_err(|error| {
        let reason = without_position(&error);
        match error.position() {
            Some(position) if !reason.starts_with("EOF") => {
                format!("{reason}, {}", place(text, position))
            }
            _ => format!("it ends too early ({reason})"),
        }
    })
}

fn without_position(error: &json5::Error) -> String {
    error.code().map_or_else(
        || {
            let told = error.to_string();
            told.rsplit_once(" at line ").map_or(told.clone(), |(reason, _)| reason.to_owned())
        },
        |code| code.to_string(),
    )
}

/// Where that is: `at column 12, at "state: 3}"`.
fn place(text: &str, Position { line, column }: Position) -> String {
    let rest = text.split('\n').nth(line).unwrap_or_default().chars().skip(column);
    let here: String = rest.take(PLACE_CHARS).collect();
    let line = if line == 0 { String::new() } else { format!("line {}, ", line + 1) };
    format!("at {line}column {}: {here:?}", column + 1)
}

const PLACE_CHARS: usize = 24;
