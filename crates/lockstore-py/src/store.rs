//! A store, as Python opens it.

use std::path::{self, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyType};

use crate::errors::{Class, Error};
use crate::lock::{Lock, Terms};
use crate::seconds::Seconds;
use crate::shared::{Options, Shared};

/// A file of locks and documents that processes share.
#[pyclass(frozen, weakref, module = "lockstore")]
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path, *, idle_exit = Seconds(IDLE_EXIT), start_timeout = Seconds(START_TIMEOUT)))]
    #[pyo3(text_signature = "(path, *, idle_exit=60.0, start_timeout=10.0)")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        idle_exit: Seconds,
        start_timeout: Seconds,
    ) -> PyResult<Self> {
        let path = path::absolute(&path).map_err(|error| {
            let message = format!("{} is no path to a store: {error}", path.display());
            Error::new(Class::InvalidArgument, message)
        })?;
        let options = Options { path, idle_exit: idle_exit.0, start_timeout: start_timeout.0 };
        Ok(Self { shared: Arc::new(Shared::connect(py, options)?) })
    }

    #[pyo3(signature = (key, holder = None, *, ttl = None, shared = false, timeout = None, session = true, keep_alive = true))]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "Python names them"
    )]
    fn lock(
        &self,
        key: String,
        holder: Option<String>,
        ttl: Option<Seconds>,
        shared: bool,
        timeout: Option<Seconds>,
        session: bool,
        keep_alive: bool,
    ) -> Lock {
        let ttl = ttl.map(|ttl| ttl.0);
        let timeout = timeout.map(|timeout| timeout.0);
        let terms = Terms { key, holder, ttl, shared, timeout, session, keep_alive };
        Lock::new(Arc::clone(&self.shared), terms)
    }

    #[pyo3(signature = (name, *, database = "lockstore", tz_aware = false))]
    fn collection<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        database: &str,
        tz_aware: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = slf.py().import("lockstore.collection")?.getattr("Collection")?;
        let how = [("tz_aware", tz_aware)].into_py_dict(slf.py())?;
        class.call((slf, database, name), Some(&how))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.shared.close())?)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: Option<Bound<'_, PyType>>,
        _value: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self.close(py) {
            Err(_) if exception.is_some() => Ok(()),
            closed => closed,
        }
    }

    fn __repr__(&self) -> String {
        format!("<lockstore.Store {}>", self.shared.path().display())
    }
}

impl Store {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

const IDLE_EXIT: Duration = Duration::from_secs(60);

const START_TIMEOUT: Duration = Duration::from_secs(10);
