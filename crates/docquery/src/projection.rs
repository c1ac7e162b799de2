//! Projections: which parts of a document are given.

use bson::{RawDocument, RawDocumentBuf};

use crate::{Environment, Error, ErrorCode, Filter, Result};

/// A projection of `find` or `findAndModify`, parsed.
#[derive(Clone, Debug)]
pub struct Projection {}

impl Projection {
    /// Parses a projection.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no projection.
    pub fn parse(projection: &RawDocument, environment: &Environment) -> Result<Self> {
        let _ = (projection, environment);
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "projections are being built"))
    }

    /// The projected document. `filter` has found it, and gives the positional `$` its place.
    ///
    /// # Errors
    ///
    /// An expression failed.
    pub fn apply(&self, document: &RawDocument, filter: &Filter) -> Result<RawDocumentBuf> {
        let _ = filter;
        Ok(document.to_owned())
    }
}
