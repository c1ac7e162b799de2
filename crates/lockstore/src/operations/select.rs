//! Which documents an operation is about, and finding them.

use std::ops::ControlFlow;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::{Error, Filter};

use super::Place;
use crate::documents::execution::{Execution, Extent, Row};
use crate::documents::plan::{Between, Hint, Order, Plan, Query};
use crate::documents::{CollectionId, RecordId};
use crate::error::DocumentError;

/// Which documents, in which order, as it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) filter: RawDocumentBuf,
    pub(crate) sort: Option<RawDocumentBuf>,
    pub(crate) hint: Hint,
    pub(crate) between: Between,
    /// The variables of the command, which are constants.
    pub(crate) variables: Option<RawDocumentBuf>,
}

impl Selector {
    /// All that match `filter`.
    pub(crate) fn about(filter: RawDocumentBuf) -> Self {
        // An empty document takes memory, so there is no default to begin with.
        Self { filter, sort: None, hint: Hint::None, between: Between::default(), variables: None }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Candidates {
    /// The sequence of the reading in which it was found.
    pub(crate) sequence: u64,
    /// `None` where there is no such collection.
    pub(crate) collection: Option<CollectionId>,
    pub(crate) records: Vec<RecordId>,
    /// Why the search ended before its time: what it had found is still to be changed.
    pub(crate) error: Option<DocumentError>,
}

impl Place<'_> {
    /// Parses what was asked for.
    pub(crate) fn query(&self, selector: &Selector) -> Result<Query, DocumentError> {
        let environment = self.environment(selector.variables.as_ref())?;
        let filter = Filter::parse(&selector.filter, &environment)?;
        Ok(Self::ordered(filter, selector)?)
    }

    /// The query of a selector, whose filter is parsed.
    pub(super) fn ordered(filter: Filter, selector: &Selector) -> Result<Query, Error> {
        let order = match &selector.sort {
            Some(sort) => Order::parse(sort)?,
            None => Order::default(),
        };
        let (hint, between) = (selector.hint.clone(), selector.between.clone());
        Ok(Query { order, hint, between, ..Query::new(Arc::new(filter)) })
    }

    /// Plans a query on the newest reading, and begins it. Gives the sequence of the reading too.
    pub(crate) fn execute(
        &self,
        query: &Query,
        mut extent: Extent,
    ) -> Result<(Execution, u64), DocumentError> {
        let reading = self.scope().reading()?;
        let sequence = reading.sequence();
        let collection = reading.catalog().collection(self.namespace().as_str()).cloned();
        let plan = match &collection {
            Some(collection) => Plan::new(collection, query)?,
            None => Plan::nothing(query),
        };
        extent.deadline = self.deadline();
        let execution = Execution::new(reading, collection.as_deref(), Arc::new(plan), extent);
        Ok((execution, sequence))
    }

    /// The records that a query finds, at most `limit`.
    pub(crate) fn candidates(
        &self,
        query: &Query,
        limit: Option<usize>,
    ) -> Result<Candidates, DocumentError> {
        let most = limit.unwrap_or(usize::MAX);
        let limit = limit.map(|limit| limit as u64);
        let (mut execution, sequence) =
            self.execute(query, Extent { limit, ..Extent::default() })?;
        let collection = execution.collection();
        let mut records = Vec::new();
        let error = execution.gather(self.engine(), most, &mut records).err();
        Ok(Candidates { sequence, collection, records, error })
    }

    /// Calls `found` for each document that a query finds.
    pub(super) fn for_each(
        &self,
        query: &Query,
        mut found: impl FnMut(Row<'_>) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        let (mut execution, _) = self.execute(query, Extent::default())?;
        execution.run(self.engine(), &mut |row| found(row).map(ControlFlow::Continue))?;
        Ok(())
    }
}
