//! The other end of a store that its test goes on using: it is not closed with those who come through it.

use std::sync::Arc;

use lockstore::bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::{ClientSession, OnReply, Outstanding, Remote};
use lockstore::{Clock, Instant, Store, StoreError};
use lockstore_testkit::loopback::Loopback;

/// The other end of a store.
#[derive(Debug)]
pub struct SharedEnd(Loopback);

impl SharedEnd {
    /// The store that has `store` as its other end.
    ///
    /// # Panics
    ///
    /// When there is no thread to be had.
    pub fn of(store: &Store) -> Store {
        let loopback = Loopback::new(store.clone(), Arc::clone(store.clock()));
        Store::remote(Arc::new(Self(loopback.expect("there is a thread"))))
    }
}

impl Remote for SharedEnd {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.0.clock()
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        self.0.check_usable()
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.0.run_command(database, command, deadline)
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        self.0.start_command(database, command, deadline, on_reply)
    }

    fn take_client_session(&self) -> Result<ClientSession, StoreError> {
        self.0.take_client_session()
    }

    fn give_back_client_session(&self, session: ClientSession) {
        self.0.give_back_client_session(session);
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
