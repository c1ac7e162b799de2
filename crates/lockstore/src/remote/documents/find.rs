//! Finding documents, counting them, and the different values of a field.

use bson::RawArrayBuf;
use bson::raw::{CStr, cstr};
use bson::{RawDocumentBuf, rawdoc};
use docquery::{OwnedValue, Value};

use super::reply::senseless;
use super::{Cursor, Place};
use crate::documents::DiskUse;
use crate::error::DocumentError;
use crate::operations::{AggregateRequest, FindRequest, Selector};

impl Place<'_> {
    /// Finds documents: `find`.
    pub(crate) fn find(
        &self,
        request: &FindRequest,
        batch_size: Option<u32>,
    ) -> Result<Cursor, DocumentError> {
        let FindRequest { selector, projection, skip, limit, return_key, show_record_id, disk_use } =
            request;
        let mut command = self.command("find");
        command.selector("filter", selector);
        command.document("projection", projection.as_ref());
        command.count("skip", Some(*skip).filter(|skip| *skip > 0));
        command.count("limit", *limit);
        for (name, is_set) in [
            ("returnKey", *return_key),
            ("showRecordId", *show_record_id),
            // One document leaves no cursor open.
            ("singleBatch", *limit == Some(1)),
        ] {
            if is_set {
                command.field(name, Value::Bool(true));
            }
        }
        if !disk_use.is_allowed() {
            command.field("allowDiskUse", Value::Bool(false));
        }
        command.count("batchSize", batch_size.map(u64::from));
        Cursor::new(self, &self.run(command)?, batch_size)
    }

    /// Counts documents: `count`, or a pipeline where that command does not do.
    pub(crate) fn count(
        &self,
        selector: &Selector,
        skip: u64,
        limit: Option<u64>,
    ) -> Result<u64, DocumentError> {
        if self.transaction.is_some() || selector.variables.is_some() {
            return self.count_by_pipeline(selector, skip, limit);
        }
        let mut command = self.command("count");
        command.selector("query", selector);
        command.count("skip", Some(skip).filter(|skip| *skip > 0));
        command.count("limit", limit);
        self.run(command)?.count("n")
    }

    fn count_by_pipeline(
        &self,
        selector: &Selector,
        skip: u64,
        limit: Option<u64>,
    ) -> Result<u64, DocumentError> {
        let mut stages = RawArrayBuf::new();
        stages.push(rawdoc! { "$match": selector.filter.clone() });
        let bounds: [(&CStr, Option<u64>); 2] =
            [(cstr!("$skip"), Some(skip).filter(|skip| *skip > 0)), (cstr!("$limit"), limit)];
        for (stage, bound) in bounds {
            if let Some(bound) = bound {
                let mut document = RawDocumentBuf::new();
                document.append(stage, i64::try_from(bound).unwrap_or(i64::MAX));
                stages.push(document);
            }
        }
        stages.push(rawdoc! { "$count": "n" });
        let (hint, variables) = (selector.hint.clone(), selector.variables.clone());
        let request = AggregateRequest { stages, hint, variables, disk_use: DiskUse::default() };
        match self.aggregate(&request, None)?.next_document()? {
            None => Ok(0),
            Some(counted) => {
                super::reply::count((&*counted).into(), "n").ok_or_else(|| senseless("n"))
            }
        }
    }

    /// How many documents the collection has, as of the last commit.
    pub(crate) fn estimated_count(&self) -> Result<u64, DocumentError> {
        self.count(&Selector::about(RawDocumentBuf::new()), 0, None)
    }

    /// The different values of a field: `distinct`.
    pub(crate) fn distinct(
        &self,
        field: &str,
        selector: &Selector,
    ) -> Result<Vec<OwnedValue>, DocumentError> {
        let mut command = self.command("distinct");
        command.field("key", Value::String(field));
        command.selector("query", selector);
        let reply = self.run(command)?;
        Ok(reply.array("values")?.iter().map(OwnedValue::from).collect())
    }
}
