//! Documents, as Python has them: commands and their replies as dicts, and locks of documents.

mod decode;
mod encode;
mod lock;
mod raise;
mod types;

use std::sync::Arc;

use lockstore::bson::{RawDocument, RawDocumentBuf};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::shared::Shared;
use crate::store::Store;
use decode::Reading;
use encode::{BYTES_MAX, Encoder};
pub(crate) use lock::DocumentLock;
use raise::invalid;

/// A collection: what `lockstore.Collection` is made on.
#[pyclass(frozen, module = "lockstore._native")]
#[derive(Debug)]
pub(crate) struct Documents {
    shared: Arc<Shared>,
    database: String,
    name: String,
    reading: Reading,
}

/// A reply, and which of the statements was the first of its command.
type BatchReply<'py> = (usize, Bound<'py, PyDict>);

#[pymethods]
impl Documents {
    #[new]
    fn new(store: &Store, database: String, name: String, tz_aware: bool) -> Self {
        let shared = Arc::clone(store.shared());
        Self { shared, database, name, reading: Reading { tz_aware } }
    }

    /// Runs a command in the collection's database, and gives the reply, which tells of errors too.
    fn run<'py>(&self, command: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        self.run_raw(command.py(), encode::document(command)?)
    }

    /// Runs as many commands as it takes to send all statements: `head`, and the statements in its field `field`. If they are `ordered`,
    /// the first that fails is the last.
    fn write_batches<'py>(
        &self,
        head: &Bound<'py, PyAny>,
        field: &str,
        statements: &Bound<'py, PyList>,
        ordered: bool,
    ) -> PyResult<Vec<BatchReply<'py>>> {
        let py = head.py();
        let mut replies = Vec::new();
        let mut batch = Batch::begin(head, field)?;
        for (place, statement) in statements.iter().enumerate() {
            let statement = encode::document(&statement)?;
            if !batch.has_room_for(&statement) {
                let full = std::mem::replace(&mut batch, Batch::begin(head, field)?);
                let first = place - full.statements;
                let reply = self.run_raw(py, full.finish())?;
                let failed = !reply.get_item("ok")?.is_some_and(|ok| ok.eq(1.0).unwrap_or(false))
                    || reply.contains("writeErrors")?;
                replies.push((first, reply));
                if failed && ordered {
                    return Ok(replies);
                }
            }
            batch.add(&statement);
        }
        let first = statements.len() - batch.statements;
        replies.push((first, self.run_raw(py, batch.finish())?));
        Ok(replies)
    }

    /// Locks a document; see `lockstore.MongoLock`.
    fn lock(&self, py: Python<'_>, request: lock::Request<'_>) -> PyResult<DocumentLock> {
        DocumentLock::acquire(py, self, request)
    }
}

impl Documents {
    fn run_raw<'py>(&self, py: Python<'py>, command: Vec<u8>) -> PyResult<Bound<'py, PyDict>> {
        let store = self.shared.store()?;
        let command =
            RawDocumentBuf::from_bytes(command).map_err(|error| invalid(error.to_string()))?;
        let reply = py.detach(|| store.database(&self.database).run_command(&command));
        self.read(py, &reply)
    }

    fn read<'py>(&self, py: Python<'py>, document: &RawDocument) -> PyResult<Bound<'py, PyDict>> {
        self.reading.document(py, document.as_bytes())
    }
}

/// A command that statements are put into.
struct Batch<'py> {
    command: Encoder<'py>,
    statements: usize,
}

impl<'py> Batch<'py> {
    fn begin(head: &Bound<'py, PyAny>, field: &str) -> PyResult<Self> {
        let mut command = Encoder::new(head.py())?;
        command.fields(head)?;
        command.begin_array(field);
        Ok(Self { command, statements: 0 })
    }

    /// One statement always has: whether it is too large, the server says.
    fn has_room_for(&self, statement: &[u8]) -> bool {
        let is_short = self.command.len() + statement.len() + ITEM_BYTES <= BYTES_MAX;
        self.statements == 0 || (is_short && self.statements < STATEMENTS_MAX)
    }

    fn add(&mut self, statement: &[u8]) {
        self.command.document_item(statement);
        self.statements += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        self.command.end_array();
        self.command.finish()
    }
}

/// The most statements of one command: MongoDB's.
const STATEMENTS_MAX: usize = 100_000;

/// What an item of an array takes besides its value at most.
const ITEM_BYTES: usize = 16;
