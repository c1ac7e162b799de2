//! Indexes: `createIndexes`, `dropIndexes`, `listIndexes`.

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode, Value};

use super::command::write_documents;
use super::{Cursor, Place};
use crate::error::DocumentError;
use crate::operations::{Dropped, IndexSpec};

impl Place<'_> {
    /// Makes indexes. They are complete when this returns.
    pub(crate) fn create_indexes(&self, specs: Vec<IndexSpec>) -> Result<(), DocumentError> {
        let mut command = self.command("createIndexes");
        let specs: Vec<_> = specs.into_iter().map(|spec| spec.listed).collect();
        write_documents(&mut command.writer, "indexes", &specs);
        self.run(command).map(|_| ())
    }

    /// Drops indexes.
    pub(crate) fn drop_indexes(&self, dropped: &Dropped) -> Result<(), DocumentError> {
        let mut command = self.command("dropIndexes");
        match dropped {
            Dropped::All => command.field("index", Value::String(ALL)),
            Dropped::Names(names) if names.iter().any(|name| name == ALL) => {
                let message = format!("index not found with name [{ALL}]");
                return Err(Error::new(ErrorCode::INDEX_NOT_FOUND, message).into());
            }
            Dropped::Names(names) => {
                command.writer.open_array("index");
                for name in names {
                    command.writer.item(Value::String(name));
                }
                command.writer.close();
            }
            Dropped::Keys(keys) => command.field("index", Value::from(&**keys)),
        }
        self.run(command).map(|_| ())
    }

    /// The specifications of the indexes that are complete, the one on `_id` first.
    pub(crate) fn list_indexes(&self) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        Cursor::new(self, &self.run(self.command("listIndexes"))?, None)?.rest()
    }
}

/// What stands for all indexes in the place of a name, which therefore none can have.
const ALL: &str = "*";
