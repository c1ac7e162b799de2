//! Results that are fetched in batches.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::Value;

use super::reply::senseless;
use super::{Command, Place, Reply};
use crate::error::DocumentError;
use crate::remote::{Remote, RemoteTransaction};

/// Results that have not been given yet. Those that are left elsewhere when it is dropped are given up there.
#[derive(Debug)]
pub(crate) struct Cursor {
    remote: Arc<dyn Remote>,
    transaction: Option<Arc<RemoteTransaction>>,
    database: Box<str>,
    collection: Box<str>,
    /// How many documents a batch has at most; without a number, as many as 16 MiB hold.
    batch_size: Option<u32>,
    /// The number of the cursor there; 0 if there are no more.
    id: i64,
    ready: VecDeque<RawDocumentBuf>,
}

impl Cursor {
    /// A cursor with the first batch, which is in the reply of the command that made it.
    pub(super) fn new(
        place: &Place<'_>,
        reply: &Reply,
        batch_size: Option<u32>,
    ) -> Result<Self, DocumentError> {
        let (remote, transaction) = (place.remote, place.transaction.cloned());
        Self::begun(remote, transaction, place.namespace.database(), reply, batch_size)
    }

    pub(super) fn begun(
        remote: &Arc<dyn Remote>,
        transaction: Option<Arc<RemoteTransaction>>,
        database: &str,
        reply: &Reply,
        batch_size: Option<u32>,
    ) -> Result<Self, DocumentError> {
        let cursor = reply.document().get("cursor");
        let namespace = cursor.as_document().and_then(|cursor| cursor.get("ns").as_str());
        let (_, collection) =
            namespace.and_then(|ns| ns.split_once('.')).ok_or_else(|| senseless("cursor.ns"))?;
        let mut cursor = Self {
            remote: Arc::clone(remote),
            transaction,
            database: database.into(),
            collection: collection.into(),
            batch_size,
            id: 0,
            ready: VecDeque::new(),
        };
        cursor.take(reply, "firstBatch")?;
        Ok(cursor)
    }

    /// The next document; `None` after the last, and after an error.
    pub(crate) fn next_document(&mut self) -> Result<Option<RawDocumentBuf>, DocumentError> {
        while self.ready.is_empty() && self.id != 0 {
            let mut command = Command::new("getMore", Value::Int64(self.id));
            command.field("collection", Value::String(&self.collection));
            command.count("batchSize", self.batch_size.map(u64::from));
            // After an error there is nothing left of it.
            self.id = 0;
            let reply = self.run(command)?;
            self.take(&reply, "nextBatch")?;
        }
        Ok(self.ready.pop_front())
    }

    /// All that is left.
    pub(super) fn rest(mut self) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let mut documents = Vec::new();
        while let Some(document) = self.next_document()? {
            documents.push(document);
        }
        Ok(documents)
    }

    fn run(&self, command: Command) -> Result<Reply, DocumentError> {
        let reply = match &self.transaction {
            Some(transaction) => transaction.run(&self.database, command)?,
            None => self.remote.run_command(&self.database, &command.finish(), None)?,
        };
        Reply::checked(reply)
    }

    fn take(&mut self, reply: &Reply, batch: &str) -> Result<(), DocumentError> {
        let cursor = reply.document().get("cursor");
        let cursor = cursor.as_document().ok_or_else(|| senseless("cursor"))?;
        let Value::Int64(id) = cursor.get("id") else { return Err(senseless("cursor.id")) };
        self.id = id;
        let documents = cursor.get(batch).as_array().ok_or_else(|| senseless(batch))?;
        for document in documents.iter() {
            let document = document.as_document().ok_or_else(|| senseless(batch))?;
            self.ready.push_back(document.to_raw());
        }
        Ok(())
    }

    /// Gives up what is left elsewhere. It would be given up there some time, so nobody is told if that fails.
    fn kill(&mut self) {
        let is_over = self.transaction.as_ref().is_some_and(|transaction| transaction.is_over());
        if self.id == 0 || is_over || self.remote.check_usable().is_err() {
            return;
        }
        let mut command = Command::new("killCursors", Value::String(&self.collection));
        command.writer.open_array("cursors");
        command.writer.item(Value::Int64(self.id));
        command.writer.close();
        if let Err(error) = self.run(command) {
            tracing::debug!(%error, "a cursor was not given up");
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.kill();
    }
}
