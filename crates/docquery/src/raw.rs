//! BSON bytes: a document's elements, found without building anything.
//!
//! An element is a type byte, a name that ends with 0, and its value. Lengths are little endian and count themselves
//! (documents, arrays) or the terminating 0 (strings). Nothing here panics or reads past the end: on bytes that are
//! no BSON an iteration ends early.

use crate::decimal::Decimal;
use crate::value::{Array, Document, Value};
use crate::{Error, ErrorCode, Result};

/// The types of BSON, by the byte that stands for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "BSON's own names")]
#[repr(u8)]
pub enum Kind {
    Double = 0x01,
    String = 0x02,
    Document = 0x03,
    Array = 0x04,
    Binary = 0x05,
    Undefined = 0x06,
    ObjectId = 0x07,
    Bool = 0x08,
    DateTime = 0x09,
    Null = 0x0A,
    Regex = 0x0B,
    DbPointer = 0x0C,
    JavaScript = 0x0D,
    Symbol = 0x0E,
    JavaScriptWithScope = 0x0F,
    Int32 = 0x10,
    Timestamp = 0x11,
    Int64 = 0x12,
    Decimal = 0x13,
    MaxKey = 0x7F,
    MinKey = 0xFF,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Double,
            0x02 => Self::String,
            0x03 => Self::Document,
            0x04 => Self::Array,
            0x05 => Self::Binary,
            0x06 => Self::Undefined,
            0x07 => Self::ObjectId,
            0x08 => Self::Bool,
            0x09 => Self::DateTime,
            0x0A => Self::Null,
            0x0B => Self::Regex,
            0x0C => Self::DbPointer,
            0x0D => Self::JavaScript,
            0x0E => Self::Symbol,
            0x0F => Self::JavaScriptWithScope,
            0x10 => Self::Int32,
            0x11 => Self::Timestamp,
            0x12 => Self::Int64,
            0x13 => Self::Decimal,
            0x7F => Self::MaxKey,
            0xFF => Self::MinKey,
            _ => return None,
        })
    }

    /// How many bytes a value of this type takes at the start of `rest`.
    fn length(self, rest: &[u8]) -> Option<usize> {
        Some(match self {
            Self::Undefined | Self::Null | Self::MinKey | Self::MaxKey => 0,
            Self::Bool => 1,
            Self::Int32 => 4,
            Self::Double | Self::DateTime | Self::Timestamp | Self::Int64 => 8,
            Self::ObjectId => 12,
            Self::Decimal => 16,
            Self::String | Self::JavaScript | Self::Symbol => {
                length_prefix(rest)?.checked_add(4)?
            }
            Self::Document | Self::Array | Self::JavaScriptWithScope => length_prefix(rest)?,
            Self::Binary => length_prefix(rest)?.checked_add(5)?,
            Self::DbPointer => length_prefix(rest)?.checked_add(16)?,
            Self::Regex => {
                let pattern = zero_in(rest)? + 1;
                pattern + zero_in(rest.get(pattern..)?)? + 1
            }
        })
    }
}

/// The elements of a document or an array, in order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    /// What is left: elements, then a 0.
    rest: &'a [u8],
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    kind: Kind,
    name: &'a [u8],
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The elements of the document that `bytes` are.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(4..).unwrap_or_default() }
    }

    /// The elements that `rest` are, with the 0 behind them: the rest of a document's.
    pub(crate) fn from_rest(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The elements of the document that `bytes` are, after a check of its length and its last byte.
    pub(crate) fn checked(bytes: &'a [u8]) -> Result<Self> {
        let length = length_prefix(bytes);
        if length != Some(bytes.len()) || bytes.len() < 5 || bytes.last() != Some(&0) {
            return Err(damaged("a document's length is wrong, or its last byte is not 0"));
        }
        Ok(Self::of(bytes))
    }

    /// The next element; an error where there should be one and is none.
    pub(crate) fn next_checked(&mut self) -> Result<Option<Element<'a>>> {
        if self.rest == [0] {
            return Ok(None);
        }
        match self.next() {
            Some(element) if std::str::from_utf8(element.name).is_ok() => Ok(Some(element)),
            Some(_) => Err(damaged("a field name is not UTF-8")),
            None => Err(damaged("an element is cut short or of an unknown type")),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (&type_byte, after_type) = self.rest.split_first()?;
        let kind = Kind::of(type_byte)?;
        let name_length = zero_in(after_type)?;
        let (name, after_name) = after_type.split_at_checked(name_length)?;
        let after_name = &after_name[1..];
        let (value, rest) = after_name.split_at_checked(kind.length(after_name)?)?;
        let whole = &self.rest[..1 + name_length + 1 + value.len()];
        self.rest = rest;
        Some(Element { kind, name, value, whole })
    }
}

impl<'a> Element<'a> {
    /// Its type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name).unwrap_or_default()
    }

    /// Its name, as bytes.
    pub fn name_bytes(&self) -> &'a [u8] {
        self.name
    }

    /// The bytes of its value.
    pub fn bytes(&self) -> &'a [u8] {
        self.value
    }

    /// All its bytes: type, name and value.
    pub fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// Its value; `Missing` where the bytes are no BSON.
    pub fn value(&self) -> Value<'a> {
        self.decode().unwrap_or(Value::Missing)
    }

    fn decode(&self) -> Option<Value<'a>> {
        let bytes = self.value;
        Some(match self.kind {
            Kind::Double => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            Kind::String => Value::String(text(bytes)?),
            Kind::Document => Value::Document(Document::of_bytes(bytes)),
            Kind::Array => Value::Array(Array::of_bytes(bytes)),
            Kind::Binary => Value::Binary { subtype: *bytes.get(4)?, bytes: bytes.get(5..)? },
            Kind::Undefined => Value::Undefined,
            Kind::ObjectId => Value::ObjectId(bytes.try_into().ok()?),
            Kind::Bool => Value::Bool(*bytes.first()? != 0),
            Kind::DateTime => Value::DateTime(i64::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Null => Value::Null,
            Kind::Regex => {
                let (pattern, rest) = bytes.split_at_checked(zero_in(bytes)?)?;
                let options = rest.get(1..rest.len().checked_sub(1)?)?;
                Value::Regex {
                    pattern: std::str::from_utf8(pattern).ok()?,
                    options: std::str::from_utf8(options).ok()?,
                }
            }
            Kind::DbPointer => {
                let (namespace, id) = bytes.split_at_checked(bytes.len().checked_sub(12)?)?;
                Value::DbPointer { namespace: text(namespace)?, id: id.try_into().ok()? }
            }
            Kind::JavaScript => Value::JavaScript(text(bytes)?),
            Kind::Symbol => Value::Symbol(text(bytes)?),
            Kind::JavaScriptWithScope => {
                let code = self.code_bytes()?;
                let scope = bytes.get(4 + code.len()..)?;
                Value::JavaScriptWithScope { code: text(code)?, scope: Document::of_bytes(scope) }
            }
            Kind::Int32 => Value::Int32(i32::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Timestamp => Value::Timestamp(u64::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Int64 => Value::Int64(i64::from_le_bytes(bytes.try_into().ok()?)),
            Kind::Decimal => Value::Decimal(Decimal::from_bytes(bytes.try_into().ok()?)),
            Kind::MaxKey => Value::MaxKey,
            Kind::MinKey => Value::MinKey,
        })
    }

    /// The string inside a JavaScript value with scope, its length included.
    fn code_bytes(&self) -> Option<&'a [u8]> {
        let inner = self.value.get(4..)?;
        inner.get(..length_prefix(inner)?.checked_add(4)?)
    }

    pub(crate) fn scope_bytes(&self) -> Result<&'a [u8]> {
        let scope = self.code_bytes().and_then(|code| {
            text(code)?;
            self.value.get(4 + code.len()..)
        });
        scope.ok_or_else(|| damaged("a JavaScript value with scope is damaged"))
    }

    /// Checks the value of an element that is neither a document nor an array.
    pub(crate) fn check_scalar(&self) -> Result<()> {
        let sound = match self.kind {
            Kind::Bool => matches!(self.value, [0 | 1]),
            _ => self.decode().is_some(),
        };
        if sound {
            Ok(())
        } else {
            Err(damaged(&format!("the value of field '{}' is damaged", self.name())))
        }
    }
}

/// The text of a string: its length, its bytes, and a 0.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = bytes.get(4..bytes.len().checked_sub(1)?)?;
    (bytes.last() == Some(&0)).then_some(())?;
    std::str::from_utf8(text).ok()
}

fn length_prefix(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
    usize::try_from(length).ok()
}

fn zero_in(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == 0)
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorCode::INVALID_BSON, format!("invalid BSON: {what}"))
}
