//! Values: BSON that is looked at, not owned.

use std::fmt;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::raw::{Element, Elements};
use crate::{Decimal, Writer};

/// A BSON value, borrowed from a document or computed in an [`Arena`](crate::Arena).
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// No value: a field that is not there. It never stands in a document or an array.
    Missing,
    /// Less than all others.
    MinKey,
    /// The deprecated undefined.
    Undefined,
    /// Null.
    Null,
    /// A 32-bit integer.
    Int32(i32),
    /// A 64-bit integer.
    Int64(i64),
    /// A binary floating-point number.
    Double(f64),
    /// A decimal floating-point number.
    Decimal(Decimal),
    /// A string.
    String(&'a str),
    /// The deprecated symbol.
    Symbol(&'a str),
    /// An embedded document.
    Document(Document<'a>),
    /// An array.
    Array(Array<'a>),
    /// Bytes.
    Binary {
        /// What they mean.
        subtype: u8,
        /// The bytes; those of the old subtype 2 begin with their length once more.
        bytes: &'a [u8],
    },
    /// An object id.
    ObjectId(&'a [u8; 12]),
    /// True or false.
    Bool(bool),
    /// Milliseconds since the epoch.
    DateTime(i64),
    /// Seconds since the epoch in the upper half, a counter in the lower.
    Timestamp(u64),
    /// A regular expression.
    Regex {
        /// Its pattern.
        pattern: &'a str,
        /// Its options, one letter each.
        options: &'a str,
    },
    /// The deprecated pointer into another collection.
    DbPointer {
        /// The collection.
        namespace: &'a str,
        /// The `_id` there.
        id: &'a [u8; 12],
    },
    /// Code.
    JavaScript(&'a str),
    /// Code with variables.
    JavaScriptWithScope {
        /// The code.
        code: &'a str,
        /// Its variables.
        scope: Document<'a>,
    },
    /// Greater than all others.
    MaxKey,
}

/// A document: raw bytes, or fields that were computed.
#[derive(Clone, Copy)]
pub struct Document<'a>(Repr<'a, (&'a str, Value<'a>)>);

/// An array: raw bytes, or items that were computed.
#[derive(Clone, Copy)]
pub struct Array<'a>(Repr<'a, Value<'a>>);

#[derive(Clone, Copy)]
enum Repr<'a, T> {
    Raw(&'a [u8]),
    Built {
        parts: &'a [T],
        /// How many levels were built, this one included. What is raw inside counts as none.
        depth: u16,
    },
}

impl<'a> Value<'a> {
    /// Whether there is no value.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Whether this is null, undefined or missing: what most operators take for no value.
    pub fn is_nullish(&self) -> bool {
        matches!(self, Self::Missing | Self::Null | Self::Undefined)
    }

    /// Whether this is one of the four types of numbers.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int32(_) | Self::Int64(_) | Self::Double(_) | Self::Decimal(_))
    }

    /// The name of the type, as `$type` gives it: `"int"`, `"object"`, `"missing"`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::MinKey => "minKey",
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Int32(_) => "int",
            Self::Int64(_) => "long",
            Self::Double(_) => "double",
            Self::Decimal(_) => "decimal",
            Self::String(_) => "string",
            Self::Symbol(_) => "symbol",
            Self::Document(_) => "object",
            Self::Array(_) => "array",
            Self::Binary { .. } => "binData",
            Self::ObjectId(_) => "objectId",
            Self::Bool(_) => "bool",
            Self::DateTime(_) => "date",
            Self::Timestamp(_) => "timestamp",
            Self::Regex { .. } => "regex",
            Self::DbPointer { .. } => "dbPointer",
            Self::JavaScript(_) => "javascript",
            Self::JavaScriptWithScope { .. } => "javascriptWithScope",
            Self::MaxKey => "maxKey",
        }
    }

    /// What an expression takes for true: all but false, null, undefined, missing and the numbers that are 0.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Missing | Self::Null | Self::Undefined | Self::Int32(0) | Self::Int64(0) => false,
            Self::Bool(truth) => *truth,
            Self::Double(number) => *number != 0.0,
            Self::Decimal(number) => !number.is_zero(),
            _ => true,
        }
    }

    /// The document, if it is one.
    pub fn as_document(&self) -> Option<Document<'a>> {
        if let Self::Document(document) = self { Some(*document) } else { None }
    }

    /// The array, if it is one.
    pub fn as_array(&self) -> Option<Array<'a>> {
        if let Self::Array(array) = self { Some(*array) } else { None }
    }

    /// The string, if it is one.
    pub fn as_str(&self) -> Option<&'a str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    /// How many levels of this value were built in an arena.
    pub(crate) fn built_depth(&self) -> u16 {
        match self {
            Self::Document(Document(Repr::Built { depth, .. }))
            | Self::Array(Array(Repr::Built { depth, .. })) => *depth,
            _ => 0,
        }
    }
}

impl<'a> Document<'a> {
    /// The document without fields.
    pub const EMPTY: Document<'static> = Document(Repr::Raw(EMPTY_BYTES));

    /// The document that is read from `bytes`. Nothing is checked: where they are no BSON, it ends.
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(Repr::Raw(bytes))
    }

    pub(crate) fn of_fields(parts: &'a [(&'a str, Value<'a>)], depth: u16) -> Self {
        Self(Repr::Built { parts, depth })
    }

    /// The fields, in order.
    pub fn iter(self) -> Fields<'a> {
        Fields(self.slots())
    }

    /// The value of the field `name`; `Missing` if there is none. Of several with one name, the first.
    pub fn get(self, name: &str) -> Value<'a> {
        match self.0 {
            Repr::Raw(bytes) => Elements::of(bytes)
                .find(|element| element.name_bytes() == name.as_bytes())
                .map_or(Value::Missing, |element| element.value()),
            Repr::Built { parts, .. } => parts
                .iter()
                .find(|(key, _)| *key == name)
                .map_or(Value::Missing, |(_, value)| *value),
        }
    }

    /// The fields, in order, and where it was built also those that are `Missing`: a field that was removed or never
    /// had a value keeps its place for a value that it may get.
    pub(crate) fn slots(self) -> Slots<'a> {
        Slots(match self.0 {
            Repr::Raw(bytes) => Parts::Raw(Elements::of(bytes)),
            Repr::Built { parts, .. } => Parts::Built(parts.iter()),
        })
    }

    /// The first field.
    pub fn first(self) -> Option<(&'a str, Value<'a>)> {
        self.iter().next()
    }

    /// Whether it has no field.
    pub fn is_empty(self) -> bool {
        self.first().is_none()
    }

    /// How many fields it has. It takes a walk over all of them.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// The BSON bytes it is read from, unless it was built.
    pub fn raw_bytes(self) -> Option<&'a [u8]> {
        if let Repr::Raw(bytes) = self.0 { Some(bytes) } else { None }
    }

    /// How many levels of it were built in an arena.
    pub(crate) fn built_depth(self) -> u16 {
        Value::Document(self).built_depth()
    }

    /// A copy in BSON.
    pub fn to_raw(self) -> RawDocumentBuf {
        let bytes = match self.0 {
            Repr::Raw(bytes) => bytes.to_vec(),
            Repr::Built { .. } => {
                let mut writer = Writer::new();
                writer.fields(self);
                writer.finish()
            }
        };
        RawDocumentBuf::from_bytes(bytes).unwrap_or_default()
    }
}

impl<'a> Array<'a> {
    /// The array without items.
    pub const EMPTY: Array<'static> = Array(Repr::Raw(EMPTY_BYTES));

    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(Repr::Raw(bytes))
    }

    pub(crate) fn of_items(parts: &'a [Value<'a>], depth: u16) -> Self {
        Self(Repr::Built { parts, depth })
    }

    /// The items, in order.
    pub fn iter(self) -> Items<'a> {
        Items(match self.0 {
            Repr::Raw(bytes) => Parts::Raw(Elements::of(bytes)),
            Repr::Built { parts, .. } => Parts::Built(parts.iter()),
        })
    }

    /// The item at `index`; `Missing` if there is none.
    pub fn get(self, index: usize) -> Value<'a> {
        match self.0 {
            Repr::Raw(bytes) => {
                Elements::of(bytes).nth(index).map_or(Value::Missing, |element| element.value())
            }
            Repr::Built { parts, .. } => parts.get(index).copied().unwrap_or(Value::Missing),
        }
    }

    /// Whether it has no item.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// How many items it has. Where it is raw, it takes a walk over all of them.
    pub fn len(self) -> usize {
        match self.0 {
            Repr::Raw(bytes) => Elements::of(bytes).count(),
            Repr::Built { parts, .. } => parts.len(),
        }
    }

    /// The BSON bytes it is read from, unless it was built.
    pub fn raw_bytes(self) -> Option<&'a [u8]> {
        if let Repr::Raw(bytes) = self.0 { Some(bytes) } else { None }
    }

    /// The items, if they were built: a place among them is found without a walk.
    pub fn built_items(self) -> Option<&'a [Value<'a>]> {
        if let Repr::Built { parts, .. } = self.0 { Some(parts) } else { None }
    }
}

/// The fields of a document, see [`Document::iter`].
#[derive(Clone, Debug)]
pub struct Fields<'a>(Slots<'a>);

/// The fields of a document and the places of fields, see [`Document::slots`].
#[derive(Clone, Debug)]
pub(crate) struct Slots<'a>(Parts<'a, (&'a str, Value<'a>)>);

/// The items of an array, see [`Array::iter`].
#[derive(Clone, Debug)]
pub struct Items<'a>(Parts<'a, Value<'a>>);

#[derive(Clone, Debug)]
enum Parts<'a, T> {
    Raw(Elements<'a>),
    Built(std::slice::Iter<'a, T>),
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.find(|(_, value)| !value.is_missing())
    }
}

impl<'a> Iterator for Slots<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Parts::Raw(elements) => {
                elements.next().map(|element| (element.name(), element.value()))
            }
            Parts::Built(parts) => parts.next().copied(),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match &mut self.0 {
            Parts::Raw(elements) => elements.next().map(|element: Element<'a>| element.value()),
            Parts::Built(parts) => parts.next().copied(),
        }
    }
}

impl<'a> IntoIterator for Document<'a> {
    type Item = (&'a str, Value<'a>);
    type IntoIter = Fields<'a>;

    fn into_iter(self) -> Fields<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for Array<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> From<&'a RawDocument> for Document<'a> {
    fn from(document: &'a RawDocument) -> Self {
        Self::of_bytes(document.as_bytes())
    }
}

impl<'a> From<&'a RawDocument> for Value<'a> {
    fn from(document: &'a RawDocument) -> Self {
        Self::Document(document.into())
    }
}

impl From<RawBsonRef<'_>> for OwnedValue {
    fn from(value: RawBsonRef<'_>) -> Self {
        let mut document = RawDocumentBuf::new();
        document.append(bson::raw::cstr!(""), value);
        Document::from(&*document).get("").into()
    }
}

/// A value that owns what it is made of. Never `Missing`, but for one made of `Missing`.
#[derive(Clone)]
pub struct OwnedValue(Owned);

/// Looking at an owned value is to cost next to nothing: filters and sort keys do it for every document.
#[derive(Clone)]
enum Owned {
    /// A value that borrows nothing.
    Scalar(Value<'static>),
    String(Box<str>),
    ObjectId([u8; 12]),
    Document(Box<[u8]>),
    Array(Box<[u8]>),
    /// Any other, as a document with one field, whose name is empty.
    Wrapped(Box<[u8]>),
}

impl OwnedValue {
    /// The value.
    pub fn get(&self) -> Value<'_> {
        match &self.0 {
            Owned::Scalar(value) => *value,
            Owned::String(text) => Value::String(text),
            Owned::ObjectId(id) => Value::ObjectId(id),
            Owned::Document(bytes) => Value::Document(Document::of_bytes(bytes)),
            Owned::Array(bytes) => Value::Array(Array::of_bytes(bytes)),
            Owned::Wrapped(bytes) => {
                Elements::of(bytes).next().map_or(Value::Missing, |element| element.value())
            }
        }
    }

    /// How much memory it takes besides itself, in bytes.
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Owned::Scalar(_) | Owned::ObjectId(_) => 0,
            Owned::String(text) => text.len(),
            Owned::Document(bytes) | Owned::Array(bytes) | Owned::Wrapped(bytes) => bytes.len(),
        }
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        let wrapped = || {
            let mut writer = Writer::new();
            writer.field("", value);
            writer.finish().into_boxed_slice()
        };
        Self(match value {
            Value::Missing => Owned::Scalar(Value::Missing),
            Value::MinKey => Owned::Scalar(Value::MinKey),
            Value::Undefined => Owned::Scalar(Value::Undefined),
            Value::Null => Owned::Scalar(Value::Null),
            Value::Int32(number) => Owned::Scalar(Value::Int32(number)),
            Value::Int64(number) => Owned::Scalar(Value::Int64(number)),
            Value::Double(number) => Owned::Scalar(Value::Double(number)),
            Value::Decimal(number) => Owned::Scalar(Value::Decimal(number)),
            Value::Bool(truth) => Owned::Scalar(Value::Bool(truth)),
            Value::DateTime(time) => Owned::Scalar(Value::DateTime(time)),
            Value::Timestamp(stamp) => Owned::Scalar(Value::Timestamp(stamp)),
            Value::MaxKey => Owned::Scalar(Value::MaxKey),
            Value::String(text) => Owned::String(text.into()),
            Value::ObjectId(id) => Owned::ObjectId(*id),
            Value::Document(document) => match document.raw_bytes() {
                Some(bytes) => Owned::Document(bytes.into()),
                None => Owned::Wrapped(wrapped()),
            },
            Value::Array(array) => match array.raw_bytes() {
                Some(bytes) => Owned::Array(bytes.into()),
                None => Owned::Wrapped(wrapped()),
            },
            Value::Symbol(_)
            | Value::Binary { .. }
            | Value::Regex { .. }
            | Value::DbPointer { .. }
            | Value::JavaScript(_)
            | Value::JavaScriptWithScope { .. } => Owned::Wrapped(wrapped()),
        })
    }
}

impl fmt::Debug for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

const EMPTY_BYTES: &[u8] = &[5, 0, 0, 0, 0];
