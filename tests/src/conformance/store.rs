//! Our own store as the server of a run.

use bson::raw::{RawDocument, RawDocumentBuf};
use lockstore::{Database, StoreOptions};
use tempfile::TempDir;

use super::server::Server;

/// A store in a temporary file.
#[derive(Debug)]
pub struct StoreServer {
    /// Closes the store when it is dropped, before its folder goes.
    database: Database,
    _folder: TempDir,
}

impl StoreServer {
    /// Opens a store of its own for the caller.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a temporary folder");
        let store = StoreOptions::new().open(folder.path().join("store.redb"));
        let database = store.expect("the store opens").database("test");
        Self { database, _folder: folder }
    }
}

impl Server for StoreServer {
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        self.database.run_command(command)
    }
}
