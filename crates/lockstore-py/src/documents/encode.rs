//! Python's values as BSON.

use docquery::{Decimal, Document, Value, Writer};
use lockstore::bson::{RawBson, RawDocumentBuf};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::invalid;
use super::types::Types;

/// A document that is written.
pub(super) struct Encoder<'py> {
    py: Python<'py>,
    types: &'py Types,
    writer: Writer,
    depth: usize,
}

/// Where the next value goes.
#[derive(Clone, Copy)]
enum Place<'a> {
    Field(&'a str),
    Item,
}

/// The BSON of a mapping.
pub(super) fn document(given: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let mut encoder = Encoder::new(given.py())?;
    encoder.fields(given)?;
    Ok(encoder.finish())
}

/// A value as BSON: an update, which is a mapping or a list.
pub(super) fn value(given: &Bound<'_, PyAny>) -> PyResult<RawBson> {
    let mut encoder = Encoder::new(given.py())?;
    encoder.value(Place::Field(""), given)?;
    let document = RawDocumentBuf::from_bytes(encoder.finish());
    let value = document.and_then(|document| Ok(document.get("")?.map(RawBson::from)));
    value.map_err(|error| invalid(error.to_string()))?.ok_or_else(|| unknown(given))
}

impl<'py> Encoder<'py> {
    pub(super) fn new(py: Python<'py>) -> PyResult<Self> {
        Ok(Self { py, types: Types::get(py)?, writer: Writer::new(), depth: 0 })
    }

    /// How many bytes are written so far.
    pub(super) fn len(&self) -> usize {
        self.writer.len()
    }

    /// Writes all fields of a mapping.
    pub(super) fn fields(&mut self, mapping: &Bound<'py, PyAny>) -> PyResult<()> {
        // What is more than a dict may have other items, or another order.
        if let Ok(dict) = mapping.cast_exact::<PyDict>() {
            for (name, value) in dict {
                self.field(&name, &value)?;
            }
            return Ok(());
        }
        if !mapping.is_instance(self.types.mapping.bind(self.py))? {
            return Err(invalid(format!(
                "a document is a mapping; this one is {}",
                shown(mapping)
            )));
        }
        for item in mapping.call_method0(intern!(self.py, "items"))?.try_iter()? {
            let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item?.extract()?;
            self.field(&name, &value)?;
        }
        Ok(())
    }

    /// Begins an array that is a field; `end_array` ends it.
    pub(super) fn begin_array(&mut self, name: &str) {
        self.writer.open_array(name);
    }

    /// Writes a document, whose BSON this is, as the next item.
    pub(super) fn document_item(&mut self, bytes: &[u8]) {
        self.writer.item(Value::Document(Document::of_bytes(bytes)));
    }

    /// Ends the array that was begun last.
    pub(super) fn end_array(&mut self) {
        self.writer.close();
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.writer.finish()
    }

    fn field(&mut self, name: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let Ok(name) = name.cast::<PyString>() else {
            return Err(invalid(format!(
                "documents must have only string keys, key was {}",
                name.repr()?
            )));
        };
        let name = name.to_str()?;
        if name.contains('\0') {
            return Err(invalid("Key names must not contain the NULL character".to_owned()));
        }
        self.value(Place::Field(name), value)
    }

    /// Writes a value. What occurs most comes first.
    fn value(&mut self, place: Place<'_>, given: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(text) = given.cast::<PyString>() {
            let text = text.to_str()?;
            self.check_length(text.len())?;
            return self.marked(place, given, Value::String(text));
        }
        if let Ok(truth) = given.cast::<PyBool>() {
            self.put(place, Value::Bool(truth.is_true()));
        } else if given.is_instance_of::<PyInt>() {
            let number = self.integer(given)?;
            self.put(place, number);
        } else if let Ok(number) = given.cast::<PyFloat>() {
            self.put(place, Value::Double(number.value()));
        } else if given.is_none() {
            self.put(place, Value::Null);
        } else if given.is_instance_of::<PyDict>() {
            self.inner(place, false, |encoder| encoder.fields(given))?;
        } else if let Ok(list) = given.cast::<PyList>() {
            self.inner(place, true, |encoder| {
                list.iter().try_for_each(|item| encoder.value(Place::Item, &item))
            })?;
        } else if let Ok(tuple) = given.cast::<PyTuple>() {
            self.inner(place, true, |encoder| {
                tuple.iter().try_for_each(|item| encoder.value(Place::Item, &item))
            })?;
        } else if given.is_instance(self.types.datetime.bind(self.py))? {
            let millis = self.types.to_millis(given)?;
            self.put(place, Value::DateTime(millis));
        } else {
            return self.marked(place, given, Value::Missing);
        }
        self.check_length(0)
    }

    fn integer(&self, given: &Bound<'py, PyAny>) -> PyResult<Value<'static>> {
        let Ok(number) = given.extract::<i64>() else {
            return Err(invalid(format!(
                "MongoDB can only handle up to 8-byte ints; this one is {given}"
            )));
        };
        Ok(match i32::try_from(number) {
            Ok(small) if !given.is_instance(self.types.int64.bind(self.py))? => Value::Int32(small),
            _ => Value::Int64(number),
        })
    }

    /// Writes a value of one of BSON's own types, which are known by the marks that pymongo's have, and ours too; `plain` if it has no
    /// mark.
    fn marked(
        &mut self,
        place: Place<'_>,
        given: &Bound<'py, PyAny>,
        plain: Value<'_>,
    ) -> PyResult<()> {
        // A plain string or bytes object has no attributes of its own: it is not asked.
        let is_plain = given.is_exact_instance_of::<PyString>();
        let mark = if is_plain {
            None
        } else {
            given
                .getattr_opt(intern!(self.py, "_type_marker"))?
                .and_then(|mark| mark.extract().ok())
        };
        let attribute = |name: &str| given.getattr(name);
        match mark {
            None if !plain.is_missing() => self.put(place, plain),
            None => return self.others(place, given),
            Some(OBJECT_ID) => {
                let bytes: [u8; 12] = attribute("binary")?.extract()?;
                self.put(place, Value::ObjectId(&bytes));
            }
            Some(BINARY) => {
                let bytes = given.cast::<PyBytes>()?.as_bytes();
                self.check_length(bytes.len())?;
                let subtype = attribute("subtype")?.extract()?;
                if subtype == OLD_BINARY {
                    let length = i32::try_from(bytes.len())?.to_le_bytes();
                    let bytes = &[&length, bytes].concat();
                    self.put(place, Value::Binary { subtype, bytes });
                } else {
                    self.put(place, Value::Binary { subtype, bytes });
                }
            }
            Some(DECIMAL) => {
                let bytes: [u8; 16] = attribute("bid")?.extract()?;
                self.put(place, Value::Decimal(Decimal::from_bytes(&bytes)));
            }
            Some(TIMESTAMP) => {
                let time: u32 = attribute("time")?.extract()?;
                let inc: u32 = attribute("inc")?.extract()?;
                self.put(place, Value::Timestamp(u64::from(time) << 32 | u64::from(inc)));
            }
            Some(REGEX) => return self.regex(place, given),
            Some(CODE) => {
                let code = given.cast::<PyString>()?.to_str()?;
                let scope = attribute("scope")?;
                if scope.is_none() {
                    self.put(place, Value::JavaScript(code));
                } else {
                    if self.depth == DEPTH_MAX {
                        return Err(too_deep());
                    }
                    let mut inner = Self::new(self.py)?;
                    inner.depth = self.depth + 1;
                    inner.fields(&scope)?;
                    let scope = inner.finish();
                    let scope = Document::of_bytes(&scope);
                    self.put(place, Value::JavaScriptWithScope { code, scope });
                }
            }
            Some(MIN_KEY) => self.put(place, Value::MinKey),
            Some(MAX_KEY) => self.put(place, Value::MaxKey),
            Some(DB_REF) => {
                let reference = given.call_method0(intern!(self.py, "as_doc"))?;
                self.inner(place, false, |encoder| encoder.fields(&reference))?;
            }
            Some(DATETIME_MS) => {
                let millis = given.call_method0(intern!(self.py, "__int__"))?.extract()?;
                self.put(place, Value::DateTime(millis));
            }
            Some(RAW_DOCUMENT) => self.inner(place, false, |encoder| encoder.fields(given))?,
            Some(_) => return Err(unknown(given)),
        }
        self.check_length(0)
    }

    /// Writes a value of a type that occurs seldom.
    fn others(&mut self, place: Place<'_>, given: &Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(bytes) = given.cast::<PyBytes>() {
            self.check_length(bytes.as_bytes().len())?;
            self.put(place, Value::Binary { subtype: 0, bytes: bytes.as_bytes() });
        } else if given.is_instance(self.types.uuid.bind(self.py))? {
            let bytes = given.getattr(intern!(self.py, "bytes"))?;
            let bytes = bytes.cast::<PyBytes>()?.as_bytes();
            self.put(place, Value::Binary { subtype: UUID, bytes });
        } else if given.is_instance(self.types.pattern.bind(self.py))? {
            return self.regex(place, given);
        } else if given.is_instance(self.types.mapping.bind(self.py))? {
            return self.inner(place, false, |encoder| encoder.fields(given));
        } else {
            return Err(unknown(given));
        }
        self.check_length(0)
    }

    fn regex(&mut self, place: Place<'_>, given: &Bound<'py, PyAny>) -> PyResult<()> {
        let pattern = given.getattr(intern!(self.py, "pattern"))?;
        let pattern = match pattern.cast::<PyBytes>() {
            Ok(bytes) => String::from_utf8(bytes.as_bytes().to_vec())?,
            Err(_) => pattern.extract()?,
        };
        if pattern.contains('\0') {
            return Err(invalid("a regular expression must not contain the NULL character".into()));
        }
        self.check_length(pattern.len())?;
        let flags: u32 = given.getattr(intern!(self.py, "flags"))?.extract()?;
        let options: String = REGEX_OPTIONS
            .iter()
            .filter(|(flag, _)| flags & flag != 0)
            .map(|&(_, letter)| letter)
            .collect();
        self.put(place, Value::Regex { pattern: &pattern, options: &options });
        self.check_length(0)
    }

    fn put(&mut self, place: Place<'_>, value: Value<'_>) {
        match place {
            Place::Field(name) => self.writer.field(name, value),
            Place::Item => self.writer.item(value),
        }
    }

    /// Writes an inner document or array.
    fn inner(
        &mut self,
        place: Place<'_>,
        is_array: bool,
        write: impl FnOnce(&mut Self) -> PyResult<()>,
    ) -> PyResult<()> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep());
        }
        match (place, is_array) {
            (Place::Field(name), false) => self.writer.open_document(name),
            (Place::Field(name), true) => self.writer.open_array(name),
            (Place::Item, false) => self.writer.open_document_item(),
            (Place::Item, true) => self.writer.open_array_item(),
        }
        self.depth += 1;
        write(self)?;
        self.depth -= 1;
        self.writer.close();
        Ok(())
    }

    /// Checks that there is room for so many more bytes.
    fn check_length(&self, more: usize) -> PyResult<()> {
        if self.writer.len().saturating_add(more) <= BYTES_MAX {
            return Ok(());
        }
        Err(invalid(format!("what is sent at once has at most {BYTES_MAX} bytes")))
    }
}

fn too_deep() -> PyErr {
    invalid(format!("a document has at most {DEPTH_MAX} levels"))
}

fn unknown(given: &Bound<'_, PyAny>) -> PyErr {
    invalid(format!("cannot encode object: {}", shown(given)))
}

/// A value, and of which type it is.
fn shown(given: &Bound<'_, PyAny>) -> String {
    let repr = given.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string());
    let short: String = repr.chars().take(SHOWN_MAX).collect();
    format!("{short}, of type: {}", given.get_type())
}

impl Types {
    /// The milliseconds from the epoch to a `datetime`. One without a time zone is in UTC.
    fn to_millis(&self, given: &Bound<'_, PyAny>) -> PyResult<i64> {
        let py = given.py();
        let is_naive = given.call_method0(intern!(py, "utcoffset"))?.is_none();
        let epoch = if is_naive { &self.epoch } else { &self.epoch_utc };
        let since = given.sub(epoch.bind(py))?;
        let part = |name| since.getattr(name)?.extract::<i64>();
        let (days, seconds) = (part(intern!(py, "days"))?, part(intern!(py, "seconds"))?);
        let millis = part(intern!(py, "microseconds"))? / 1_000;
        // A datetime lies between the years 1 and 9999.
        (days * 86_400 + seconds)
            .checked_mul(1_000)
            .and_then(|whole| whole.checked_add(millis))
            .ok_or_else(|| PyValueError::new_err("the date is out of range"))
    }
}

/// The most bytes of one message: the server's bound, less what is added on the way.
pub(super) const BYTES_MAX: usize = 48_000_000 - 128 * 1024;

/// How deeply a command may be nested: MongoDB's 180 levels of a document, and what a command puts around it.
pub(super) const DEPTH_MAX: usize = 200;

/// How many characters of a value an error shows.
const SHOWN_MAX: usize = 200;

// The marks of pymongo's classes: BSON's own type bytes where there are some.
const BINARY: u8 = 0x05;
const OBJECT_ID: u8 = 0x07;
const DATETIME_MS: u8 = 0x09;
const REGEX: u8 = 0x0B;
const CODE: u8 = 0x0D;
const TIMESTAMP: u8 = 0x11;
const DECIMAL: u8 = 0x13;
const DB_REF: u8 = 100;
const RAW_DOCUMENT: u8 = 101;
const MAX_KEY: u8 = 0x7F;
const MIN_KEY: u8 = 0xFF;

/// The subtype of old binary data, which has its length in it once more.
pub(super) const OLD_BINARY: u8 = 2;

/// The subtype of a UUID.
pub(super) const UUID: u8 = 4;

/// The flags of Python's `re`, and the letters that stand for them in BSON, in their order there.
pub(super) const REGEX_OPTIONS: [(u32, char); 6] =
    [(2, 'i'), (4, 'l'), (8, 'm'), (16, 's'), (32, 'u'), (64, 'x')];
