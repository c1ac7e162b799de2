//! A call that a coroutine waits for.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::bell::Bell;

/// A future of ours, for `lockstore._coroutines`, which polls it when its bell has rung. No thread waits for it.
#[pyclass(frozen, module = "lockstore._native")]
pub(crate) struct Call {
    /// Gone when it has been answered or given up.
    future: Mutex<Option<Asked>>,
}

type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Makes Python's value of what the call has come to, on the thread that fetches it.
type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

impl Call {
    /// A coroutine that waits for `future`, and returns or raises what `made` makes of it. Nothing is asked before it is awaited.
    /// When it is cancelled, the call is given up, and what it was granted meanwhile is handed on.
    pub(crate) fn coroutine<'py, F, T>(
        py: Python<'py>,
        future: F,
        made: impl FnOnce(Python<'_>, F::Output) -> PyResult<T> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output: Send> + Send + 'static,
        T: for<'a> IntoPyObject<'a>,
    {
        Self::new(future, made).awaited(py, intern!(py, "wait"))
    }

    /// As [`Call::coroutine`], for what is over soon: when it is cancelled, that has to wait.
    pub(crate) fn short_coroutine<'py, F, T>(
        py: Python<'py>,
        future: F,
        made: impl FnOnce(Python<'_>, F::Output) -> PyResult<T> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output: Send> + Send + 'static,
        T: for<'a> IntoPyObject<'a>,
    {
        Self::new(future, made).awaited(py, intern!(py, "finish"))
    }

    fn new<F, T>(
        future: F,
        made: impl FnOnce(Python<'_>, F::Output) -> PyResult<T> + Send + 'static,
    ) -> Self
    where
        F: Future<Output: Send> + Send + 'static,
        T: for<'a> IntoPyObject<'a>,
    {
        let asked = async move {
            let output = future.await;
            let answer = move |py: Python<'_>| made(py, output)?.into_py_any(py);
            Box::new(answer) as Answer
        };
        Self { future: Mutex::new(Some(Box::pin(asked))) }
    }

    /// The coroutine of this name, in `lockstore._coroutines`.
    fn awaited<'py>(
        self,
        py: Python<'py>,
        name: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "lockstore._coroutines"))?.call_method1(name, (self,))
    }
}

#[pymethods]
impl Call {
    /// What the call has come to, as a tuple of one, or `None` when `bell` will ring with this `number` once there may be more.
    fn poll(&self, py: Python<'_>, bell: &Bell, number: u64) -> PyResult<Option<(Py<PyAny>,)>> {
        let waker = bell.rope(number);
        let polled = py.detach(|| {
            let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
            let polled = future.as_mut()?.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() {
                *future = None;
            }
            Some(polled)
        });
        match polled {
            Some(Poll::Ready(answer)) => Ok(Some((answer(py)?,))),
            Some(Poll::Pending) | None => Ok(None),
        }
    }

    /// Gives the call up.
    fn give_up(&self, py: Python<'_>) {
        let given_up = || drop(self.future.lock().unwrap_or_else(PoisonError::into_inner).take());
        py.detach(given_up);
    }
}
