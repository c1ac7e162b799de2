//! A store whose connection ends after so many commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::ClientSessions;
use lockstore::{Clock, Instant, OnReply, Outstanding, Remote, Store, StoreError};

/// The way to a store. What it has carried out before it ends is done, and its last reply arrives.
#[derive(Debug)]
pub(crate) struct CutOff {
    store: Store,
    left: AtomicI64,
    client_sessions: ClientSessions,
}

impl CutOff {
    /// The store as it is reached by so many commands.
    pub(crate) fn after(commands: i64, store: &Store) -> Store {
        let (store, left) = (store.clone(), AtomicI64::new(commands));
        Store::remote(Arc::new(Self { store, left, client_sessions: ClientSessions::default() }))
    }
}

impl Remote for CutOff {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.store.clock()
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        _: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Ok(self.store.database(database).run_command(command)),
            _ => Err(StoreError::Closed),
        }
    }

    fn client_sessions(&self) -> &ClientSessions {
        &self.client_sessions
    }

    /// Nothing waits here.
    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        on_reply(self.run_command(database, &command, deadline));
        Outstanding::answered()
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
