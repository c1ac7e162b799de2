//! Tokens, as Python has them.

use lockstore::Token;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

use crate::errors::{Class, Error};

/// A token that was given as a number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given(pub(crate) Token);

impl FromPyObject<'_, '_> for Given {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        let number = match given.extract::<u64>() {
            Ok(number) => Token::new(number),
            Err(error) if error.is_instance_of::<PyOverflowError>(given.py()) => None,
            Err(error) => return Err(error),
        };
        let Some(token) = number else {
            let shown = given.repr()?;
            let message = format!("a token is from 1 to 2**64 - 1; this one is {shown}");
            return Err(Error::new(Class::InvalidArgument, message).into());
        };
        Ok(Self(token))
    }
}
