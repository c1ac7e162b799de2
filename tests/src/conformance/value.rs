//! Values as they are compared.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::raw::{RawArray, RawBsonRef, RawDocument};

/// A BSON value in a form in which equal means what the cases mean by it: a scalar is its canonical Extended JSON, so that
/// its type counts, all NaN are one, -0.0 is not 0.0 and a Decimal128 is its text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Recorded as `{"$$any": true}`: equals everything.
    Any,
    /// Recorded as `{"$$type": ...}`: equals every value of this type.
    OfType(Kind),
    /// Anything but a document or an array: its type, if it is one that can be asked for, and its text.
    Scalar(Option<Kind>, String),
    /// Fields in their order.
    Document(Vec<(String, Value)>),
    /// Elements in their order.
    List(Vec<Value>),
    /// Elements whose order says nothing. They are kept sorted.
    Bag(Vec<Value>),
}

/// The types that a recording can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "BSON's own names")]
pub enum Kind {
    ObjectId,
    Date,
    Timestamp,
}

/// Whether the order of an array's elements counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// It does: the array is a list.
    #[default]
    Exact,
    /// It says nothing: the array is a bag.
    Any,
}

/// The values of one side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    inner_arrays: Order,
    has_wildcards: bool,
}

impl Side {
    /// What was recorded: `$$any` and `$$type` have their meaning.
    pub fn recorded(inner_arrays: Order) -> Self {
        Self { inner_arrays, has_wildcards: true }
    }

    /// What was answered: a document is a document.
    pub fn answered(inner_arrays: Order) -> Self {
        Self { inner_arrays, has_wildcards: false }
    }

    /// An array with an order of its own.
    ///
    /// # Errors
    ///
    /// When the bytes are no BSON.
    pub fn array(self, array: &RawArray, order: Order) -> bson::error::Result<Value> {
        let elements: bson::error::Result<_> =
            array.into_iter().map(|element| self.value(element?)).collect();
        Ok(match order {
            Order::Exact => Value::List(elements?),
            Order::Any => Value::bag(elements?),
        })
    }

    /// One value.
    ///
    /// # Errors
    ///
    /// When the bytes are no BSON.
    pub fn value(self, value: RawBsonRef<'_>) -> bson::error::Result<Value> {
        Ok(match value {
            RawBsonRef::Document(document) => self.document(document)?,
            RawBsonRef::Array(array) => self.array(array, self.inner_arrays)?,
            scalar => scalar_value(scalar)?,
        })
    }

    fn document(self, document: &RawDocument) -> bson::error::Result<Value> {
        let mut fields = Vec::new();
        for field in document {
            let (name, value) = field?;
            fields.push((name.as_str().to_owned(), self.value(value)?));
        }
        let wildcard = if self.has_wildcards { wildcard(&fields) } else { None };
        Ok(wildcard.unwrap_or(Value::Document(fields)))
    }
}

fn wildcard(fields: &[(String, Value)]) -> Option<Value> {
    let [(name, Value::Scalar(_, text))] = fields else { return None };
    match (name.as_str(), text.as_str()) {
        ("$$any", "true") => Some(Value::Any),
        ("$$type", r#""objectId""#) => Some(Value::OfType(Kind::ObjectId)),
        ("$$type", r#""date""#) => Some(Value::OfType(Kind::Date)),
        ("$$type", r#""timestamp""#) => Some(Value::OfType(Kind::Timestamp)),
        _ => None,
    }
}

impl Value {
    /// Elements whose order says nothing.
    pub fn bag(mut elements: Vec<Value>) -> Self {
        elements.sort_unstable();
        Self::Bag(elements)
    }
}

/// A value as canonical Extended JSON, for people.
pub fn show(value: RawBsonRef<'_>) -> String {
    match Side::answered(Order::Exact).value(value) {
        Ok(value) => value.to_string(),
        Err(error) => format!("damaged BSON ({error})"),
    }
}

fn scalar_value(value: RawBsonRef<'_>) -> bson::error::Result<Value> {
    let kind = match value {
        RawBsonRef::ObjectId(_) => Some(Kind::ObjectId),
        RawBsonRef::DateTime(_) => Some(Kind::Date),
        RawBsonRef::Timestamp(_) => Some(Kind::Timestamp),
        _ => None,
    };
    Ok(Value::Scalar(kind, scalar_text(value)?))
}

fn scalar_text(value: RawBsonRef<'_>) -> bson::error::Result<String> {
    Ok(match value {
        RawBsonRef::Null => "null".to_owned(),
        RawBsonRef::Boolean(value) => value.to_string(),
        RawBsonRef::String(text) => quoted(text),
        RawBsonRef::Int32(value) => format!(r#"{{"$numberInt":"{value}"}}"#),
        RawBsonRef::Int64(value) => format!(r#"{{"$numberLong":"{value}"}}"#),
        RawBsonRef::Double(value) => format!(r#"{{"$numberDouble":"{}"}}"#, double(value)),
        RawBsonRef::Decimal128(value) => format!(r#"{{"$numberDecimal":"{value}"}}"#),
        RawBsonRef::ObjectId(id) => format!(r#"{{"$oid":"{id}"}}"#),
        RawBsonRef::DateTime(time) => {
            format!(r#"{{"$date":{{"$numberLong":"{}"}}}}"#, time.timestamp_millis())
        }
        RawBsonRef::Timestamp(timestamp) => {
            let (time, increment) = (timestamp.time, timestamp.increment);
            format!(r#"{{"$timestamp":{{"t":{time},"i":{increment}}}}}"#)
        }
        RawBsonRef::Binary(binary) => {
            let (base64, subtype) = (BASE64.encode(binary.bytes), u8::from(binary.subtype));
            format!(r#"{{"$binary":{{"base64":"{base64}","subType":"{subtype:02x}"}}}}"#)
        }
        RawBsonRef::RegularExpression(regex) => {
            let (pattern, options) =
                (quoted(regex.pattern.as_str()), quoted(regex.options.as_str()));
            format!(r#"{{"$regularExpression":{{"pattern":{pattern},"options":{options}}}}}"#)
        }
        RawBsonRef::JavaScriptCode(code) => format!(r#"{{"$code":{}}}"#, quoted(code)),
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            let scope = Side::answered(Order::Exact).document(code.scope)?;
            format!(r#"{{"$code":{},"$scope":{scope}}}"#, quoted(code.code))
        }
        RawBsonRef::Symbol(text) => format!(r#"{{"$symbol":{}}}"#, quoted(text)),
        RawBsonRef::Undefined => r#"{"$undefined":true}"#.to_owned(),
        RawBsonRef::MinKey => r#"{"$minKey":1}"#.to_owned(),
        RawBsonRef::MaxKey => r#"{"$maxKey":1}"#.to_owned(),
        pointer @ RawBsonRef::DbPointer(_) => format!("{pointer:?}"),
        RawBsonRef::Document(_) | RawBsonRef::Array(_) => {
            unreachable!("documents and arrays are no scalars")
        }
    })
}

fn double(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    // Debug, because it has a point or an exponent always, and as many digits as tell the value.
    format!("{value:?}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Value {
    /// As canonical Extended JSON, the elements of bags in the order in which they are kept.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(r#"{"$$any":true}"#),
            Self::OfType(Kind::ObjectId) => f.write_str(r#"{"$$type":"objectId"}"#),
            Self::OfType(Kind::Date) => f.write_str(r#"{"$$type":"date"}"#),
            Self::OfType(Kind::Timestamp) => f.write_str(r#"{"$$type":"timestamp"}"#),
            Self::Scalar(_, text) => f.write_str(text),
            Self::Document(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{value}", quoted(name))?;
                }
                f.write_str("}")
            }
            Self::List(elements) | Self::Bag(elements) => {
                f.write_str("[")?;
                for (index, value) in elements.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}
