//! Finding documents, and counting them.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Environment, Error, Filter, Projection};

use super::Place;
use super::cursor::{Cursor, Shown};
use super::select::Selector;
use crate::documents::DiskUse;
use crate::documents::execution::Extent;
use crate::documents::plan::Hint;
use crate::error::DocumentError;

/// Which documents are found, and how they are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct FindRequest {
    pub(crate) selector: Selector,
    pub(crate) projection: Option<RawDocumentBuf>,
    pub(crate) skip: u64,
    /// How many are found at most.
    pub(crate) limit: Option<u64>,
    /// Whether the keys of the index are given instead of the documents.
    pub(crate) return_key: bool,
    /// Whether the place of a document in its collection is given with it.
    pub(crate) show_record_id: bool,
    /// Whether a sort may put on the disk what it cannot hold in memory.
    pub(crate) disk_use: DiskUse,
}

impl Place<'_> {
    /// Finds documents.
    pub(crate) fn find(&self, request: &FindRequest) -> Result<Cursor, DocumentError> {
        let environment = self.environment(request.selector.variables.as_ref())?;
        let filter = Filter::parse(&request.selector.filter, &environment)?;
        let projection = projection(request.projection.as_deref(), &filter, &environment)?;
        let query = Self::ordered(filter, &request.selector)?;
        let FindRequest { skip, limit, return_key, show_record_id, disk_use, .. } = *request;
        let extent = Extent { skip, limit, keys: return_key, disk_use, ..Extent::default() };
        let (execution, _) = self.execute(&query, extent)?;
        let shown =
            Shown::Document { filter: query.filter, projection, return_key, show_record_id };
        Ok(Cursor::of(execution, shown, self.deadline()))
    }

    /// Counts documents.
    pub(crate) fn count(
        &self,
        selector: &Selector,
        skip: u64,
        limit: Option<u64>,
    ) -> Result<u64, DocumentError> {
        let query = self.query(selector)?;
        let everything = selector.filter.is_empty() && matches!(query.hint, Hint::None);
        if everything && skip == 0 && limit.is_none() {
            return self.estimated_count();
        }
        let (mut execution, _) =
            self.execute(&query, Extent { skip, limit, ..Extent::default() })?;
        execution.count(self.engine())
    }

    /// How many documents the collection has, as of the last commit.
    pub(crate) fn estimated_count(&self) -> Result<u64, DocumentError> {
        let reading = self.scope().reading()?;
        match reading.catalog().collection(self.namespace().as_str()) {
            Some(collection) => Ok(reading.count(collection)?),
            None => Ok(0),
        }
    }
}

/// A projection that goes with a filter; none where it is empty.
pub(super) fn projection(
    projection: Option<&RawDocument>,
    filter: &Filter,
    environment: &Environment,
) -> Result<Option<Projection>, Error> {
    let Some(fields) = projection.filter(|fields| !fields.is_empty()) else { return Ok(None) };
    let projection = Projection::parse(fields, environment)?;
    projection.check_filter(filter)?;
    Ok(Some(projection))
}
