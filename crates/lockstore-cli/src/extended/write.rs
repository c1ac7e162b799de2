//! BSON to Extended JSON.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use lockstore::bson::raw::RawArray;
use lockstore::bson::spec::BinarySubtype;
use lockstore::bson::{DateTime, RawBson, RawBsonRef, RawDocument};
use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::failure::Failure;

/// How values are written.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Write the type of every number and date: nothing is lost when it is read again
    #[arg(long)]
    canonical: bool,
    /// Write documents over several lines, for people
    #[arg(long)]
    pretty: bool,
}

impl Form {
    /// As easy to read as a line can be.
    pub(crate) const RELAXED: Self = Self { canonical: false, pretty: false };

    /// A document a line.
    pub(crate) const fn lines(canonical: bool) -> Self {
        Self { canonical, pretty: false }
    }

    pub(crate) const fn pretty(self) -> Self {
        Self { pretty: true, ..self }
    }
}

/// The document, with an end of line behind it.
pub(crate) fn text(document: &RawDocument, form: Form) -> Result<String, Failure> {
    let mut text = text_of(RawBsonRef::Document(document), form)?;
    text.push('\n');
    Ok(text)
}

/// The value, relaxed and in one line.
pub(crate) fn text_of_value(value: impl TryInto<RawBson>) -> Result<String, Failure> {
    let value = value.try_into().map_err(|_| Failure::store("a value is no BSON"))?;
    text_of(value.as_raw_bson_ref(), Form::RELAXED)
}

/// The value, relaxed, as a part of another JSON document.
pub(crate) fn json_of_value(value: impl TryInto<RawBson>) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(text_of_value(value)?)
        .map_err(|error| Failure::store(format!("a value cannot be written as JSON: {error}")))
}

fn text_of(value: RawBsonRef<'_>, form: Form) -> Result<String, Failure> {
    let extended = Extended { value, canonical: form.canonical };
    let text = if form.pretty {
        serde_json::to_string_pretty(&extended)
    } else {
        serde_json::to_string(&extended)
    };
    let text = text.map_err(|error| {
        Failure::store(format!("a document cannot be written as JSON: {error}"))
    })?;
    Ok(harmless(text))
}

/// The same JSON, with everything escaped that would move the cursor or hide what follows: documents may contain anything.
/// Such characters stand in strings only.
fn harmless(text: String) -> String {
    if !text.contains(is_harmful) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a string takes all");
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Whether a terminal would obey it: controls (an end of line is JSON's own here), and what turns the direction of text.
fn is_harmful(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n')
}

/// A value as Extended JSON.
#[derive(Clone, Copy)]
struct Extended<'a> {
    value: RawBsonRef<'a>,
    canonical: bool,
}

impl Extended<'_> {
    fn document<S: Serializer>(
        self,
        document: &RawDocument,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        for field in document {
            let (name, value) = field.map_err(S::Error::custom)?;
            fields.serialize_entry(name.as_str(), &Extended { value, ..self })?;
        }
        fields.end()
    }

    fn array<S: Serializer>(self, array: &RawArray, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(None)?;
        for item in array {
            let value = item.map_err(S::Error::custom)?;
            items.serialize_element(&Extended { value, ..self })?;
        }
        items.end()
    }
}

impl Serialize for Extended<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            RawBsonRef::Document(document) => self.document(document, serializer),
            RawBsonRef::Array(array) => self.array(array, serializer),
            RawBsonRef::Int32(number) if self.canonical => {
                wrapped(serializer, "$numberInt", &number.to_string())
            }
            RawBsonRef::Int64(number) if self.canonical => {
                wrapped(serializer, "$numberLong", &number.to_string())
            }
            RawBsonRef::Double(number) if number.is_nan() => {
                wrapped(serializer, "$numberDouble", "NaN")
            }
            RawBsonRef::Double(number) if number.is_infinite() => {
                let sign = if number > 0.0 { "" } else { "-" };
                wrapped(serializer, "$numberDouble", &format!("{sign}Infinity"))
            }
            RawBsonRef::Double(number) if self.canonical => {
                wrapped(serializer, "$numberDouble", &format!("{number:?}"))
            }
            RawBsonRef::DateTime(date) if !self.canonical => match readable(date) {
                Some(text) => wrapped(serializer, "$date", &text),
                None => date.serialize(serializer),
            },
            // Without a subtype it would become a list of numbers.
            RawBsonRef::Binary(binary) if binary.subtype == BinarySubtype::Generic => {
                let mut fields = serializer.serialize_map(Some(1))?;
                let body = [("base64", BASE64.encode(binary.bytes)), ("subType", "00".to_owned())];
                fields.serialize_entry("$binary", &Fields(body))?;
                fields.end()
            }
            RawBsonRef::JavaScriptCodeWithScope(code) => {
                let mut fields = serializer.serialize_map(Some(2))?;
                fields.serialize_entry("$code", code.code)?;
                let scope = RawBsonRef::Document(code.scope);
                fields.serialize_entry("$scope", &Self { value: scope, ..*self })?;
                fields.end()
            }
            // What bson writes for people is the canonical form.
            other => other.serialize(serializer),
        }
    }
}

struct Fields([(&'static str, String); 2]);

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn wrapped<S: Serializer>(serializer: S, name: &str, text: &str) -> Result<S::Ok, S::Error> {
    serializer.collect_map([(name, text)])
}

/// The date as text, if it is one of the years that the relaxed form writes so: 1970 to 9999.
fn readable(date: DateTime) -> Option<String> {
    let in_range = (0..=LAST_MILLISECOND).contains(&date.timestamp_millis());
    in_range.then(|| date.try_to_rfc3339_string().ok()).flatten()
}

/// 9999-12-31T23:59:59.999Z.
const LAST_MILLISECOND: i64 = 253_402_300_799_999;
