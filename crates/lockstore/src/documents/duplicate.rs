//! The error for a key that two documents would have.

use bson::{RawDocument, RawDocumentBuf};
use docquery::key::{Direction, KeyValues, encode};
use docquery::path::array_index;
use docquery::{Array, Document, Value, Writer};

use super::{Collection, Index};
use crate::error::DuplicateKey;

/// `document` would have `key` in `index`, which another has.
pub(crate) fn error(
    collection: &Collection,
    index: &Index,
    document: &RawDocument,
    key: &[u8],
) -> DuplicateKey {
    let value = key_value(index, document, key);
    DuplicateKey::new(collection.namespace().as_str(), index.name(), index.key(), value)
}

/// The values that stand in `key`, under the names of the index's fields. Bytes do not tell what type a number had, so
/// they are looked for in the document that has the key.
fn key_value(index: &Index, document: &RawDocument, key: &[u8]) -> RawDocumentBuf {
    let mut writer = Writer::new();
    let fields = index.pattern().fields().iter();
    for (field, bytes) in fields.zip(KeyValues::new(index.pattern(), key)) {
        let bytes = ascending(bytes, field.direction());
        let parts: Vec<_> = field.path().parts().collect();
        let value = find(Value::Document(document.into()), &parts, &bytes);
        // What is missing stands in a key as null.
        writer.field(field.path().as_str(), value.unwrap_or(Value::Null));
    }
    RawDocumentBuf::from_bytes(writer.finish()).expect("the writer writes BSON")
}

fn ascending(bytes: &[u8], direction: Direction) -> Vec<u8> {
    match direction {
        Direction::Ascending => bytes.to_vec(),
        Direction::Descending => bytes.iter().map(|byte| !byte).collect(),
    }
}

/// The value on a path that is encoded as `bytes`. It goes no deeper than documents nest.
fn find<'a>(value: Value<'a>, parts: &[&str], bytes: &[u8]) -> Option<Value<'a>> {
    let Some((part, rest)) = parts.split_first() else {
        let items = value.as_array().into_iter().flat_map(Array::iter);
        return std::iter::once(value).chain(items).find(|value| is_encoded_as(*value, bytes));
    };
    match value {
        Value::Document(document) => find_field(document, part, rest, bytes),
        Value::Array(array) => {
            let place = array_index(part).map(|place| array.get(place));
            let in_place = place.and_then(|item| find(item, rest, bytes));
            let mut documents = array.iter().filter_map(|item| item.as_document());
            in_place.or_else(|| documents.find_map(|item| find_field(item, part, rest, bytes)))
        }
        _ => None,
    }
}

fn find_field<'a>(
    document: Document<'a>,
    part: &str,
    rest: &[&str],
    bytes: &[u8],
) -> Option<Value<'a>> {
    match document.get(part) {
        Value::Missing => None,
        value => find(value, rest, bytes),
    }
}

fn is_encoded_as(value: Value<'_>, bytes: &[u8]) -> bool {
    let mut encoded = Vec::with_capacity(bytes.len());
    encode(value, &mut encoded);
    encoded == bytes
}
