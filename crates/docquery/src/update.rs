//! Updates: how a document is changed.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{Environment, Error, ErrorCode, Filter, Result};

/// An update, parsed: operators, a pipeline, or a replacement.
#[derive(Clone, Debug)]
pub struct Update {}

impl Update {
    /// Parses an update: a document of operators or a replacement, or an array of pipeline stages. `array_filters` are
    /// for the positional `$[identifier]`.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no update.
    pub fn parse(
        update: RawBsonRef<'_>,
        array_filters: &[&RawDocument],
        environment: &Environment,
    ) -> Result<Self> {
        let _ = (update, array_filters, environment);
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "updates are being built"))
    }

    /// Whether it replaces the whole document. Only operators and pipelines may change many.
    pub fn is_replacement(&self) -> bool {
        false
    }

    /// `document` after the update; `None` if nothing changed. `filter` has found the document, and gives the
    /// positional `$` its place.
    ///
    /// # Errors
    ///
    /// MongoDB's; the document is to stay as it is.
    pub fn apply(&self, document: &RawDocument, filter: &Filter) -> Result<Option<RawDocumentBuf>> {
        let _ = (document, filter);
        Ok(None)
    }

    /// The document that an upsert inserts where `filter` found none. It has an `_id` only where the filter or the update
    /// gives one.
    ///
    /// # Errors
    ///
    /// MongoDB's, above all for filters that contradict themselves.
    pub fn upsert(&self, filter: &Filter) -> Result<RawDocumentBuf> {
        let _ = filter;
        Ok(RawDocumentBuf::new())
    }
}
