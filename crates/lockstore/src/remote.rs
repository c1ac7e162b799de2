//! A store that lives elsewhere: what stands behind a [`Store`](crate::Store) that this process has not opened itself.
//!
//! Locks go through it as what lockcore knows: a [`Command`], and an [`Outcome`] or a [`Refusal`]. Documents go through it as
//! MongoDB's commands. So whoever speaks to another process, or to another machine, has the whole interface of a store for
//! one small trait.

use std::fmt;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use crate::clock::Clock;
use crate::error::StoreError;

/// The other end of a store that lives elsewhere.
pub trait Remote: fmt::Debug + Send + Sync + 'static {
    /// The clock that leases count by.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Whether calls may be made: by this process, and before [`Remote::close`].
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn check_usable(&self) -> Result<(), StoreError>;

    /// Runs one of MongoDB's commands in a database, and gives the reply, which tells of errors too. It is done once, or not at
    /// all, however often it has to be sent.
    ///
    /// # Errors
    ///
    /// There is no reply.
    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, StoreError>;

    /// Ends what this process has open there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn close(&self) -> Result<(), StoreError>;
}
