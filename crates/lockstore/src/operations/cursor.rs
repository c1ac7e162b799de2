//! The results of an operation, one after the other.

use std::collections::VecDeque;

use bson::RawDocumentBuf;

use crate::error::DocumentError;

/// Documents that were found and not given yet.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    documents: VecDeque<RawDocumentBuf>,
}

impl Cursor {
    /// A cursor over documents that are there already.
    pub(crate) fn over(documents: Vec<RawDocumentBuf>) -> Self {
        Self { documents: documents.into() }
    }

    /// The next document; `None` after the last.
    pub(crate) fn next_document(&mut self) -> Result<Option<RawDocumentBuf>, DocumentError> {
        Ok(self.documents.pop_front())
    }

    /// Whether it is known that there are no more.
    pub(crate) fn is_finished(&self) -> bool {
        self.documents.is_empty()
    }
}
