//! The error for a key that two documents would have.

use bson::{RawDocument, RawDocumentBuf};

use super::{Collection, Index};
use crate::error::DuplicateKey;

/// `document` would have `key` in `index`, which another has.
pub(crate) fn error(
    collection: &Collection,
    index: &Index,
    document: &RawDocument,
    _key: &[u8],
) -> DuplicateKey {
    let value = RawDocumentBuf::new();
    let _ = document;
    DuplicateKey::new(collection.namespace().as_str(), index.name(), index.key(), value)
}
