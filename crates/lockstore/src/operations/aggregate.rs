//! Pipelines over a collection.

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use docquery::pipeline::{Collections, Documents};
use docquery::{Error, ErrorCode, Pipeline};

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

impl AggregateRequest {
    /// What the pipeline asks of its collection: the filter of a `$match` that comes first. The stage filters once more what an
    /// index has found for it.
    pub(crate) fn leading_selector(&self) -> Selector {
        let first = self.stages.get_document(0).and_then(|stage| stage.get_document("$match"));
        Selector {
            filter: first.map(RawDocument::to_owned).unwrap_or_default(),
            hint: self.hint.clone(),
            variables: self.variables.clone(),
            ..Selector::default()
        }
    }
}

impl Place<'_> {
    /// Runs a pipeline over the documents of the collection.
    pub(crate) fn aggregate(&self, request: &AggregateRequest) -> Result<Cursor, DocumentError> {
        let environment = self.environment(request.variables.as_ref())?;
        let pipeline = Pipeline::parse(&request.stages, &environment)?;
        let source: Documents<'_> = if pipeline.has_own_documents() {
            Box::new(std::iter::empty())
        } else {
            self.source(request.leading_selector())?
        };
        let neighbours = Neighbours(self);
        let mut results = Vec::new();
        let mut bytes = 0;
        for document in pipeline.run(source, &neighbours) {
            let document = document?;
            bytes += document.as_bytes().len();
            if bytes > RESULT_BYTES_MAX {
                let message =
                    format!("the pipeline gives more than {RESULT_BYTES_MAX} bytes of documents");
                return Err(Error::new(ErrorCode::EXCEEDED_MEMORY_LIMIT, message).into());
            }
            results.push(document);
        }
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
        // What may not be the name of a collection is the name of none.
        let Ok(namespace) = Namespace::new(self.0.namespace().database(), name) else {
            return Ok(Box::new(std::iter::empty()));
        };
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

/// How much a pipeline may give, in bytes: its result is held in memory until it has been fetched.
const RESULT_BYTES_MAX: usize = 256 << 20;

/// The error for the inside of a pipeline, which knows nothing of stores.
fn refusal(error: DocumentError) -> docquery::Error {
    match error {
        DocumentError::Refused(error) => error,
        other => docquery::Error::new(other.code(), other.to_string()),
    }
}
