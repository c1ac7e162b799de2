//! Documents that are locked: listing them, and unlocking them by force.

use docquery::Value;

use super::reply::senseless;
use super::{Cursor, Place};
use crate::commands::Arguments;
use crate::error::DocumentError;
use crate::info::BreakRecord;
use crate::operations::Selector;
use crate::remote::form::field;
use crate::remote::form::info::read_break;

impl Place<'_> {
    /// Who has locked which documents: `lockedDocuments`.
    pub(crate) fn locked_documents(&self) -> Result<Cursor, DocumentError> {
        let reply = self.run(self.command("lockedDocuments"))?;
        Cursor::new(self, &reply, None)
    }

    /// Unlocks the documents that match, each with a record of it: `breakDocumentLocks`.
    pub(crate) fn break_document_locks(
        &self,
        selector: &Selector,
        reason: &str,
    ) -> Result<Vec<BreakRecord>, DocumentError> {
        let mut command = self.command("breakDocumentLocks");
        command.selector("filter", selector);
        command.field(field::REASON, Value::String(reason));
        let reply = self.run(command)?;
        let records = reply.document().get(field::RECORDS);
        let records = records.as_array().ok_or_else(|| senseless(field::RECORDS))?;
        let read = |record: Value<'_>| {
            let fields = record.as_document().ok_or_else(|| senseless(field::RECORDS))?;
            let record = Arguments::new("record", fields).and_then(read_break);
            record.map_err(|_| senseless(field::RECORDS))
        };
        records.iter().map(read).collect()
    }
}
