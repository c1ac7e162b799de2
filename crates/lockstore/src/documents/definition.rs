//! What collections and indexes there are to be.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::task::NewCollection;
use super::{CollectionId, Index, Namespace};

/// A change of the catalogue. Specifications and options are as they are listed: whoever asks has checked them, and has
/// written them in full.
#[derive(Debug)]
pub(crate) enum Definition {
    /// A collection is made, with its index on `_id`. Fails where there is one.
    CreateCollection { namespace: Namespace, new: NewCollection },
    /// A collection goes, with all its indexes and documents. Fails where there is none.
    DropCollection { namespace: Namespace },
    /// A collection gets another name; its documents and indexes stay as they are. One that has the name already goes if it
    /// may, all in one commit. Fails where there is none to rename, or one in the way.
    RenameCollection { from: Namespace, to: Namespace, drop_target: bool },
    /// All collections of a database go.
    DropDatabase { database: Box<str> },
    /// Indexes are made; those that are there already are passed over.
    CreateIndexes {
        namespace: Namespace,
        /// What becomes of the namespace if it is not there; without it the answer is then
        /// [`DocumentAnswer::Again`](super::DocumentAnswer::Again).
        create: Option<NewCollection>,
        specs: Vec<RawDocumentBuf>,
    },
    /// Indexes go. Fails, and drops none, where one of them is not there.
    DropIndexes { namespace: Namespace, names: Vec<Box<str>> },
    /// An index gets another specification: other options for the same key and name. Where it is not as it `was`
    /// any more the answer is [`DocumentAnswer::Again`](super::DocumentAnswer::Again).
    ReviseIndex { collection: CollectionId, was: Arc<Index>, spec: RawDocumentBuf },
}
