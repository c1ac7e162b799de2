//! A store that a whole process has in common.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::blocking::block_on;
use crate::call::Call;
use crate::once::{Made, Once};
use crate::place::Place;
use crate::shared::Shared;
use crate::store::Store;

/// A store that is opened when it is first asked for, once for all who ask, for `lockstore._kept`. When that fails, whoever asks next
/// tries again.
#[pyclass(frozen, module = "lockstore._native")]
pub(crate) struct Opening {
    place: Place,
    shared: Once<Arc<Shared>>,
    store: PyOnceLock<Py<Store>>,
}

#[pymethods]
impl Opening {
    #[new]
    fn new(path: PathBuf, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let place = Place::new(&path, Some(options))?;
        Ok(Self { place, shared: Once::default(), store: PyOnceLock::new() })
    }

    /// The store, once it has been opened.
    #[getter]
    fn opened(&self, py: Python<'_>) -> Option<Py<Store>> {
        self.store.get(py).map(|store| store.clone_ref(py))
    }

    /// The store. Raises what `Store` raises.
    fn wait(&self, py: Python<'_>) -> PyResult<Py<Store>> {
        let shared = block_on(py, self.begun(py)?)??;
        self.of(py, shared)
    }

    /// As `wait`, as a coroutine. However many wait, it is opened by one thread.
    fn wait_async(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        let begun = slf.get().begun(py)?;
        let opening = slf.unbind();
        Call::coroutine(py, begun, move |py, shared| opening.get().of(py, shared?))
    }
}

impl Opening {
    fn begun(&self, py: Python<'_>) -> PyResult<Made<Arc<Shared>>> {
        Ok(self.shared.get(Shared::connecting(py, self.place.clone())?))
    }

    /// The one object of Python's for the store.
    fn of(&self, py: Python<'_>, shared: Arc<Shared>) -> PyResult<Py<Store>> {
        let store = self.store.get_or_try_init(py, || Py::new(py, Store::of(shared)))?;
        Ok(store.clone_ref(py))
    }
}
