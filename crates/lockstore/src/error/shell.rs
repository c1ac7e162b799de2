//! Documents as people write them: `{ _id: 1, name: "Ada" }`.

use std::fmt::{self, Write};

use bson::{RawBsonRef, RawDocument};

/// Shows a document in MongoDB's way, cut off where it is long.
pub(crate) struct Shell<'a>(pub(crate) &'a RawDocument);

impl fmt::Display for Shell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut short = Short { f, left: BYTES_MAX };
        match write_document(&mut short, self.0, 0) {
            Err(fmt::Error) if short.left == 0 => f.write_str("..."),
            written => written,
        }
    }
}

/// Writes no more than some bytes.
struct Short<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    left: usize,
}

impl Write for Short<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            return self.f.write_str(text);
        }
        let is_end = |end: &usize| text.is_char_boundary(*end);
        let end = (0..=self.left).rev().find(is_end).unwrap_or(0);
        self.left = 0;
        self.f.write_str(&text[..end])?;
        Err(fmt::Error)
    }
}

fn write_document(f: &mut Short<'_, '_>, document: &RawDocument, depth: usize) -> fmt::Result {
    let mut start = "{ ";
    for element in document.iter_elements().flatten() {
        write!(f, "{start}{}: ", element.key().as_str())?;
        match element.value() {
            Ok(value) => write_value(f, value, depth)?,
            Err(_) => f.write_str("?")?,
        }
        start = ", ";
    }
    f.write_str(if start == "{ " { "{}" } else { " }" })
}

fn write_value(f: &mut Short<'_, '_>, value: RawBsonRef<'_>, depth: usize) -> fmt::Result {
    match value {
        RawBsonRef::Document(_) | RawBsonRef::Array(_) if depth >= DEPTH_MAX => f.write_str("..."),
        RawBsonRef::Document(document) => write_document(f, document, depth + 1),
        RawBsonRef::Array(array) => {
            let mut start = "[ ";
            for item in array.into_iter().flatten() {
                f.write_str(start)?;
                write_value(f, item, depth + 1)?;
                start = ", ";
            }
            f.write_str(if start == "[ " { "[]" } else { " ]" })
        }
        RawBsonRef::Null => f.write_str("null"),
        RawBsonRef::Undefined => f.write_str("undefined"),
        RawBsonRef::MinKey => f.write_str("MinKey"),
        RawBsonRef::MaxKey => f.write_str("MaxKey"),
        RawBsonRef::Boolean(value) => write!(f, "{value}"),
        RawBsonRef::Int32(value) => write!(f, "{value}"),
        RawBsonRef::Int64(value) => write!(f, "{value}"),
        RawBsonRef::Double(value) => write!(f, "{value:?}"),
        RawBsonRef::Decimal128(value) => write!(f, "{value}"),
        RawBsonRef::String(value) => write!(f, "{value:?}"),
        RawBsonRef::ObjectId(value) => write!(f, "ObjectId('{value}')"),
        RawBsonRef::DateTime(value) => write!(f, "new Date({})", value.timestamp_millis()),
        RawBsonRef::Timestamp(value) => write!(f, "Timestamp({}, {})", value.time, value.increment),
        RawBsonRef::RegularExpression(value) => {
            write!(f, "/{}/{}", value.pattern.as_str(), value.options.as_str())
        }
        RawBsonRef::Binary(value) => {
            write!(f, "BinData({}, ", u8::from(value.subtype))?;
            value.bytes.iter().take(BYTES_MAX).try_for_each(|byte| write!(f, "{byte:02X}"))?;
            f.write_str(")")
        }
        other => write!(f, "{other:?}"),
    }
}

/// How much of a document is shown, in bytes of UTF-8.
const BYTES_MAX: usize = 1024;

/// How many levels are shown.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn a_document_is_shown_as_people_write_it() {
        let document = rawdoc! {
            "_id": 1, "name": "Ada", "tags": ["a", { "b": null }], "none": {}, "at": bson::DateTime::from_millis(5),
            "share": 0.5,
        };
        assert_eq!(
            Shell(&document).to_string(),
            r#"{ _id: 1, name: "Ada", tags: [ "a", { b: null } ], none: {}, at: new Date(5), share: 0.5 }"#
        );
        assert_eq!(Shell(&rawdoc! {}).to_string(), "{}");
    }

    #[test]
    fn a_long_document_is_cut_off() {
        let long = rawdoc! { "a": "ü".repeat(2000) };
        let shown = Shell(&long).to_string();
        assert!(shown.len() <= BYTES_MAX + 3 && shown.ends_with("..."), "{shown}");
    }
}
