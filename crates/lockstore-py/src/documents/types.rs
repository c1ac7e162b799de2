//! Python's classes that documents are made of.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::IntoPyDict;

/// The classes, fetched once.
#[derive(Debug)]
pub(super) struct Types {
    pub(super) datetime: Py<PyAny>,
    /// 1970-01-01, without a time zone.
    pub(super) epoch: Py<PyAny>,
    /// The same in UTC.
    pub(super) epoch_utc: Py<PyAny>,
    pub(super) timedelta: Py<PyAny>,
    pub(super) uuid: Py<PyAny>,
    pub(super) pattern: Py<PyAny>,
    pub(super) mapping: Py<PyAny>,
    /// BSON's own: pymongo's where it is installed, and ours otherwise.
    pub(super) binary: Py<PyAny>,
    pub(super) code: Py<PyAny>,
    pub(super) decimal128: Py<PyAny>,
    pub(super) int64: Py<PyAny>,
    pub(super) max_key: Py<PyAny>,
    pub(super) min_key: Py<PyAny>,
    pub(super) object_id: Py<PyAny>,
    pub(super) regex: Py<PyAny>,
    pub(super) timestamp: Py<PyAny>,
}

impl Types {
    pub(super) fn get(py: Python<'_>) -> PyResult<&Self> {
        TYPES.get_or_try_init(py, || Self::fetch(py))
    }

    fn fetch(py: Python<'_>) -> PyResult<Self> {
        let class = |module: &str, name: &str| py.import(module)?.getattr(name);
        let value = |name: &str| Ok::<_, PyErr>(class("lockstore.values", name)?.unbind());
        let datetime = class("datetime", "datetime")?;
        let utc = class("datetime", "timezone")?.getattr("utc")?;
        let epoch = datetime.call1((1970, 1, 1))?;
        let epoch_utc =
            epoch.call_method("replace", (), Some(&[("tzinfo", utc)].into_py_dict(py)?))?;
        Ok(Self {
            datetime: datetime.unbind(),
            epoch: epoch.unbind(),
            epoch_utc: epoch_utc.unbind(),
            timedelta: class("datetime", "timedelta")?.unbind(),
            uuid: class("uuid", "UUID")?.unbind(),
            pattern: class("re", "Pattern")?.unbind(),
            mapping: class("collections.abc", "Mapping")?.unbind(),
            binary: value("Binary")?,
            code: value("Code")?,
            decimal128: value("Decimal128")?,
            int64: value("Int64")?,
            max_key: value("MaxKey")?,
            min_key: value("MinKey")?,
            object_id: value("ObjectId")?,
            regex: value("Regex")?,
            timestamp: value("Timestamp")?,
        })
    }
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();
