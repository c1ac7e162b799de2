//! Writing BSON.

use crate::Value;
use crate::raw::{Element, Kind};
use crate::value::{Array, Document};

/// Builds the bytes of a document, field by field. Inner documents and arrays are opened and closed.
///
/// ```
/// use docquery::{Value, Writer};
///
/// let mut writer = Writer::new();
/// writer.field("a", Value::Int32(1));
/// writer.open_array("list");
/// writer.item(Value::Bool(true));
/// writer.close();
/// let bytes = writer.finish();
/// assert_eq!(bytes.len(), 4 + 7 + (1 + 5 + 4 + 4 + 1) + 1);
/// ```
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    open: Vec<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    start: usize,
    /// The index of the next item, where this is an array.
    next: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer of an empty document.
    pub fn new() -> Self {
        Self::with_capacity(128)
    }

    /// A writer of an empty document with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut writer = Self { bytes: Vec::with_capacity(bytes), open: Vec::with_capacity(4) };
        writer.begin();
        writer
    }

    /// How many bytes are written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written into the document.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= 4
    }

    /// Writes a field; nothing if the value is `Missing`.
    ///
    /// # Panics
    ///
    /// The name has a 0 in it: no name of a field has, and what makes names of strings must refuse it.
    pub fn field(&mut self, name: &str, value: Value<'_>) {
        if let Some(kind) = kind_of(value) {
            self.header(kind, name);
            self.value(value);
        }
    }

    /// Writes the next item of the array that is open; null if the value is `Missing`.
    pub fn item(&mut self, value: Value<'_>) {
        let value = if value.is_missing() { Value::Null } else { value };
        self.with_next_name(|writer, name| writer.field(name, value));
    }

    /// Writes a field with the value of `element`, as it is.
    pub fn copy_as(&mut self, name: &str, element: &Element<'_>) {
        self.header(element.kind(), name);
        self.bytes.extend_from_slice(element.bytes());
    }

    /// Writes `element`, name and value.
    pub fn copy(&mut self, element: &Element<'_>) {
        self.bytes.extend_from_slice(element.whole());
    }

    /// Writes the next item of the array that is open with the value of `element`, as it is.
    pub fn copy_item(&mut self, element: &Element<'_>) {
        self.with_next_name(|writer, name| writer.copy_as(name, element));
    }

    /// Writes all fields of `document`.
    pub fn fields(&mut self, document: Document<'_>) {
        match document.raw_bytes() {
            Some(bytes) => {
                let elements = bytes.get(4..bytes.len().saturating_sub(1));
                self.bytes.extend_from_slice(elements.unwrap_or_default());
            }
            None => document.iter().for_each(|(name, value)| self.field(name, value)),
        }
    }

    /// Begins an inner document.
    pub fn open_document(&mut self, name: &str) {
        self.header(Kind::Document, name);
        self.begin();
    }

    /// Begins an inner array.
    pub fn open_array(&mut self, name: &str) {
        self.header(Kind::Array, name);
        self.begin();
    }

    /// Begins a document that is the next item of the array that is open.
    pub fn open_document_item(&mut self) {
        self.with_next_name(Self::open_document);
    }

    /// Begins an array that is the next item of the array that is open.
    pub fn open_array_item(&mut self) {
        self.with_next_name(Self::open_array);
    }

    /// Ends the inner document or array that was opened last.
    ///
    /// # Panics
    ///
    /// Nothing is open.
    pub fn close(&mut self) {
        assert!(self.open.len() > 1, "each close belongs to an open");
        self.end();
    }

    /// The document.
    ///
    /// # Panics
    ///
    /// Something is still open, or the document is longer than 2 GiB.
    pub fn finish(mut self) -> Vec<u8> {
        assert!(self.open.len() == 1, "what was opened is closed");
        self.end();
        self.bytes
    }

    fn begin(&mut self) {
        self.open.push(Open { start: self.bytes.len(), next: 0 });
        self.bytes.extend_from_slice(&[0; 4]);
    }

    fn end(&mut self) {
        self.bytes.push(0);
        let Open { start, .. } = self.open.pop().expect("a document is open until it is finished");
        let length =
            i32::try_from(self.bytes.len() - start).expect("a document is shorter than 2 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }

    fn header(&mut self, kind: Kind, name: &str) {
        assert!(!name.as_bytes().contains(&0), "a field name has no 0 in it: {name:?}");
        self.bytes.push(kind as u8);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    fn with_next_name(&mut self, write: impl FnOnce(&mut Self, &str)) {
        let open = self.open.last_mut().expect("a document is open until it is finished");
        let index = open.next;
        open.next += 1;
        let mut digits = [0; 10];
        write(self, decimal_digits(index, &mut digits));
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Missing | Value::MinKey | Value::Undefined | Value::Null | Value::MaxKey => {}
            Value::Int32(number) => self.bytes.extend_from_slice(&number.to_le_bytes()),
            Value::Int64(number) | Value::DateTime(number) => {
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
            Value::Double(number) => self.bytes.extend_from_slice(&number.to_le_bytes()),
            Value::Decimal(number) => self.bytes.extend_from_slice(&number.to_bytes()),
            Value::String(text) | Value::Symbol(text) | Value::JavaScript(text) => self.text(text),
            Value::Document(document) => self.document(document),
            Value::Array(array) => self.array(array),
            Value::Binary { subtype, bytes } => {
                self.length(bytes.len());
                self.bytes.push(subtype);
                self.bytes.extend_from_slice(bytes);
            }
            Value::ObjectId(id) => self.bytes.extend_from_slice(id),
            Value::Bool(truth) => self.bytes.push(u8::from(truth)),
            Value::Timestamp(stamp) => self.bytes.extend_from_slice(&stamp.to_le_bytes()),
            Value::Regex { pattern, options } => {
                for part in [pattern, options] {
                    self.bytes.extend_from_slice(part.as_bytes());
                    self.bytes.push(0);
                }
            }
            Value::DbPointer { namespace, id } => {
                self.text(namespace);
                self.bytes.extend_from_slice(id);
            }
            Value::JavaScriptWithScope { code, scope } => {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&[0; 4]);
                self.text(code);
                self.document(scope);
                let length =
                    i32::try_from(self.bytes.len() - start).expect("a value is shorter than 2 GiB");
                self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
            }
        }
    }

    fn document(&mut self, document: Document<'_>) {
        if let Some(bytes) = document.raw_bytes() {
            return self.bytes.extend_from_slice(bytes);
        }
        self.begin();
        document.iter().for_each(|(name, value)| self.field(name, value));
        self.end();
    }

    fn array(&mut self, array: Array<'_>) {
        if let Some(bytes) = array.raw_bytes() {
            return self.bytes.extend_from_slice(bytes);
        }
        self.begin();
        array.iter().for_each(|value| self.item(value));
        self.end();
    }

    fn text(&mut self, text: &str) {
        self.length(text.len() + 1);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn length(&mut self, length: usize) {
        let length = i32::try_from(length).expect("a value is shorter than 2 GiB");
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }
}

/// How long `value` is in BSON at most, in bytes; `None` if it is longer than `max`. What was built may hold the same values many
/// times, so that it would be very much longer than the memory it takes: this ends as soon as `max` is reached.
pub(crate) fn encoded_bytes(value: Value<'_>, max: usize) -> Option<usize> {
    let raw = match value {
        Value::Document(document) => document.raw_bytes(),
        Value::Array(array) => array.raw_bytes(),
        _ => None,
    };
    let bytes = match value {
        _ if raw.is_some() => raw.map_or(0, <[u8]>::len),
        Value::Document(document) => {
            document.iter().try_fold(EMPTY_BYTES, |bytes, (name, value)| {
                let value = encoded_bytes(value, max.checked_sub(bytes)?)?;
                Some(bytes + HEADER_BYTES + name.len() + value)
            })?
        }
        Value::Array(array) => array.iter().try_fold(EMPTY_BYTES, |bytes, value| {
            let value = encoded_bytes(value, max.checked_sub(bytes)?)?;
            Some(bytes + HEADER_BYTES + INDEX_DIGITS_MAX + value)
        })?,
        Value::String(text) | Value::Symbol(text) | Value::JavaScript(text) => 5 + text.len(),
        Value::Binary { bytes, .. } => 5 + bytes.len(),
        Value::Regex { pattern, options } => 2 + pattern.len() + options.len(),
        Value::DbPointer { namespace, .. } => 17 + namespace.len(),
        Value::JavaScriptWithScope { code, scope } => {
            9 + code.len() + encoded_bytes(Value::Document(scope), max)?
        }
        _ => SCALAR_BYTES_MAX,
    };
    (bytes <= max).then_some(bytes)
}

/// The length of a document without fields.
const EMPTY_BYTES: usize = 5;

/// The length of the type of a value, and of the 0 behind its name.
const HEADER_BYTES: usize = 2;

/// The length of the longest index of an item that is counted on.
const INDEX_DIGITS_MAX: usize = 7;

/// The length of the longest value of a type whose values are all of one length: a decimal.
const SCALAR_BYTES_MAX: usize = 16;

/// The type of a value, if there is one.
pub(crate) fn kind_of(value: Value<'_>) -> Option<Kind> {
    Some(match value {
        Value::Missing => return None,
        Value::MinKey => Kind::MinKey,
        Value::Undefined => Kind::Undefined,
        Value::Null => Kind::Null,
        Value::Int32(_) => Kind::Int32,
        Value::Int64(_) => Kind::Int64,
        Value::Double(_) => Kind::Double,
        Value::Decimal(_) => Kind::Decimal,
        Value::String(_) => Kind::String,
        Value::Symbol(_) => Kind::Symbol,
        Value::Document(_) => Kind::Document,
        Value::Array(_) => Kind::Array,
        Value::Binary { .. } => Kind::Binary,
        Value::ObjectId(_) => Kind::ObjectId,
        Value::Bool(_) => Kind::Bool,
        Value::DateTime(_) => Kind::DateTime,
        Value::Timestamp(_) => Kind::Timestamp,
        Value::Regex { .. } => Kind::Regex,
        Value::DbPointer { .. } => Kind::DbPointer,
        Value::JavaScript(_) => Kind::JavaScript,
        Value::JavaScriptWithScope { .. } => Kind::JavaScriptWithScope,
        Value::MaxKey => Kind::MaxKey,
    })
}

fn decimal_digits(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[start..]).expect("digits are ASCII")
}
