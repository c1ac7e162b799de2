//! Filters: which documents are meant.

use bson::RawDocument;

use crate::{Document, Environment, Error, ErrorCode, Result};

/// A filter, parsed.
#[derive(Clone, Debug)]
pub struct Filter {}

/// What a match found besides: the place in an array that the positional operator `$` stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The index of the item of the first array on a path that made the filter match.
    pub position: Option<usize>,
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no filter.
    pub fn parse(filter: &RawDocument, environment: &Environment) -> Result<Self> {
        let _ = (filter, environment);
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "filters are being built"))
    }

    /// Whether `document` matches.
    ///
    /// # Errors
    ///
    /// An expression failed, or a regular expression took too many steps.
    pub fn matches(&self, document: &RawDocument) -> Result<bool> {
        Ok(self.find(document.into())?.is_some())
    }

    /// How `document` matches, if it does.
    ///
    /// # Errors
    ///
    /// As [`Filter::matches`].
    pub fn find(&self, document: Document<'_>) -> Result<Option<Matched>> {
        let _ = document;
        Ok(Some(Matched::default()))
    }

    /// The values that an upsert takes from it.
    pub(crate) fn equalities(&self) -> Vec<(&crate::path::Path, crate::Value<'_>)> {
        Vec::new()
    }
}
