//! A store that lives elsewhere: what stands behind a [`Store`](crate::Store) that this process has not opened itself.
//!
//! Locks go through it as what lockcore knows: a [`Command`], and an [`Outcome`] or a [`Refusal`]. Documents go through it as
//! MongoDB's commands. So whoever speaks to another process, or to another machine, has the whole interface of a store for
//! one small trait.

pub(crate) mod document_locks;
mod outstanding;

use std::fmt;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use lockcore::Instant;

use crate::clock::Clock;
use crate::error::StoreError;
pub use outstanding::{OnReply, Outstanding};

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

    /// Runs a command in a database on the caller's thread, and gives the reply, which tells of errors too. It is done once, or not at
    /// all, however often it has to be sent. It is not for commands that wait for locks or for events.
    ///
    /// # Errors
    ///
    /// There is no reply; with a `deadline`, none by then.
    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError>;

    /// Starts a command that may wait, and returns. `on_reply` is called with its reply, once, from any thread, perhaps before this
    /// returns; it does not block. Commands that are started by one thread arrive in their order.
    ///
    /// Dropping the [`Outstanding`] gives the command up: the other end hands on what it would have been granted. A reply that was on
    /// its way then comes nevertheless.
    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding;

    /// Ends what this process has open there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn close(&self) -> Result<(), StoreError>;
}
