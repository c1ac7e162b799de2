//! What a document may be: the limits of MongoDB, and how they are checked.

use bson::RawDocument;

use crate::raw::{Elements, Kind};
use crate::{Error, ErrorCode, Result, Value};

/// How many levels of documents and arrays may be nested in what is stored, the document itself included.
pub const DEPTH_MAX: usize = 180;

/// How many levels an expression may have: as many as a command.
pub const EXPRESSION_DEPTH_MAX: usize = 200;

/// How much memory the values may take that are computed for one document, in bytes.
pub const COMPUTED_BYTES_MAX: usize = 512 * 1024 * 1024;

/// How large a document may be, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Checks that `document` is BSON to its last byte: lengths, types, UTF-8, and nesting of at most `depth_max` levels. What
/// has passed can be read without a check.
///
/// # Errors
///
/// [`ErrorCode::INVALID_BSON`] when it is damaged, [`ErrorCode::OVERFLOW`] when it is nested too deeply.
pub fn check_bson(document: &RawDocument, depth_max: usize) -> Result<()> {
    let mut open = vec![Elements::checked(document.as_bytes())?];
    while let Some(elements) = open.last_mut() {
        let Some(element) = elements.next_checked()? else {
            open.pop();
            continue;
        };
        let inner = match element.kind() {
            Kind::Document | Kind::Array => Elements::checked(element.bytes())?,
            Kind::JavaScriptWithScope => Elements::checked(element.scope_bytes()?)?,
            _ => {
                element.check_scalar()?;
                continue;
            }
        };
        if open.len() >= depth_max {
            return Err(Error::new(
                ErrorCode::OVERFLOW,
                format!(
                    "the document is nested deeper than {depth_max} levels, at field '{}'",
                    element.name()
                ),
            ));
        }
        open.push(inner);
    }
    Ok(())
}

/// Checks that `document` may be stored: sound BSON, at most [`DOCUMENT_BYTES_MAX`] and less than [`DEPTH_MAX`] levels.
///
/// # Errors
///
/// [`ErrorCode::BSON_OBJECT_TOO_LARGE`], [`ErrorCode::OVERFLOW`] or [`ErrorCode::INVALID_BSON`].
pub fn check_document(document: &RawDocument) -> Result<()> {
    let bytes = document.as_bytes().len();
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(Error::new(
            ErrorCode::BSON_OBJECT_TOO_LARGE,
            format!("the document is {bytes} bytes long; at most {DOCUMENT_BYTES_MAX} are allowed"),
        ));
    }
    check_bson(document, DEPTH_MAX)
}

/// Checks that `id` may be the `_id` of a document.
///
/// # Errors
///
/// [`ErrorCode::INVALID_ID_FIELD`] for an array, a regular expression and undefined;
/// [`ErrorCode::DOLLAR_PREFIXED_FIELD_NAME`] for a document with a field whose name begins with `$`, unless it is a
/// reference, `{$ref, $id, $db}`.
pub fn check_id(id: Value<'_>) -> Result<()> {
    match id {
        Value::Array(_) | Value::Regex { .. } | Value::Undefined => Err(Error::new(
            ErrorCode::INVALID_ID_FIELD,
            format!("'_id' cannot be of the type {}", id.type_name()),
        )),
        Value::Document(document) => {
            let fields: Vec<_> = document.iter().collect();
            let reference = match fields.as_slice() {
                [("$ref", Value::String(_)), ("$id", _), ("$db", Value::String(_)), ..] => 3,
                [("$ref", Value::String(_)), ("$id", _), ..] => 2,
                _ => 0,
            };
            match fields[reference..].iter().find(|(name, _)| name.starts_with('$')) {
                None => Ok(()),
                Some((name, _)) => Err(Error::new(
                    ErrorCode::DOLLAR_PREFIXED_FIELD_NAME,
                    format!(
                        "'_id' has the field '{name}'; names of its fields cannot begin with '$'"
                    ),
                )),
            }
        }
        _ => Ok(()),
    }
}
