//! BSON as Python's values.

use docquery::raw::{Element, Elements};
use docquery::{Decimal, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use super::encode::{DEPTH_MAX, OLD_BINARY, REGEX_OPTIONS, UUID};
use super::invalid;
use super::types::Types;

/// How documents are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether dates are in UTC, instead of without a time zone.
    pub(super) tz_aware: bool,
}

impl Reading {
    /// The document that `bytes` are, as a dict.
    pub(super) fn document<'py>(
        self,
        py: Python<'py>,
        bytes: &[u8],
    ) -> PyResult<Bound<'py, PyDict>> {
        Decoder { py, types: Types::get(py)?, reading: self }.document(bytes, 0)
    }
}

struct Decoder<'py> {
    py: Python<'py>,
    types: &'py Types,
    reading: Reading,
}

impl<'py> Decoder<'py> {
    fn document(&self, bytes: &[u8], depth: usize) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(self.py);
        for element in Elements::of(bytes) {
            let name = PyString::new(self.py, element.name());
            dict.set_item(name, self.value(&element, depth)?)?;
        }
        Ok(dict)
    }

    fn array(&self, bytes: &[u8], depth: usize) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(self.py);
        for element in Elements::of(bytes) {
            list.append(self.value(&element, depth)?)?;
        }
        Ok(list)
    }

    fn value(&self, element: &Element<'_>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        let (py, types) = (self.py, self.types);
        Ok(match element.value() {
            Value::Missing => {
                return Err(invalid(format!("the field {:?} is no BSON", element.name())));
            }
            Value::Undefined | Value::Null => py.None().into_bound(py),
            Value::Int32(number) => PyInt::new(py, number).into_any(),
            Value::Int64(number) => types.int64.bind(py).call1((number,))?,
            Value::Double(number) => PyFloat::new(py, number).into_any(),
            Value::Decimal(number) => self.decimal(number)?,
            Value::String(text) | Value::Symbol(text) => PyString::new(py, text).into_any(),
            Value::Document(_) => self.document(element.bytes(), inside(depth)?)?.into_any(),
            Value::Array(_) => self.array(element.bytes(), inside(depth)?)?.into_any(),
            Value::Binary { subtype: 0, bytes } => PyBytes::new(py, bytes).into_any(),
            Value::Binary { subtype, bytes } => self.binary(subtype, bytes)?,
            Value::ObjectId(id) => types.object_id.bind(py).call1((PyBytes::new(py, id),))?,
            Value::Bool(truth) => truth.into_pyobject(py)?.to_owned().into_any(),
            Value::DateTime(millis) => self.datetime(millis)?,
            Value::Timestamp(stamp) => {
                types.timestamp.bind(py).call1((stamp >> 32, stamp & 0xFFFF_FFFF))?
            }
            Value::Regex { pattern, options } => {
                let flags = REGEX_OPTIONS.iter().filter(|(_, letter)| options.contains(*letter));
                let flags = flags.fold(0, |flags, (flag, _)| flags | flag);
                types.regex.bind(py).call1((pattern, flags))?
            }
            Value::JavaScript(code) => types.code.bind(py).call1((code,))?,
            Value::JavaScriptWithScope { code, scope } => {
                let scope = scope.raw_bytes().unwrap_or_default();
                let scope = self.document(scope, inside(depth)?)?;
                types.code.bind(py).call1((code, scope))?
            }
            Value::DbPointer { namespace, id } => {
                let reference = PyDict::new(py);
                reference.set_item("$ref", namespace)?;
                reference
                    .set_item("$id", types.object_id.bind(py).call1((PyBytes::new(py, id),))?)?;
                reference.into_any()
            }
            Value::MinKey => types.min_key.bind(py).call0()?,
            Value::MaxKey => types.max_key.bind(py).call0()?,
        })
    }

    fn binary(&self, subtype: u8, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
        let (py, types) = (self.py, self.types);
        let bytes = match bytes.split_first_chunk() {
            Some((length, inner))
                if subtype == OLD_BINARY
                    && usize::try_from(i32::from_le_bytes(*length)) == Ok(inner.len()) =>
            {
                inner
            }
            _ => bytes,
        };
        let given = PyBytes::new(py, bytes);
        if subtype == UUID && bytes.len() == 16 {
            return types.uuid.bind(py).call1((py.None(), given));
        }
        types.binary.bind(py).call1((given, subtype))
    }

    fn decimal(&self, number: Decimal) -> PyResult<Bound<'py, PyAny>> {
        let bytes = PyBytes::new(self.py, &number.to_bytes());
        self.types.decimal128.bind(self.py).call_method1("from_bid", (bytes,))
    }

    fn datetime(&self, millis: i64) -> PyResult<Bound<'py, PyAny>> {
        let (py, types) = (self.py, self.types);
        let epoch = if self.reading.tz_aware { &types.epoch_utc } else { &types.epoch };
        let (days, rest) = (millis.div_euclid(DAY_MS), millis.rem_euclid(DAY_MS));
        let since = types.timedelta.bind(py).call1((days, 0, 0, rest));
        since.and_then(|since| epoch.bind(py).add(since)).map_err(|_| {
            invalid(format!(
                "the date {millis} ms from 1970-01-01 is out of the range of Python's datetime, the years 1 to 9999"
            ))
        })
    }
}

/// The depth of what is inside.
fn inside(depth: usize) -> PyResult<usize> {
    if depth < DEPTH_MAX {
        return Ok(depth + 1);
    }
    Err(invalid(format!("a document has at most {DEPTH_MAX} levels")))
}

const DAY_MS: i64 = 86_400_000;
