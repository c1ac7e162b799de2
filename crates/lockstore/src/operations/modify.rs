//! Updates and deletions: documents are found on the caller's thread, and changed by the writer if they still match.

use std::sync::Arc;

use bson::{RawBson, RawDocumentBuf};
use docquery::{Cost, Document, Error, ErrorCode, Update, Value};

use super::insert::{completed, id};
use super::select::{Candidates, Selector};
use super::{Place, new_collection};
use crate::client_sessions::Numbered;
use crate::collection::BulkWriteResult;
use crate::documents::plan::Query;
use crate::documents::{
    Ask, Attempt, CollectionId, DOCUMENTS_PER_TASK, Found, Modification, Modified, Modify, Reach,
    RecordId, Upsert,
};
use crate::error::{DocumentError, PartialWrite};

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

impl Place<'_> {
    /// Changes documents.
    pub(crate) fn modify(&self, request: &ModifyRequest) -> Result<ModifyOutcome, DocumentError> {
        request.change.check_filter(&request.selector)?;
        let query = self.query(&request.selector)?;
        loop {
            let limit = (!request.many).then(|| self.rivals().candidates());
            let Candidates { sequence, collection, records, error } =
                self.candidates(&query, limit)?;
            if let Some(error) = error.clone().filter(|_| !request.many) {
                return Err(error);
            }
            let outcome = match collection {
                Some(collection) if !records.is_empty() && request.many => {
                    let outcome =
                        self.modify_each(&query, &request.change, collection, records, sequence);
                    Some(ModifyOutcome { error: outcome.error.or(error), ..outcome })
                }
                Some(collection) if !records.is_empty() => {
                    self.modify_first(&query, &request.change, collection, records, sequence)?
                }
                _ => match error {
                    Some(error) => return Err(error),
                    None => self.upsert(&query, &request.change, sequence)?,
                },
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            // What was found has changed meanwhile: what there is now is looked at anew.
            self.check_time()?;
        }
    }

    /// Changes the first of the records that still matches; `None` if none does.
    fn modify_first(
        &self,
        query: &Query,
        change: &Change,
        collection: CollectionId,
        candidates: Vec<RecordId>,
        seen: u64,
    ) -> Result<Option<ModifyOutcome>, DocumentError> {
        let filter = Arc::clone(&query.filter);
        let change = change.modification();
        if change.cost(&filter) == Cost::Unbounded {
            return self.modify_first_prepared(query, &change, collection, &candidates);
        }
        let reach = Reach::First;
        let task = Modify { collection, candidates, seen, filter, change: change.clone(), reach };
        let scope = self.remembering(Numbered::of_found);
        match scope.modify(task)? {
            Attempt::Done(Modified { left, .. }) if !left.is_empty() => {
                self.modify_first_prepared(query, &change, collection, &left)
            }
            Attempt::Done(modified) => {
                self.rivals().note(Some(modified.taken));
                Ok(Some(modified.into()))
            }
            Attempt::Again => {
                self.rivals().note(None);
                Ok(None)
            }
        }
    }

    /// Changes each of the records that still matches, by as many tasks as it takes.
    fn modify_each(
        &self,
        query: &Query,
        change: &Change,
        collection: CollectionId,
        candidates: Vec<RecordId>,
        seen: u64,
    ) -> ModifyOutcome {
        let change = change.modification();
        if change.cost(&query.filter) == Cost::Unbounded {
            return self.modify_prepared(query, &change, collection, candidates);
        }
        let mut outcome = ModifyOutcome::default();
        let mut rest = &candidates[..];
        while !rest.is_empty() && outcome.error.is_none() {
            let task = Modify {
                collection,
                candidates: rest[..rest.len().min(DOCUMENTS_PER_TASK)].to_vec(),
                seen,
                filter: Arc::clone(&query.filter),
                change: change.clone(),
                reach: Reach::Each,
            };
            match self.check_time().and_then(|()| self.scope().modify(task)) {
                Ok(Attempt::Done(modified)) => {
                    outcome.matched += modified.matched;
                    outcome.modified += modified.modified;
                    outcome.error = modified.error;
                    rest = &rest[modified.taken..];
                    let left = self.modify_prepared(query, &change, collection, modified.left);
                    outcome.matched += left.matched;
                    outcome.modified += left.modified;
                    outcome.error = left.error.or(outcome.error);
                }
                // A collection that was dropped meanwhile has no documents that match.
                Ok(Attempt::Again) => break,
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome
    }

    /// Inserts what an update makes of its filter, if it is to; `None` if something matches by now.
    fn upsert(
        &self,
        query: &Query,
        change: &Change,
        seen: u64,
    ) -> Result<Option<ModifyOutcome>, DocumentError> {
        let Change::Update { update, upsert: true } = change else {
            return Ok(Some(ModifyOutcome::default()));
        };
        let document = completed(&update.upsert(&query.filter)?, || self.timestamp())?;
        let task = Upsert {
            namespace: self.namespace().clone(),
            create: Some(new_collection()),
            filter: Arc::clone(&query.filter),
            seen,
            document: document.clone(),
        };
        let scope = self.remembering(|statement| statement.of_upserted(&document));
        Ok(match scope.upsert(task)? {
            Attempt::Done(()) => {
                Some(ModifyOutcome { upserted: Some(document), ..ModifyOutcome::default() })
            }
            Attempt::Again => None,
        })
    }
}

/// Whether a filter asks an expression. It is asked of the filter as it is written: an upsert refuses even an expression that is none.
fn has_expression(filter: Document<'_>) -> bool {
    filter.into_iter().any(|(name, value)| match value {
        _ if name == "$expr" => true,
        Value::Array(branches) if matches!(name, "$and" | "$or" | "$nor") => {
            branches.into_iter().filter_map(|branch| branch.as_document()).any(has_expression)
        }
        _ => false,
    })
}

impl Change {
    /// Checks that a filter may say which documents are changed so.
    pub(super) fn check_filter(&self, selector: &Selector) -> Result<(), Error> {
        if matches!(self, Self::Update { upsert: true, .. })
            && has_expression(Document::from(&*selector.filter))
        {
            return Err(Error::new(
                ErrorCode::QUERY_FEATURE_NOT_ALLOWED,
                "$expr is not allowed in the query predicate for an upsert",
            ));
        }
        Ok(())
    }

    fn modification(&self) -> Modification {
        match self {
            Self::Update { update, .. } => Modification::Update(Arc::clone(update)),
            Self::Delete => Modification::Delete,
        }
    }
}

impl From<Modified> for ModifyOutcome {
    fn from(modified: Modified) -> Self {
        let Modified { matched, modified, found, error, .. } = modified;
        Self { matched, modified, upserted: None, found, error }
    }
}

impl ModifyOutcome {
    /// Why the next document could not be changed, with what was changed before.
    pub(crate) fn failure(&self) -> Option<DocumentError> {
        let error = self.error.clone()?;
        if self.modified == 0 || error.is_final() {
            return Some(error);
        }
        let (matched_count, modified_count) = (self.matched, self.modified);
        let done = BulkWriteResult { matched_count, modified_count, ..BulkWriteResult::default() };
        Some(PartialWrite::new(done, [(0, error)].into()).into())
    }

    /// The `_id` of what was inserted.
    pub(crate) fn upserted_id(&self) -> Option<RawBson> {
        self.upserted.as_deref().map(id)
    }
}
