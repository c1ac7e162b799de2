//! Values as bytes.
//!
//! | value | bytes |
//! | --- | --- |
//! | any | the tag of its type's rank, then its body |
//! | number | see [`super::number`] |
//! | string, code | its bytes, 0 as `01 01` and 1 as `01 02`, then 0 |
//! | document | for each field its value's tag, its name as a string, its value's body; then 0 |
//! | array | each item with its tag; then 0 |
//! | binary | length (u32), subtype, bytes |
//! | object id | 12 bytes |
//! | bool | 0 or 1 |
//! | date | milliseconds (i64, sign turned over) |
//! | timestamp | u64 |
//! | regex | pattern and options as strings |
//! | pointer | length of the namespace (u32), its bytes, 12 bytes |
//! | code with scope | code as a string, scope as a document |
//! | the others | nothing |
//!
//! Numbers are big endian. No tag is 0, so the end of a list sorts before all that could follow in it. Every body
//! says itself where it ends, so no encoding is the beginning of another, and encodings can stand one behind the other.

use super::number;
use crate::number::Number;
use crate::{Document, Value, order};

/// Appends the bytes of `value` to `key`: they sort as the values do, equal values have equal bytes, and none is the
/// beginning of another.
pub fn encode(value: Value<'_>, key: &mut Vec<u8>) {
    key.push(tag(value));
    body(value, key);
}

/// The first byte of a value's encoding: one for each rank of the order. There is room between them for bounds.
pub(super) fn tag(value: Value<'_>) -> u8 {
    TAG_STEP * (order::rank(value) + 1)
}

/// How far the tags of two neighbouring ranks are apart.
pub(super) const TAG_STEP: u8 = 8;

/// Ends a string, a document, an array.
pub(super) const END: u8 = 0;

/// Stands before 1 and 2, which mean the bytes 0 and 1 of a string.
const ESCAPE: u8 = 1;

fn body(value: Value<'_>, key: &mut Vec<u8>) {
    match value {
        Value::Missing | Value::Undefined | Value::Null | Value::MinKey | Value::MaxKey => {}
        Value::Int32(int) => number::encode(Number::Int32(int), key),
        Value::Int64(int) => number::encode(Number::Int64(int), key),
        Value::Double(double) => number::encode(Number::Double(double), key),
        Value::Decimal(decimal) => number::encode(Number::Decimal(decimal), key),
        Value::String(text) | Value::Symbol(text) | Value::JavaScript(text) => string(text, key),
        Value::Document(fields) => document(fields, key),
        Value::Array(items) => {
            items.iter().for_each(|item| encode(item, key));
            key.push(END);
        }
        Value::Binary { subtype, bytes } => {
            length(bytes, key);
            key.push(subtype);
            key.extend_from_slice(bytes);
        }
        Value::ObjectId(id) => key.extend_from_slice(id),
        Value::Bool(truth) => key.push(u8::from(truth)),
        Value::DateTime(millis) => {
            key.extend_from_slice(&(millis.cast_unsigned() ^ (1 << 63)).to_be_bytes());
        }
        Value::Timestamp(stamp) => key.extend_from_slice(&stamp.to_be_bytes()),
        Value::Regex { pattern, options } => {
            string(pattern, key);
            string(options, key);
        }
        Value::DbPointer { namespace, id } => {
            length(namespace.as_bytes(), key);
            key.extend_from_slice(namespace.as_bytes());
            key.extend_from_slice(id);
        }
        Value::JavaScriptWithScope { code, scope } => {
            string(code, key);
            document(scope, key);
        }
    }
}

fn document(fields: Document<'_>, key: &mut Vec<u8>) {
    for (name, value) in fields {
        key.push(tag(value));
        string(name, key);
        body(value, key);
    }
    key.push(END);
}

fn string(text: &str, key: &mut Vec<u8>) {
    string_start(text.as_bytes(), key);
    key.push(END);
}

/// The bytes of a string without its end: what all strings that begin with it begin with.
pub(super) fn string_start(text: &[u8], key: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(place) = rest.iter().position(|&byte| byte <= ESCAPE) {
        key.extend_from_slice(&rest[..place]);
        key.extend_from_slice(&[ESCAPE, rest[place] + 1]);
        rest = &rest[place + 1..];
    }
    key.extend_from_slice(rest);
}

fn length(bytes: &[u8], key: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len()).expect("a value is shorter than 4 GiB");
    key.extend_from_slice(&length.to_be_bytes());
}
