//! Which documents an operation is about.

use std::ops::Bound;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Filter, Sort};

use super::Place;
use crate::disk::Direction;
use crate::documents::{CollectionId, RecordId};
use crate::error::DocumentError;

/// Which documents, in which order, as it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) filter: RawDocumentBuf,
    pub(crate) sort: Option<RawDocumentBuf>,
    pub(crate) hint: Option<Hint>,
    /// The variables of the command, which are constants.
    pub(crate) variables: Option<RawDocumentBuf>,
}

/// Which index is to be used.
#[derive(Clone, Debug)]
pub(crate) enum Hint {
    /// The one of this name.
    Name(String),
    /// The one with these keys, or `$natural`.
    Keys(RawDocumentBuf),
}

/// The same, parsed.
#[derive(Debug)]
pub(crate) struct Selection {
    filter: Arc<Filter>,
    sort: Option<Sort>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// The sequence of the reading in which it was found.
    pub(crate) sequence: u64,
    /// `None` where there is no such collection.
    pub(crate) collection: Option<CollectionId>,
    pub(crate) records: Vec<RecordId>,
}

impl Selection {
    pub(crate) fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }
}

impl Place<'_> {
    /// Parses what was asked for.
    pub(crate) fn selection(&self, selector: &Selector) -> Result<Selection, DocumentError> {
        let environment = self.environment(selector.variables.as_ref());
        let filter = Arc::new(Filter::parse(&selector.filter, &environment)?);
        let sort = selector.sort.as_deref().filter(|sort| !sort.is_empty());
        Ok(Selection { filter, sort: sort.map(Sort::parse).transpose()? })
    }

    /// The records that are selected, at most `limit`.
    pub(super) fn candidates(
        &self,
        selection: &Selection,
        limit: Option<usize>,
    ) -> Result<Candidates, DocumentError> {
        let mut records = Vec::new();
        let (sequence, collection) =
            self.select(selection, limit, |record, _| records.push(record))?;
        Ok(Candidates { sequence, collection, records })
    }

    /// Calls `found` for each document that is selected, at most `limit`.
    pub(super) fn select(
        &self,
        selection: &Selection,
        limit: Option<usize>,
        mut found: impl FnMut(RecordId, &RawDocument),
    ) -> Result<(u64, Option<CollectionId>), DocumentError> {
        let reading = self.engine().reading()?;
        let Some(collection) = reading.catalog().collection(self.namespace().as_str()) else {
            return Ok((reading.sequence(), None));
        };
        let limit = limit.unwrap_or(usize::MAX);
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let documents = reading.documents(collection.id(), everything, Direction::Forward)?;
        let mut sorted = Vec::new();
        let mut count = 0;
        for document in documents {
            if count == limit && selection.sort.is_none() {
                break;
            }
            let document = document?;
            if !selection.filter.matches(document.raw())? {
                continue;
            }
            count += 1;
            match &selection.sort {
                None => found(document.record(), document.raw()),
                Some(sort) => {
                    let key = sort.key(Document::from(document.raw()))?;
                    sorted.push((key, document.record(), document.raw().to_owned()));
                }
            }
            self.check_time()?;
        }
        sorted.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        for (_, record, document) in sorted.iter().take(limit) {
            found(*record, document);
        }
        Ok((reading.sequence(), Some(collection.id())))
    }
}
