//! Updates and deletions: documents are found on the caller's thread, and changed by the writer if they still match.

use std::sync::Arc;

use bson::{RawBson, RawDocument, RawDocumentBuf};
use docquery::{Filter, Update};

use super::insert::completed;
use super::select::{Selection, Selector};
use super::{Place, UPSERT_TRIES_MAX};
use crate::documents::{
    DOCUMENTS_PER_TASK, DocumentAnswer, DocumentTask, Found, Modification, Modified, Modify, Reach,
    RecordId, Upsert,
};
use crate::error::DocumentError;

/// Which documents are changed, and how.
#[derive(Debug)]
pub(crate) struct ModifyRequest {
    pub(crate) selector: Selector,
    pub(crate) change: Change,
    /// Whether all that match are changed, or the first.
    pub(crate) many: bool,
}

/// What is done to the documents.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Update { update: Arc<Update>, upsert: bool },
    Delete,
}

/// What has become of it.
#[derive(Debug, Default)]
pub(crate) struct ModifyOutcome {
    pub(crate) matched: u64,
    pub(crate) modified: u64,
    /// What was inserted, as nothing matched.
    pub(crate) upserted: Option<RawDocumentBuf>,
    /// The document that was changed, where at most one is.
    pub(crate) found: Option<Found>,
    /// Why the next document could not be changed. What was changed before stays.
    pub(crate) error: Option<DocumentError>,
}

impl ModifyOutcome {
    /// The `_id` of what was inserted.
    pub(crate) fn upserted_id(&self) -> Option<RawBson> {
        let inserted = self.upserted.as_ref()?;
        let id = inserted.get("_id").ok().flatten().expect("what was inserted has an _id");
        Some(id.into())
    }
}

impl Place<'_> {
    /// Changes documents.
    pub(crate) fn modify(&self, request: &ModifyRequest) -> Result<ModifyOutcome, DocumentError> {
        let selection = self.selection(&request.selector)?;
        if request.many {
            self.modify_each(&selection, &request.change)
        } else {
            self.modify_first(&selection, &request.change)
        }
    }

    fn modify_first(
        &self,
        selection: &Selection,
        change: &Change,
    ) -> Result<ModifyOutcome, DocumentError> {
        loop {
            self.check_time()?;
            let (reading, candidates) = self.candidates(selection, Some(self.rivals().candidates()))?;
            let Some((collection, candidates)) = candidates.filter(|(_, found)| !found.is_empty()) else {
                let seen = reading.sequence();
                drop(reading);
                match self.upsert(selection, change, seen)? {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            };
            drop(reading);
            let task = Modify {
                collection,
                candidates,
                filter: Arc::clone(selection.filter()),
                change: change.modification(),
                reach: Reach::First,
            };
            match self.ask(DocumentTask::Modify(task))? {
                DocumentAnswer::Modified(modified) => {
                    self.rivals().won(modified.taken);
                    return Ok(modified.into());
                }
                DocumentAnswer::Again => self.rivals().lost(),
                DocumentAnswer::Failed(error) => return Err(error),
                other => unreachable!("a modification is not answered {other:?}"),
            }
        }
    }

    fn modify_each(
        &self,
        selection: &Selection,
        change: &Change,
    ) -> Result<ModifyOutcome, DocumentError> {
        let mut outcome = ModifyOutcome::default();
        loop {
            let (reading, candidates) = self.candidates(selection, None)?;
            let seen = reading.sequence();
            drop(reading);
            if let Some((collection, candidates)) = candidates.filter(|(_, found)| !found.is_empty()) {
                self.modify_all(selection, change, collection, &candidates, &mut outcome)?;
                return Ok(outcome);
            }
            if let Some(outcome) = self.upsert(selection, change, seen)? {
                return Ok(outcome);
            }
        }
    }
}
