//! Unlocking documents by force.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Place;
use super::select::Selector;
use crate::document_locks::fields::holder;
use crate::document_locks::{BreakDocument, DocumentAt, LockAnswer};
use crate::documents::execution::Extent;
use crate::documents::plan::Query;
use crate::error::{DocumentError, LockDocumentError, unexpected};
use crate::info::BreakRecord;
use crate::request::{Answer, Task};

impl Place<'_> {
    /// Unlocks the documents that match and are locked, each with a record of it in the same commit: a bounded number.
    pub(crate) fn break_document_locks(
        &self,
        selector: &Selector,
        reason: &str,
    ) -> Result<Vec<BreakRecord>, LockDocumentError> {
        let query = self.query(selector)?;
        let (mut execution, sequence) = self.execute(&query, Extent::default())?;
        let Some(collection) = execution.collection() else { return Ok(Vec::new()) };
        let (mut records, mut seen) = (Vec::new(), HashSet::new());
        execution.run(self.engine(), &mut |row| {
            if holder(row.document).is_some() && seen.insert(row.record) {
                records.push(row.record);
            }
            let is_full = records.len() >= UNLOCKED_MAX;
            Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        drop(execution);
        let mut broken = Vec::with_capacity(records.len());
        for record in records {
            let at = (collection, record);
            broken.extend(self.break_document_lock(at, &query, sequence, reason)?);
        }
        Ok(broken)
    }

    /// Unlocks one document by force, if it matches still and is locked.
    fn break_document_lock(
        &self,
        at: DocumentAt,
        query: &Query,
        mut seen: u64,
        reason: &str,
    ) -> Result<Option<BreakRecord>, LockDocumentError> {
        let engine = self.engine();
        loop {
            let (filter, namespace) = (Arc::clone(&query.filter), self.namespace().clone());
            let task = BreakDocument { at, filter, seen, namespace, reason: reason.into() };
            match engine.call(Task::BreakDocument(Box::new(task))) {
                Answer::Broken(record) => return Ok(Some(*record)),
                Answer::DocumentLock(answer) => match *answer {
                    LockAnswer::NothingToBreak => return Ok(None),
                    LockAnswer::NotBroken(error) => return Err(error.into()),
                    LockAnswer::BreakAgain => {}
                    other => {
                        return Err(unexpected(&Answer::DocumentLock(Box::new(other))).into());
                    }
                },
                Answer::Failed(error) => return Err(error.into()),
                answer => return Err(unexpected(&answer).into()),
            }
            let reading = engine.reading()?;
            if reading.catalog().collection_with(at.0).is_none() {
                return Ok(None);
            }
            let document = reading.document(at.0, at.1).map_err(DocumentError::from)?;
            let Some(document) = document else { return Ok(None) };
            if !query.filter.matches(document.raw()).map_err(DocumentError::from)? {
                return Ok(None);
            }
            seen = reading.sequence();
        }
    }
}

/// How many documents one call unlocks: a reply tells of all of them.
const UNLOCKED_MAX: usize = 4_096;
