//! Lengths of time, as Python has them.

use std::time::Duration;

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyEllipsis;

use crate::errors::{Class, Error};

/// A length of time that is not negative: seconds, as an int or a float, or a `timedelta`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds(pub(crate) Duration);

/// A time-out that need not be given: `...` stands for one that was not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timeout {
    /// It was not given.
    Unset,
    /// `None`: no end.
    Forever,
    /// An end.
    After(Duration),
}

impl Timeout {
    /// Its length, or that of the `usual` one if it was not given; `None` for ever.
    pub(crate) fn or(self, usual: Option<Duration>) -> Option<Duration> {
        match self {
            Self::Unset => usual,
            Self::Forever => None,
            Self::After(time) => Some(time),
        }
    }
}

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let seconds =
            match given.extract::<f64>() {
                Ok(seconds) => seconds,
                // What is longer than a float can be is as good as for ever.
                Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => {
                    if given.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }
                }
                Err(_) => total_seconds(given)?,
            };
        if seconds.is_nan() || seconds < 0.0 {
            let shown = given.repr()?;
            let message = format!("a time is 0 seconds or more; this one is {shown}");
            return Err(Error::new(Class::InvalidArgument, message).into());
        }
        // What is longer than a duration can be is as good as for ever.
        Ok(Self(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }
}

impl FromPyObject<'_, '_> for Timeout {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if given.is_none() {
            return Ok(Self::Forever);
        }
        if given.is_instance_of::<PyEllipsis>() {
            return Ok(Self::Unset);
        }
        Ok(Self::After(given.extract::<Seconds>()?.0))
    }
}

/// The seconds of a `timedelta`.
fn total_seconds(given: Borrowed<'_, '_, PyAny>) -> PyResult<f64> {
    let seconds = given.call_method0("total_seconds").and_then(|seconds| seconds.extract());
    seconds.map_err(|_| {
        let found =
            given.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "a time is a number of seconds or a timedelta; this one is a {found}"
        ))
    })
}
