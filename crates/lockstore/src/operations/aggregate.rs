//! Pipelines over a collection.

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use docquery::Pipeline;
use docquery::pipeline::{Collections, Documents};

use super::Place;
use super::cursor::{AHEAD, Cursor};
use super::find::FindRequest;
use super::select::Selector;
use crate::documents::Namespace;
use crate::documents::plan::Hint;
use crate::error::DocumentError;

/// The collections of the database that a pipeline runs in.
#[derive(Debug)]
struct Neighbours<'p, 's>(&'p Place<'s>);

/// A pipeline over a collection.
#[derive(Debug)]
pub(crate) struct AggregateRequest {
    pub(crate) stages: RawArrayBuf,
    pub(crate) hint: Hint,
    pub(crate) variables: Option<RawDocumentBuf>,
}

impl Place<'_> {
    /// Runs a pipeline over the documents of the collection.
    pub(crate) fn aggregate(&self, request: &AggregateRequest) -> Result<Cursor, DocumentError> {
        let environment = self.environment(request.variables.as_ref())?;
        let pipeline = Pipeline::parse(&request.stages, &environment)?;
        let selector = Selector { hint: request.hint.clone(), ..Selector::default() };
        let source = self.source(selector)?;
        let neighbours = Neighbours(self);
        let results = pipeline.run(source, &neighbours);
        let results = results.collect::<Result<Vec<_>, _>>()?;
        Ok(Cursor::over(results))
    }

    /// The documents that are selected, as a pipeline takes them.
    fn source(&self, selector: Selector) -> Result<Documents<'_>, DocumentError> {
        let mut found = self.find(&FindRequest { selector, ..FindRequest::default() })?;
        let engine = self.engine();
        Ok(Box::new(std::iter::from_fn(move || {
            found.next_document(engine, AHEAD).map_err(refusal).transpose()
        })))
    }
}

impl Collections for Neighbours<'_, '_> {
    fn documents<'a>(
        &'a self,
        name: &str,
        filter: Option<&RawDocument>,
    ) -> docquery::Result<Documents<'a>> {
        let namespace = Namespace::new(self.0.namespace().database(), name)?;
        let place = self.0.neighbour(namespace);
        let filter = filter.map(RawDocument::to_owned).unwrap_or_default();
        let selector = Selector { filter, ..Selector::default() };
        let found = place.find(&FindRequest { selector, ..FindRequest::default() });
        let mut found = found.map_err(refusal)?;
        let engine = self.0.engine();
        Ok(Box::new(std::iter::from_fn(move || {
            found.next_document(engine, AHEAD).map_err(refusal).transpose()
        })))
    }
}

/// The error for the inside of a pipeline, which knows nothing of stores.
fn refusal(error: DocumentError) -> docquery::Error {
    match error {
        DocumentError::Refused(error) => error,
        other => docquery::Error::new(other.code(), other.to_string()),
    }
}
