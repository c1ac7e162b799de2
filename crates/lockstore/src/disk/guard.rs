//! redb panics on some files that were damaged behind its back. Every call into it goes through
//! [`guarded`], which makes an error of that.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::DiskError;

/// Calls redb, for an operation called `doing` in errors.
///
/// Looking at redb's state after a panic is safe: it poisons its own locks and transactions, and
/// answers with errors from then on.
pub(super) fn guarded<T, E: Into<redb::Error>>(
    doing: &'static str,
    call: impl FnOnce() -> Result<T, E>,
) -> Result<T, DiskError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(DiskError::from_redb(doing, error.into())),
        Err(panic) => Err(DiskError::Corrupted { doing, what: message(&*panic).to_owned() }),
    }
}

/// Calls something of redb's that cannot fail except by panicking.
pub(super) fn guarded_value<T>(
    doing: &'static str,
    call: impl FnOnce() -> T,
) -> Result<T, DiskError> {
    guarded(doing, || Ok::<T, redb::Error>(call()))
}

/// Drops something of redb's, whatever comes of it.
pub(super) fn guarded_drop<T>(value: T) {
    if let Err(error) = guarded_value("close", || drop(value)) {
        tracing::warn!(%error, "the store's file was not closed cleanly");
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a check of redb failed")
}
