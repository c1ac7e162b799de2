//! What may be stored: depth, the names of fields, and `_id`.

use super::walk::Purpose;
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

/// Checks the size of the document that an update makes.
///
/// # Errors
///
/// Location 17419, or 17420 where the document is to be inserted; and see [`check_growth`].
pub(super) fn check_size(bytes: usize, purpose: Purpose) -> Result<()> {
    check_growth(bytes)?;
    if bytes <= limits::DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let code = match purpose {
        Purpose::Update => 17419,
        Purpose::Insert => 17420,
    };
    Err(Error::location(code, too_large(bytes)))
}

/// Checks that what is written so far is not much too large already: more than the room that the server itself may add
/// to a document.
///
/// # Errors
///
/// [`ErrorCode::BSON_OBJECT_TOO_LARGE`].
pub(super) fn check_growth(bytes: usize) -> Result<()> {
    const ROOM_BYTES: usize = 16 * 1024;
    if bytes <= limits::DOCUMENT_BYTES_MAX + ROOM_BYTES {
        return Ok(());
    }
    Err(Error::new(ErrorCode::BSON_OBJECT_TOO_LARGE, too_large(bytes)))
}

fn too_large(bytes: usize) -> String {
    format!(
        "the update makes the document {bytes} bytes long; at most {} are allowed",
        limits::DOCUMENT_BYTES_MAX
    )
}
