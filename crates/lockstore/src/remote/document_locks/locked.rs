//! The documents that are locked, of a collection elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::RawDocumentBuf;

use super::replied::Replied;
use super::{RemoteCollection, asked};
use crate::error::DocumentError;
use crate::remote::Remote;

/// A cursor over the documents that are locked. One that is dropped before its end is told so.
#[derive(Debug)]
pub(crate) struct RemoteLocked {
    remote: Arc<dyn Remote>,
    database: Box<str>,
    collection: Box<str>,
    ready: VecDeque<RawDocumentBuf>,
    /// The number of the cursor; 0 when there is no more.
    cursor: i64,
}

impl RemoteLocked {
    pub(super) fn new(of: &RemoteCollection<'_>) -> Result<Self, DocumentError> {
        let reply = of.run(&asked::locked(of.name), None)?;
        let (ready, cursor) = Replied::batch(&reply, "firstBatch")?;
        Ok(Self {
            remote: Arc::clone(of.remote),
            database: of.database.into(),
            collection: of.name.into(),
            ready,
            cursor,
        })
    }

    /// The next; `None` after the last.
    pub(crate) fn next_document(&mut self) -> Result<Option<RawDocumentBuf>, DocumentError> {
        while self.ready.is_empty() && self.cursor != 0 {
            // After an error it is at its end.
            let cursor = std::mem::take(&mut self.cursor);
            let command = asked::more(&self.collection, cursor);
            let reply = self.remote.run_command(&self.database, &command, None)?;
            (self.ready, self.cursor) = Replied::batch(&reply, "nextBatch")?;
        }
        Ok(self.ready.pop_front())
    }
}

impl Drop for RemoteLocked {
    fn drop(&mut self) {
        if self.cursor != 0 {
            let command = asked::kill(&self.collection, self.cursor);
            self.remote.start_command(&self.database, command, None, Box::new(drop)).detach();
        }
    }
}
