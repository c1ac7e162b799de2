//! What is done to a document, and what it becomes by that.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::limits::DOCUMENT_BYTES_MAX;
use docquery::{Cost, Error, ErrorCode, Filter, Update};

/// What is done to a document.
#[derive(Clone, Debug)]
pub(crate) enum Modification {
    /// It is updated or replaced.
    Update(Arc<Update>),
    /// It is deleted.
    Delete,
}

/// What a document that matches is to be.
#[derive(Clone, Debug)]
pub(crate) enum After {
    /// As it is.
    Same,
    /// This.
    Becomes(RawDocumentBuf),
    /// Nothing: it is deleted.
    Deleted,
}

impl Modification {
    /// What `document`, which matches `filter`, is to be.
    ///
    /// # Errors
    ///
    /// Those of updates; or the document would be larger than it may be.
    pub(crate) fn of(&self, document: &RawDocument, filter: &Filter) -> Result<After, Error> {
        match self {
            Self::Delete => Ok(After::Deleted),
            Self::Update(update) => match update.apply(document, filter)? {
                None => Ok(After::Same),
                Some(after) => check_size(after).map(After::Becomes),
            },
        }
    }

    /// How much work that is.
    pub(crate) fn cost(&self, filter: &Filter) -> Cost {
        match self {
            Self::Delete => Cost::PerByte(0),
            Self::Update(update) => update.cost(filter),
        }
    }
}

pub(super) fn check_size(document: RawDocumentBuf) -> Result<RawDocumentBuf, Error> {
    let bytes = document.as_bytes().len();
    if bytes <= DOCUMENT_BYTES_MAX {
        return Ok(document);
    }
    let message = format!(
        "the document would be {bytes} bytes long after the update; at most {DOCUMENT_BYTES_MAX} are allowed"
    );
    Err(Error::new(ErrorCode::BSON_OBJECT_TOO_LARGE, message))
}
