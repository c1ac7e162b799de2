//! The different values of a field.

use std::collections::BTreeMap;

use docquery::limits::DOCUMENT_BYTES_MAX;
use docquery::path::{Path, array_index};
use docquery::{Document, Error, OwnedValue, Value, key};

use super::Place;
use super::select::Selector;
use crate::error::DocumentError;

impl Place<'_> {
    /// The different values at the path `field` of the documents that are selected, in their order. Items of arrays are values of
    /// their own. Indexes change nothing of it: the server also lists null for a missing field where it reads the values from
    /// the keys of an index that it happens to choose.
    ///
    /// # Errors
    ///
    /// They are more than one document holds (17217), or cannot be found.
    pub(crate) fn distinct(
        &self,
        field: &str,
        selector: &Selector,
    ) -> Result<Vec<OwnedValue>, DocumentError> {
        if field.contains('\0') {
            let message = "Key field cannot contain an embedded null byte";
            return Err(Error::location(31032, message).into());
        }
        let query = self.query(selector)?;
        let path = Path::new(field);
        let parts: Vec<&str> = path.parts().collect();
        let mut values = BTreeMap::new();
        let mut bytes = 0;
        self.for_each(&query, |row| {
            collect(Value::Document(Document::from(row.document)), &parts, &mut |value| {
                let mut sorted = Vec::new();
                key::encode(value, &mut sorted);
                values.entry(sorted).or_insert_with(|| {
                    let value = OwnedValue::from(value);
                    bytes += value.bytes() + ELEMENT_BYTES;
                    value
                });
            });
            if bytes > DOCUMENT_BYTES_MAX {
                let message = format!(
                    "distinct too big, 16mb cap: the values take more than {DOCUMENT_BYTES_MAX} bytes together"
                );
                return Err(Error::location(17217, message).into());
            }
            Ok(())
        })?;
        Ok(values.into_values().collect())
    }
}

/// Hands on the values at a path, through arrays on the way and at its end. A part that is a number is a place in an array too.
fn collect(value: Value<'_>, parts: &[&str], found: &mut impl FnMut(Value<'_>)) {
    let Some((part, rest)) = parts.split_first() else {
        match value {
            Value::Missing => {}
            Value::Array(items) => items.iter().for_each(found),
            value => found(value),
        }
        return;
    };
    match value {
        Value::Document(document) => collect(document.get(part), rest, found),
        Value::Array(items) => {
            if let Some(index) = array_index(part) {
                collect(items.get(index), rest, found);
            }
            for item in items.iter().filter(|item| item.as_document().is_some()) {
                collect(item, parts, found);
            }
        }
        _ => {}
    }
}

/// About what an item of an array takes besides the bytes of a string, an array or a document.
const ELEMENT_BYTES: usize = 16;
