//! A store that lives elsewhere: what stands behind a [`Store`](crate::Store) that this process has not opened itself.
//!
//! Locks go through it as what lockcore knows: a [`Command`], and an [`Outcome`] or a [`Refusal`]. Documents go through it as
//! MongoDB's commands. So whoever speaks to another process, or to another machine, has the whole interface of a store for
//! one small trait.

pub(crate) mod documents;
mod transaction;

use std::fmt;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use crate::clock::Clock;
use crate::error::StoreError;
pub(crate) use transaction::RemoteTransaction;

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
    /// all, however often it has to be sent. One that has an `lsid` is part of a transaction, and is sent as it is.
    ///
    /// # Errors
    ///
    /// There is no reply.
    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, StoreError>;

    /// A client session for a transaction, which nobody else has meanwhile: one that was given back, or a new one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn take_client_session(&self) -> Result<ClientSession, StoreError>;

    /// Takes a client session back whose transaction is over.
    fn give_back_client_session(&self, session: ClientSession);

    /// Ends what this process has open there.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn close(&self) -> Result<(), StoreError>;
}

/// A client session: MongoDB's logical session (`lsid`), in which transactions are numbered. A transaction ends those of its session
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSession {
    /// Its id, the `lsid`.
    pub id: bson::Uuid,
    /// The number of its last transaction, the `txnNumber`; 0 if it has had none.
    pub txn_number: i64,
}
