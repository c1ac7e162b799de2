//! Pipelines: stages over an iterator of documents.

use bson::{RawArray, RawDocument, RawDocumentBuf};

use crate::{Environment, Error, ErrorCode, Result};

/// A pipeline, parsed.
#[derive(Clone, Debug)]
pub struct Pipeline {}

/// Documents, one after the other.
pub type Documents<'a> = Box<dyn Iterator<Item = Result<RawDocumentBuf>> + 'a>;

/// The other collections of the database, for `$lookup`.
pub trait Collections: std::fmt::Debug {
    /// The documents of the collection `name` that match `filter`, or a superset of them; none where there is no such
    /// collection. The implementation may use an index for the filter; the caller filters again.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn documents<'a>(&'a self, name: &str, filter: Option<&RawDocument>) -> Result<Documents<'a>>;
}

impl Pipeline {
    /// Parses the stages of a pipeline.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no pipeline.
    pub fn parse(stages: &RawArray, environment: &Environment) -> Result<Self> {
        let _ = (stages, environment);
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "pipelines are being built"))
    }

    /// The documents that come out when `source` goes in.
    pub fn run<'a>(
        &'a self,
        source: Documents<'a>,
        collections: &'a dyn Collections,
    ) -> Documents<'a> {
        let _ = collections;
        source
    }
}
