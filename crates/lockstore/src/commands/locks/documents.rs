//! Commands about the locks of documents: [`remote`](crate::remote#commands-about-locks-of-documents) says what is in them.

pub(crate) mod break_locks;
pub(crate) mod failure;
pub(crate) mod held;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod unlock;

use bson::RawDocumentBuf;

use crate::commands::concern::Takes;
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::commands::{Known, known, special};

/// The commands.
pub(in crate::commands) const COMMANDS: [Known; 6] = [
    special("lockDocument", Takes::WriteConcern, lock::start),
    special("unlockDocument", Takes::WriteConcern, unlock::start),
    special("renewDocumentLock", Takes::WriteConcern, held::renew),
    known("inspectDocumentLock", Takes::ReadConcern, held::inspect),
    known("lockedDocuments", Takes::ReadConcern, list::run),
    special("breakDocumentLocks", Takes::WriteConcern, break_locks::start),
];

/// The reply of a command that has errors of its own, which `failure` writes.
fn answer<E>(done: Result<Reply, E>, failure: fn(&E) -> RawDocumentBuf) -> Started {
    Started::Reply(done.map_or_else(|error| failure(&error), Reply::finish))
}
