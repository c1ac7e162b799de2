//! Pipelines over a collection.

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};
use docquery::Pipeline;
use docquery::pipeline::{Collections, Documents};

use super::Place;
use super::find::FindRequest;
use super::select::Selector;
use crate::documents::Namespace;
use crate::error::DocumentError;

/// The collections of the database that a pipeline runs in.
#[derive(Debug)]
struct Neighbours<'p, 's>(&'p Place<'s>);

impl Place<'_> {
    /// Runs a pipeline over the documents of the collection.
    pub(crate) fn aggregate(
        &self,
        stages: &RawArrayBuf,
        variables: Option<&RawDocumentBuf>,
    ) -> Result<Vec<RawDocumentBuf>, DocumentError> {
        let pipeline = Pipeline::parse(stages, &self.environment(variables))?;
        let source = self.find(&FindRequest::default())?;
        let neighbours = Neighbours(self);
        let results = pipeline.run(Box::new(source.into_iter().map(Ok)), &neighbours);
        results.map(|document| document.map_err(DocumentError::from)).collect()
    }
}

impl Collections for Neighbours<'_, '_> {
    fn documents<'a>(
        &'a self,
        name: &str,
        filter: Option<&RawDocument>,
    ) -> docquery::Result<Documents<'a>> {
        let namespace = Namespace::new(self.0.namespace().database(), name)?;
        let place = Place { namespace, ..*self.0 };
        let filter = filter.map(RawDocument::to_owned).unwrap_or_default();
        let selector = Selector { filter, ..Selector::default() };
        let found = place.find(&FindRequest { selector, ..FindRequest::default() });
        match found {
            Ok(found) => Ok(Box::new(found.into_iter().map(Ok))),
            Err(DocumentError::Refused(error)) => Err(error),
            Err(other) => Err(docquery::Error::new(other.code(), other.to_string())),
        }
    }
}
