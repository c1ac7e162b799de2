//! Extended JSON to BSON.

use std::fmt;

use lockstore::bson::raw::{CStr, RawArrayBuf};
use lockstore::bson::{Bson, DateTime, RawBson, RawDocumentBuf, RawJavaScriptCodeWithScope};
use serde::Deserialize as _;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

/// Why a line is no document.
#[derive(Debug)]
pub(crate) struct Misread {
    /// Where, counted in bytes from 1; 0 when it is about the whole line.
    pub(crate) column: usize,
    pub(crate) reason: String,
}

/// The document of a line.
pub(crate) fn document_of_line(line: &[u8]) -> Result<RawDocumentBuf, Misread> {
    let value = value_of_json(line).map_err(|error| {
        let (row, column) = (error.line(), error.column());
        let told = error.to_string();
        let reason = told.strip_suffix(&format!(" at line {row} column {column}"));
        Misread { column, reason: reason.unwrap_or(&told).to_owned() }
    })?;
    as_document(value).map_err(|reason| Misread { column: 0, reason })
}

/// Any value, in plain JSON.
pub(super) fn value_of_json(text: &[u8]) -> serde_json::Result<RawBson> {
    let mut json = serde_json::Deserializer::from_slice(text);
    // `AnyValue` counts levels itself, and documents may have more than the library's own bound.
    json.disable_recursion_limit();
    let value = AnyValue::OUTERMOST.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

pub(super) fn as_document(value: RawBson) -> Result<RawDocumentBuf, String> {
    match value {
        RawBson::Document(document) => Ok(document),
        other => Err(format!("a document such as {{\"a\": 1}} was expected, not {}", kind(&other))),
    }
}

pub(super) fn kind(value: &RawBson) -> &'static str {
    match value {
        RawBson::Array(_) => "an array",
        RawBson::Document(_) => "a document",
        RawBson::String(_) => "a text",
        RawBson::Int32(_) | RawBson::Int64(_) | RawBson::Double(_) => "a number",
        _ => "a value of another type",
    }
}

/// Reads any value. It holds how many levels may be in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnyValue(usize);

impl AnyValue {
    pub(super) const OUTERMOST: Self = Self(LEVELS_MAX);

    fn deeper<E: Error>(self) -> Result<Self, E> {
        let too_deep = || E::custom(format!("it is nested deeper than {LEVELS_MAX} levels"));
        self.0.checked_sub(1).map(Self).ok_or_else(too_deep)
    }
}

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = RawBson;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawBson, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = RawBson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawBson, E> {
        Ok(RawBson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawBson, E> {
        Ok(RawBson::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawBson, E> {
        Ok(i32::try_from(value).map_or(RawBson::Int64(value), RawBson::Int32))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<RawBson, E> {
        #[allow(clippy::cast_precision_loss, reason = "as MongoDB's tools have it")]
        i64::try_from(value)
            .map_or(Ok(RawBson::Double(value as f64)), |value| self.visit_i64(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawBson, E> {
        Ok(RawBson::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<RawBson, E> {
        Ok(RawBson::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<RawBson, E> {
        Ok(RawBson::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawBson, A::Error> {
        let item = self.deeper()?;
        let mut array = RawArrayBuf::new();
        while let Some(value) = items.next_element_seed(item)? {
            array.push(value);
        }
        Ok(RawBson::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<RawBson, A::Error> {
        let inner = self.deeper()?;
        let first: Option<String> = fields.next_key()?;
        match first.as_deref() {
            Some("$date") => {
                let date = date(&fields.next_value_seed(inner)?)?;
                alone("$date", fields)?;
                Ok(RawBson::DateTime(date))
            }
            Some(name @ ("$code" | "$scope")) => code(name, inner, fields),
            Some(name) if TYPES.contains(&name) => {
                let begun = Begun { first: Some(name), fields: &mut fields };
                let value = Bson::deserialize(MapAccessDeserializer::new(begun))?;
                alone(name, fields)?;
                RawBson::try_from(value).map_err(A::Error::custom)
            }
            _ => document(first, inner, fields),
        }
    }
}

fn document<'de, A: MapAccess<'de>>(
    mut next: Option<String>,
    inner: AnyValue,
    mut fields: A,
) -> Result<RawBson, A::Error> {
    let mut document = RawDocumentBuf::new();
    while let Some(name) = next {
        let value = fields.next_value_seed(inner)?;
        let name: &CStr = name.as_str().try_into().map_err(|_| {
            A::Error::custom(format!("the name {name:?} holds a zero character, which no name may"))
        })?;
        document.append(name, value);
        next = fields.next_key()?;
    }
    Ok(RawBson::Document(document))
}

fn date<E: Error>(value: &RawBson) -> Result<DateTime, E> {
    match value {
        RawBson::Int32(millis) => Ok(DateTime::from_millis((*millis).into())),
        RawBson::Int64(millis) => Ok(DateTime::from_millis(*millis)),
        RawBson::String(text) => DateTime::parse_rfc3339_str(text)
            .map_err(|_| E::custom(format!("{text:?} is no date: {DATE_EXPECTED}"))),
        other => Err(E::custom(format!("{} is no date: {DATE_EXPECTED}", kind(other)))),
    }
}

/// JavaScript, with a scope or without.
fn code<'de, A: MapAccess<'de>>(
    first: &str,
    inner: AnyValue,
    mut fields: A,
) -> Result<RawBson, A::Error> {
    let (mut code, mut scope) = (None, None);
    let mut next = Some(first.to_owned());
    while let Some(name) = next {
        match &*name {
            "$code" if code.is_none() => code = Some(fields.next_value::<String>()?),
            "$scope" if scope.is_none() => {
                let value = fields.next_value_seed(inner)?;
                scope = Some(as_document(value).map_err(A::Error::custom)?);
            }
            other => {
                return Err(A::Error::custom(format!("{other:?} may not stand beside {first}")));
            }
        }
        next = fields.next_key()?;
    }
    let code = code.ok_or_else(|| A::Error::custom("$scope has no $code beside it"))?;
    Ok(match scope {
        Some(scope) => RawBson::JavaScriptCodeWithScope(RawJavaScriptCodeWithScope { code, scope }),
        None => RawBson::JavaScriptCode(code),
    })
}

/// What stands for a value of another type has no other fields.
fn alone<'de, A: MapAccess<'de>>(name: &str, mut fields: A) -> Result<(), A::Error> {
    match fields.next_key::<String>()? {
        None => Ok(()),
        Some(other) => Err(A::Error::custom(format!("{other:?} may not stand beside {name}"))),
    }
}

/// Fields of which the first name was read already.
struct Begun<'a, A> {
    first: Option<&'a str>,
    fields: &'a mut A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Begun<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(name) => seed.deserialize(name.into_deserializer()).map(Some),
            None => self.fields.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

/// The fields that stand for a value of another type when they come first; `$date`, `$code` and `$scope` do too.
const TYPES: [&str; 14] = [
    "$oid",
    "$symbol",
    "$numberInt",
    "$numberLong",
    "$numberDouble",
    "$numberDecimal",
    "$binary",
    "$uuid",
    "$timestamp",
    "$regularExpression",
    "$dbPointer",
    "$minKey",
    "$maxKey",
    "$undefined",
];

/// More than a document may have, so that it is the store that says so.
const LEVELS_MAX: usize = 200;

const DATE_EXPECTED: &str = "a text such as \"2024-05-01T12:00:00Z\" or milliseconds such as {\"$numberLong\": \"0\"} were expected";
