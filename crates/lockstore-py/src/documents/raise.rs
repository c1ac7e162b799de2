//! Errors about documents, as Python's exceptions.

use lockstore::{DocumentError, LockDocumentError, ReleaseDocumentError, StoreError};
use pyo3::prelude::*;
use pyo3::types::PyAnyMethods;

use crate::errors::{Class, Error};

/// A value is none of BSON's, or bytes are no BSON.
pub(super) fn invalid(message: String) -> PyErr {
    raised("InvalidDocument", (message,))
}

/// A document was not locked.
pub(super) fn not_locked(error: LockDocumentError) -> PyErr {
    let message = error.to_string();
    match error {
        LockDocumentError::Document(error) => refused(error),
        LockDocumentError::Argument(error) => Error::from(error).into(),
        LockDocumentError::SessionEnded => Error::new(Class::LeaseLost, message).into(),
        LockDocumentError::OtherSession { lock_id } => {
            Error::new(Class::HeldOtherwise, message).holder(lock_id.as_str()).into()
        }
        LockDocumentError::LimitReached { .. } => Error::new(Class::LimitReached, message).into(),
        _ => Error::new(Class::StoreFailed, message).into(),
    }
}

/// A document was not released, or its lock not renewed.
pub(super) fn not_released(error: ReleaseDocumentError) -> PyErr {
    let message = error.to_string();
    match error {
        ReleaseDocumentError::LockLost { now_held_by, .. } => {
            raised("DocumentLockLost", (message, now_held_by))
        }
        ReleaseDocumentError::NotUpdated(error) | ReleaseDocumentError::Document(error) => {
            refused(error)
        }
        ReleaseDocumentError::Argument(error) => Error::from(error).into(),
        _ => Error::new(Class::StoreFailed, message).into(),
    }
}

/// Something about documents failed.
pub(super) fn refused(error: DocumentError) -> PyErr {
    match error {
        DocumentError::Store(error) => store(error),
        error => raised("DocumentError", (error.to_string(), error.code().value())),
    }
}

fn store(error: StoreError) -> PyErr {
    Error::from(error).into()
}

/// An exception of a class of `lockstore.errors`.
fn raised<A>(class: &str, arguments: A) -> PyErr
where
    A: for<'py> pyo3::call::PyCallArgs<'py>,
{
    Python::attach(|py| {
        let made = py
            .import("lockstore.errors")
            .and_then(|errors| errors.getattr(class))
            .and_then(|class| class.call1(arguments));
        made.map_or_else(|failed| failed, PyErr::from_value)
    })
}
