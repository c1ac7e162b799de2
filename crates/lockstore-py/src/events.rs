//! Events, as Python iterates over them.

use std::future::poll_fn;
use std::sync::Arc;

use lockstore::{Event, Subscription};
use pyo3::prelude::*;

use crate::blocking::block_on;
use crate::call::Call;
use crate::errors::Error;
use crate::records;
use crate::shared::Shared;

/// What happens to locks, from `Store.subscribe` on: an iterator and an asynchronous iterator over `Event`. It ends when the store
/// is closed. One thread or coroutine at a time may wait for the next.
#[pyclass(frozen, weakref, name = "Subscription", module = "lockstore")]
#[derive(Debug)]
pub(crate) struct Events {
    shared: Arc<Shared>,
    subscription: Arc<Subscription>,
}

impl Events {
    pub(crate) fn new(shared: &Arc<Shared>, prefix: &str) -> Result<Self, Error> {
        let subscription = Arc::new(shared.store()?.subscribe(prefix)?);
        Ok(Self { shared: Arc::clone(shared), subscription })
    }

    /// The next event, or `None` when nothing comes any more.
    fn next(&self) -> impl Future<Output = Option<Event>> + Send + 'static {
        let subscription = Arc::clone(&self.subscription);
        poll_fn(move |context| subscription.poll_next(context))
    }
}

#[pymethods]
impl Events {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let store = self.shared.store()?;
        let next = block_on(py, self.next())?;
        next.map(|event| records::event(py, &event, &**store.clock())).transpose()
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let clock = Arc::clone(self.shared.store()?.clock());
        Call::coroutine(py, self.next(), move |py, next| match next {
            Some(event) => Ok(records::event(py, &event, &*clock)?.unbind()),
            None => Err(pyo3::exceptions::PyStopAsyncIteration::new_err(())),
        })
    }
}
