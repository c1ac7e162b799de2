//! In what two stores differ.

use std::fmt;

use bson::Bson;
use lockstore::Key;

use super::endpoint::Namespace;

/// In what the target is not as the source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Difference {
    /// A collection is only in one of them, or has other options.
    Collection {
        /// Which.
        namespace: Namespace,
        /// How it differs.
        how: How,
    },
    /// A document.
    Document {
        /// Its collection.
        namespace: Namespace,
        /// Its `_id`.
        id: Bson,
        /// How it differs.
        how: How,
    },
    /// So many documents of a collection differ that no more are looked for.
    TooMany {
        /// The collection.
        namespace: Namespace,
    },
    /// An index.
    Index {
        /// Its collection.
        namespace: Namespace,
        /// Its name.
        name: String,
        /// How it differs.
        how: How,
    },
    /// A lock that is held.
    Lock {
        /// Its key.
        key: Key,
        /// Who holds it in the source, or in the target if it is not held by that there.
        holder: String,
        /// How it differs.
        how: How,
    },
    /// The lock of a document.
    DocumentLock {
        /// The collection.
        namespace: Namespace,
        /// The document's `_id`.
        id: Bson,
        /// How it differs.
        how: How,
    },
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is not in the target.
    Missing,
    /// It is not in the source, though it was copied.
    Extra,
    /// It is otherwise.
    Changed,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collection { namespace, how } => write!(f, "{namespace} {how}"),
            Self::Document { namespace, id, how } => {
                write!(f, "{namespace}: the document with the _id {id} {how}")
            }
            Self::TooMany { namespace } => write!(f, "{namespace}: many more documents"),
            Self::Index { namespace, name, how } => {
                write!(f, "{namespace}: the index {name:?} {how}")
            }
            Self::Lock { key, holder, how } => {
                write!(f, "the lock of {key:?} that {holder:?} holds {how}")
            }
            Self::DocumentLock { namespace, id, how } => {
                write!(f, "{namespace}: the lock of the document with the _id {id} {how}")
            }
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Extra => "is not in the source",
            Self::Changed => "is another",
        })
    }
}
