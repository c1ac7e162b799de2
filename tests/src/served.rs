//! A store behind the socket of a server in the same process.

use std::sync::{Arc, Mutex, PoisonError};

use lockstore::bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::{ClientSessions, OnReply, Outstanding, Remote};
use lockstore::{Clock, Instant, Store, StoreError};
use lockstore_server::{ConnectOptions, Server, ServerOptions, Transport};
use tempfile::TempDir;

/// A way to a server, which ends with it.
#[derive(Debug)]
struct Served {
    transport: Transport,
    server: Mutex<Option<Server>>,
    _folder: TempDir,
}

/// `store`, as who joins its server uses it.
///
/// # Panics
///
/// When it cannot be served.
pub fn served(store: Store) -> Store {
    let folder = tempfile::tempdir().expect("there is room for a temporary folder");
    let path = folder.path().join("served.redb");
    let server = Server::start(store, &path, ServerOptions::new());
    let server = server.expect("a temporary folder is ours alone");
    let transport = ConnectOptions::new().transport(&path).expect("the server listens");
    let server = Mutex::new(Some(server));
    Store::remote(Arc::new(Served { transport, server, _folder: folder }))
}

impl Remote for Served {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.transport.clock()
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        self.transport.check_usable()
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.transport.run_command(database, command, deadline)
    }

    fn client_sessions(&self) -> &ClientSessions {
        self.transport.client_sessions()
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        self.transport.start_command(database, command, deadline, on_reply)
    }

    fn close(&self) -> Result<(), StoreError> {
        self.transport.close()?;
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        server.map_or(Ok(()), Server::stop)
    }
}
