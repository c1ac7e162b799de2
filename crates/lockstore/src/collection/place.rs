//! Where a request is carried out: in this process, or elsewhere.

use bson::{RawBson, RawDocumentBuf};
use docquery::OwnedValue;

use super::cursor::Found;
use crate::error::{DocumentError, LockDocumentError};
use crate::info::BreakRecord;
use crate::operations::{
    self, AggregateRequest, Dropped, FindAndModifyRequest, FindRequest, IndexSpec, InsertOutcome,
    InsertRequest, ModifyOutcome, ModifyRequest, Selector, Statement,
};
use crate::remote::documents::{self as elsewhere, StatementsOutcome};

/// Where and when one request is carried out.
#[derive(Debug)]
pub(crate) enum Place<'c> {
    /// In this process.
    Here(operations::Place<'c>),
    /// Elsewhere, by a command of MongoDB's.
    There(elsewhere::Place<'c>),
}

/// What has become of one update or deletion.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) matched: u64,
    pub(super) modified: u64,
    pub(super) upserted_id: Option<RawBson>,
    /// Why the next document could not be changed. What was changed before stays.
    pub(super) error: Option<DocumentError>,
}

impl Place<'_> {
    pub(super) fn locked_documents(&self) -> Result<Found, DocumentError> {
        match self {
            Self::Here(place) => Found::here(place.engine(), place.locked_documents()?, None),
            Self::There(place) => Ok(Found::There(place.locked_documents()?)),
        }
    }

    pub(super) fn break_document_locks(
        &self,
        selector: &Selector,
        reason: &str,
    ) -> Result<Vec<BreakRecord>, LockDocumentError> {
        match self {
            Self::Here(place) => place.break_document_locks(selector, reason),
            Self::There(place) => Ok(place.break_document_locks(selector, reason)?),
        }
    }

    pub(super) fn check_time(&self) -> Result<(), DocumentError> {
        match self {
            Self::Here(place) => place.check_time(),
            Self::There(place) => place.check_time(),
        }
    }

    pub(super) fn find(
        &self,
        request: &FindRequest,
        batch_size: Option<u32>,
    ) -> Result<Found, DocumentError> {
        match self {
            Self::Here(place) => Found::here(place.engine(), place.find(request)?, batch_size),
            Self::There(place) => Ok(Found::There(place.find(request, batch_size)?)),
        }
    }

    pub(super) fn aggregate(
        &self,
        request: &AggregateRequest,
        batch_size: Option<u32>,
    ) -> Result<Found, DocumentError> {
        match self {
            Self::Here(place) => Found::here(place.engine(), place.aggregate(request)?, batch_size),
            Self::There(place) => Ok(Found::There(place.aggregate(request, batch_size)?)),
        }
    }

    pub(super) fn count(
        &self,
        selector: &Selector,
        skip: u64,
        limit: Option<u64>,
    ) -> Result<u64, DocumentError> {
        match self {
            Self::Here(place) => place.count(selector, skip, limit),
            Self::There(place) => place.count(selector, skip, limit),
        }
    }

    pub(super) fn estimated_count(&self) -> Result<u64, DocumentError> {
        match self {
            Self::Here(place) => place.estimated_count(),
            Self::There(place) => place.estimated_count(),
        }
    }

    pub(super) fn distinct(
        &self,
        field: &str,
        selector: &Selector,
    ) -> Result<Vec<OwnedValue>, DocumentError> {
        match self {
            Self::Here(place) => place.distinct(field, selector),
            Self::There(place) => place.distinct(field, selector),
        }
    }

    pub(super) fn insert(&self, request: InsertRequest) -> InsertOutcome {
        match self {
            Self::Here(place) => place.insert(request),
            Self::There(place) => place.insert(request),
        }
    }

    /// Carries out one statement.
    pub(super) fn modify(&self, statement: Statement) -> Result<Changed, DocumentError> {
        match self {
            Self::Here(place) => Ok(place.modify(&statement.parsed(place)?)?.into()),
            Self::There(place) => {
                let outcome = place.carry_out(std::slice::from_ref(&statement), true);
                Changed::only(outcome)
            }
        }
    }

    /// Carries out statements that are all updates, or all deletions, one after the other: up to the first that fails if they
    /// are `ordered`.
    pub(super) fn modify_each(
        &self,
        statements: Vec<Statement>,
        ordered: bool,
    ) -> StatementsOutcome {
        let place = match self {
            Self::Here(place) => place,
            Self::There(place) => return place.carry_out(&statements, ordered),
        };
        let mut outcome = StatementsOutcome::default();
        for (index, statement) in statements.into_iter().enumerate() {
            let modified = place.check_time().and_then(|()| statement.parsed(place));
            match modified.and_then(|request| place.modify(&request)) {
                Ok(done) => {
                    outcome.matched += done.matched;
                    outcome.modified += done.modified;
                    outcome.upserted.extend(done.upserted_id().map(|id| (index, id)));
                    outcome.errors.extend(done.error.map(|error| (index, error)));
                }
                Err(error) => outcome.errors.push((index, error)),
            }
            if outcome.is_over(ordered) {
                break;
            }
        }
        outcome
    }

    pub(super) fn find_and_modify(
        &self,
        statement: Statement,
        projection: Option<RawDocumentBuf>,
        after: bool,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        match self {
            Self::Here(place) => {
                let ModifyRequest { selector, change, .. } = statement.parsed(place)?;
                let request = FindAndModifyRequest { selector, change, projection, after };
                Ok(place.find_and_modify(request)?.1)
            }
            Self::There(place) => place.find_and_modify(&statement, projection.as_ref(), after),
        }
    }

    pub(crate) fn create(&self) -> Result<(), DocumentError> {
        match self {
            Self::Here(place) => place.create(RawDocumentBuf::new()),
            Self::There(place) => place.create(),
        }
    }

    pub(super) fn drop_collection(&self) -> Result<(), DocumentError> {
        match self {
            Self::Here(place) => place.drop_collection().map(|_| ()),
            Self::There(place) => place.drop_collection(),
        }
    }

    pub(super) fn create_indexes(&self, specs: Vec<IndexSpec>) -> Result<(), DocumentError> {
        match self {
            Self::Here(place) => place.create_indexes(specs).map(|_| ()),
            Self::There(place) => place.create_indexes(specs),
        }
    }

    pub(super) fn drop_indexes(&self, dropped: &Dropped) -> Result<(), DocumentError> {
        match self {
            Self::Here(place) => place.drop_indexes(dropped).map(|_| ()),
            Self::There(place) => place.drop_indexes(dropped),
        }
    }

    pub(super) fn list_indexes(&self) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        match self {
            Self::Here(place) => place.list_indexes(),
            Self::There(place) => place.list_indexes(),
        }
    }
}

impl Changed {
    /// What has become of the only statement.
    fn only(outcome: StatementsOutcome) -> Result<Self, DocumentError> {
        let StatementsOutcome { matched, modified, upserted, errors } = outcome;
        let error = errors.into_iter().next().map(|(_, error)| error);
        match error {
            Some(error) if modified == 0 => Err(error),
            error => {
                let upserted_id = upserted.into_iter().next().map(|(_, id)| id);
                Ok(Self { matched, modified, upserted_id, error })
            }
        }
    }
}

impl From<ModifyOutcome> for Changed {
    fn from(outcome: ModifyOutcome) -> Self {
        let upserted_id = outcome.upserted_id();
        let ModifyOutcome { matched, modified, error, .. } = outcome;
        Self { matched, modified, upserted_id, error }
    }
}
