//! Changing one document, and giving it back: `findAndModify`.

use bson::RawDocumentBuf;
use docquery::Value;

use super::Place;
use super::command::write_array_filters;
use crate::error::DocumentError;
use crate::operations::{Statement, Unparsed};

impl Place<'_> {
    /// Changes the first document that is selected, and gives it if there is one: as it was, or as it is `after`.
    pub(crate) fn find_and_modify(
        &self,
        statement: &Statement,
        projection: Option<&RawDocumentBuf>,
        after: bool,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        let mut command = self.command("findAndModify");
        command.selector("query", &statement.selector);
        command.document("fields", projection);
        match &statement.change {
            Unparsed::Delete => command.field("remove", Value::Bool(true)),
            Unparsed::Update { update, array_filters, upsert } => {
                command.field("update", update.value());
                write_array_filters(&mut command.writer, array_filters);
                command.field("upsert", Value::Bool(*upsert));
                command.field("new", Value::Bool(after));
            }
        }
        let reply = self.run(command)?;
        Ok(reply.document().get("value").as_document().map(|document| document.to_raw()))
    }
}
