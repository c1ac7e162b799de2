//! Commands about the locks of documents. A lock that is held is known by its fence, `{ key, holder, token }`, whose key is the store's
//! and whose holder is the `lock_id` of the document.
//!
//! Lengths of time are milliseconds (`...MS`), points in time nanoseconds of `CLOCK_BOOTTIME` (`...NS`), numbers longs. What a command
//! is about comes first, and what is not said to be needed may be left out.
//!
//! | command: collection | fields | reply |
//! | --- | --- | --- |
//! | `lockDocument` | `filter`, `sort`, `hint`, `collation`, `let`, `update` (operators or a pipeline), `arrayFilters`, `projection`, `lockId`, `breakLock`, `getLockedDoc`, `sleepMS`, `maxWaitMS` or `waitUntilNS`, `maxTimeMS`, `ttlMS`, `session`, `showToken`, `lockFences` | `lockId`, and `lockedDocument` with `fence`, `rejoined`, `ttlMS` and `validUntilNS`, or `unavailableDocument`, or neither |
//! | `unlockDocument` | `fence` (needed), `update`, `arrayFilters`, `let`, `delete`, `unlessRejoined`, `lockFences` | |
//! | `renewDocumentLock` | `fence` (needed), `ttlMS` | `ttlMS` |
//! | `inspectDocumentLock` | `fence` (needed) | `holds` |
//! | `lockedDocuments` | `batchSize` | a cursor over `{ _id, lockId, lockTime, token, session, expiresAtNS }` |
//! | `breakDocumentLocks` | `filter` (needed), `hint`, `collation`, `let`, `reason` | `broken`: `{ number, key, holder, token, atMS }` for each |
//!
//! `lockDocument` waits only with `sleepMS`; `maxWaitMS` is 600,000 where nothing else is said.

mod break_locks;
pub(crate) mod failure;
mod held;
mod list;
mod lock;
mod unlock;

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
