//! What may be stored: depth, the names of fields, and `_id`.

use crate::raw::{Elements, Kind};
use crate::{Document, Error, ErrorCode, Result, Value, limits};

/// How many levels are nested below `value`: none below what is no document or array, or is empty.
pub(super) fn depth_of(value: Value<'_>) -> usize {
    let bytes = match value {
        Value::Document(document) => document.raw_bytes(),
        Value::Array(array) => array.raw_bytes(),
        _ => None,
    };
    let Some(bytes) = bytes else {
        return usize::from(value.built_depth());
    };
    let (mut deepest, mut open) = (0, vec![Elements::of(bytes)]);
    while let Some(elements) = open.last_mut() {
        match elements.next() {
            None => {
                open.pop();
            }
            Some(element) => {
                deepest = deepest.max(open.len());
                if matches!(element.kind(), Kind::Document | Kind::Array) {
                    open.push(Elements::of(element.bytes()));
                }
            }
        }
    }
    deepest
}

/// Checks that a value may stand at `level` (1 for a field of the document itself) with `depth` levels below it.
///
/// # Errors
///
/// [`ErrorCode::OVERFLOW`].
pub(super) fn check_level(level: usize, depth: usize) -> Result<()> {
    if level + depth <= limits::DEPTH_MAX {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::OVERFLOW,
        format!("the update makes the document nested deeper than {} levels", limits::DEPTH_MAX),
    ))
}

/// Checks the name of a field of the document itself that an update has written.
///
/// # Errors
///
/// It begins with `$`: [`ErrorCode::DOLLAR_PREFIXED_FIELD_NAME`]; for the fields of a reference to another document,
/// which must stand together, [`ErrorCode::INVALID_DB_REF`].
pub(super) fn check_top_level_name(name: &str) -> Result<()> {
    match name {
        "$ref" | "$id" | "$db" => Err(Error::new(
            ErrorCode::INVALID_DB_REF,
            format!("the field '{name}' is allowed in a reference, {{$ref: .., $id: ..}}, only"),
        )),
        _ if name.starts_with('$') => Err(dollar_prefixed(name)),
        _ => Ok(()),
    }
}

/// Checks that `document` may be stored in place of another.
///
/// # Errors
///
/// See [`limits::check_id`] for its `_id`; it is nested too deeply; or, unless `names` allow it, the name of one of its
/// own fields begins with `$`.
pub(super) fn check_replacement(document: Document<'_>, names: TopLevelNames) -> Result<()> {
    let mut before = None;
    let mut fields = document.iter().peekable();
    while let Some((name, value)) = fields.next() {
        if name == "_id" {
            limits::check_id(value)?;
        }
        check_level(1, depth_of(value))?;
        if names == TopLevelNames::WithoutDollar && name.starts_with('$') {
            let after = fields.peek().map(|(name, _)| *name);
            check_reference(before, name, value, after)?;
        }
        before = Some(name);
    }
    Ok(())
}

/// Which names the fields of a document itself may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopLevelNames {
    Any,
    WithoutDollar,
}

/// Checks a field whose name begins with `$`, between two others: `$ref`, `$id` and `$db` in this order are allowed.
fn check_reference(
    before: Option<&str>,
    name: &str,
    value: Value<'_>,
    after: Option<&str>,
) -> Result<()> {
    let in_order = match name {
        "$ref" => after == Some("$id") && value.as_str().is_some(),
        "$id" => before == Some("$ref"),
        "$db" => before == Some("$id") && value.as_str().is_some(),
        _ => return Err(dollar_prefixed(name)),
    };
    if in_order { Ok(()) } else { check_top_level_name(name) }
}

fn dollar_prefixed(name: &str) -> Error {
    Error::new(
        ErrorCode::DOLLAR_PREFIXED_FIELD_NAME,
        format!(
            "the name of the field '{name}' begins with '$', which an update may write with a pipeline and $replaceWith only"
        ),
    )
}

/// Checks the size of a document after an update.
///
/// # Errors
///
/// Location 17419, or [`ErrorCode::BSON_OBJECT_TOO_LARGE`] far above the limit.
pub(super) fn check_size(bytes: usize) -> Result<()> {
    if bytes <= limits::DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the update makes the document {bytes} bytes long; at most {} are allowed",
        limits::DOCUMENT_BYTES_MAX
    );
    // The server's documents have room for what it adds itself; beyond that they are no documents at all.
    if bytes <= limits::DOCUMENT_BYTES_MAX + INTERNAL_BYTES {
        Err(Error::location(17419, message))
    } else {
        Err(Error::new(ErrorCode::BSON_OBJECT_TOO_LARGE, message))
    }
}

const INTERNAL_BYTES: usize = 16 * 1024;
