//! Pipelines: `aggregate`.

use docquery::Value;

use super::{Cursor, Place};
use crate::error::DocumentError;
use crate::operations::AggregateRequest;

impl Place<'_> {
    /// Runs a pipeline over the documents of the collection.
    pub(crate) fn aggregate(
        &self,
        request: &AggregateRequest,
        batch_size: Option<u32>,
    ) -> Result<Cursor, DocumentError> {
        let AggregateRequest { stages, hint, variables, disk_use } = request;
        let mut command = self.command("aggregate");
        command.stages("pipeline", stages);
        command.writer.open_document("cursor");
        if let Some(size) = batch_size {
            command.writer.field("batchSize", Value::Int64(size.into()));
        }
        command.writer.close();
        command.hint(hint);
        command.document("let", variables.as_ref());
        command.field("allowDiskUse", Value::Bool(disk_use.is_allowed()));
        Cursor::new(self, &self.run(command)?, batch_size)
    }
}
