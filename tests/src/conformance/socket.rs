//! Our own store behind a socket as the server of a run.

use bson::raw::{RawDocument, RawDocumentBuf, cstr};
use lockstore::Store;
use lockstore_server::{Client, Server as SocketServer, ServerOptions};
use tempfile::TempDir;

use super::server::Server;

/// A server process's work, in this process, and one client of it.
#[derive(Debug)]
pub struct ServedStore {
    client: Client,
    /// Stops when it is dropped, before its folder goes.
    _server: SocketServer,
    _folder: TempDir,
}

impl ServedStore {
    /// Serves a store of its own for the caller.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a temporary folder");
        let path = folder.path().join("store.redb");
        let store = Store::open(&path).expect("the store opens");
        let server = SocketServer::start(store, path, ServerOptions::new());
        let server = server.expect("a temporary folder is ours alone");
        let client = Client::connect(server.socket()).expect("the server listens");
        Self { client, _server: server, _folder: folder }
    }
}

impl Server for ServedStore {
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let mut message = command.to_owned();
        message.append(cstr!("$db"), "test");
        self.client.run_command(&message).expect("a command has a reply")
    }
}
