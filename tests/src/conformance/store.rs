//! Our own store as the server of a run.

use bson::raw::{RawDocument, RawDocumentBuf, cstr};
use lockstore::{Store, StoreOptions};
use tempfile::TempDir;

use super::server::Server;

/// A store in a temporary file.
#[derive(Debug)]
pub struct StoreServer {
    /// Closed when it is dropped, before its folder goes.
    _store: Store,
    _folder: TempDir,
}

impl StoreServer {
    /// Opens a store of its own for the caller.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("there is room for a temporary folder");
        let store = StoreOptions::new().open(folder.path().join("store.redb"));
        Self { _store: store.expect("the store opens"), _folder: folder }
    }
}

impl Server for StoreServer {
    /// The store takes no commands: each is unknown to it.
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let name =
            command.into_iter().next().and_then(Result::ok).map_or("", |(name, _)| name.as_str());
        let mut reply = RawDocumentBuf::new();
        reply.append(cstr!("ok"), 0.0);
        reply.append(cstr!("errmsg"), format!("no such command: '{name}'"));
        reply.append(cstr!("code"), 59);
        reply.append(cstr!("codeName"), "CommandNotFound");
        reply
    }
}
