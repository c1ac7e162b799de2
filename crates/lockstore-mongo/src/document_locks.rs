//! Locks of documents on a replica set.
//!
//! A document is locked by its own field `lock_id`, whoever sets it: so jobflow-remote's class and this one see each other's locks. Behind a lock of
//! ours stands a *side grant*, an ordinary [lock](crate::locks) under a [key of the document](side_grant), whose holder is the `lock_id`: so token,
//! TTL, session, renewal and fences are those of any lock. It counts only while the document's `lock_id` is its holder. Both change in one
//! transaction.
//!
//! A [look](looking) finds the document by MongoDB's own means and locks it, if it is to be had. What comes before and after a look is
//! [the store's algorithm](lockstore::remote::serving::document_locks::Acquisition). Nothing ends by itself on a replica set: a lock whose grant [has
//! run out](run_out) is freed by whoever looks, and [now and then](freeing) by every process that has locked documents.

mod breaking;
mod freeing;
mod granting;
mod held;
mod in_time;
mod listing;
mod locking;
mod looking;
mod past;
mod releasing;
mod run_out;
mod side_grant;
mod taking;
mod transaction;
mod update;
mod wants;
mod watching;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use lockcore::Instant;
use lockstore::remote::serving::document_locks as serving;
use lockstore::{Clock, DocumentError, ErrorCode, Refusal, StoreError};

use crate::documents::{Documents, has_field, is_part_of_transaction, name_of};
use crate::locks::{GivenUp, Locks};
use freeing::Freeing;
use listing::Listings;
use run_out::Sweeps;
pub(crate) use run_out::free;
use side_grant::Place;
pub(crate) use side_grant::{Locked, is_side_key};
pub(crate) use transaction::first_of;
use watching::Watching;

/// The locks of documents, as this process takes them.
#[derive(Debug)]
pub(crate) struct DocumentLocks {
    locks: Arc<Locks>,
    documents: Arc<Documents>,
    clock: Arc<dyn Clock>,
    watching: Watching,
    listings: Listings,
    sweeps: Sweeps,
    freeing: Freeing,
}

impl DocumentLocks {
    pub(crate) fn new(locks: Arc<Locks>, documents: Arc<Documents>, clock: Arc<dyn Clock>) -> Self {
        let watching = Watching::new(locks.client().clone());
        let (listings, sweeps) = (Listings::default(), Sweeps::default());
        let freeing = Freeing::default();
        Self { locks, documents, clock, watching, listings, sweeps, freeing }
    }

    /// Does nothing any more by itself.
    pub(crate) fn close(&self) {
        self.freeing.end();
    }

    /// How many calls of this process wait for a document.
    pub(crate) fn waiters(&self) -> usize {
        self.watching.len()
    }

    /// Whether a command is answered here. Lists that it leaves are forgotten.
    pub(crate) fn answers(&self, command: &RawDocument) -> bool {
        let name = name_of(command);
        if name == "killCursors" {
            self.listings.left(command);
        }
        !is_part_of_transaction(command)
            && (COMMANDS.contains(&name) || self.listings.continues(name, command))
    }

    /// Runs a command, and gives its reply. Whoever gives up a wait gets one that says nothing. `deadline` is that of the wait: without one
    /// whatever is about one lock is answered within [`patience`](crate::ReplicaSetOptions::patience) all the same, and what is about many
    /// goes on for as long as each of them is.
    ///
    /// # Errors
    ///
    /// There is no reply: [`StoreError::Unreachable`], and nothing was done; [`StoreError::OutcomeUnknown`], and the command was done or
    /// not.
    pub(crate) async fn run(
        self: &Arc<Self>,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
        given_up: &GivenUp,
    ) -> Result<RawDocumentBuf, StoreError> {
        let name = name_of(command);
        if name == "getMore" {
            return self.list_more(database, command, deadline).await;
        }
        if has_field(command, "txnNumber") {
            let message =
                "the store numbers retryable writes itself: leave 'lsid' and 'txnNumber' out";
            let refusal = Refusal::new(ErrorCode::INVALID_OPTIONS, message);
            return Ok(lockstore::remote::serving::failed(&DocumentError::from(refusal)));
        }
        let place = match serving::collection(database, command) {
            Ok(collection) => Place::new(database, collection),
            Err(refused) => return Ok(refused),
        };
        match name {
            "lockDocument" => self.lock(&place, command, deadline, given_up).await,
            "unlockDocument" => self.unlock(&place, command, deadline).await,
            "renewDocumentLock" => self.renew(&place, command, deadline).await,
            "inspectDocumentLock" => self.inspect(&place, command, deadline).await,
            "lockedDocuments" => self.list(&place, command, deadline).await,
            _ => self.break_locks(&place, command, deadline).await,
        }
    }
}

const COMMANDS: [&str; 6] = [
    "lockDocument",
    "unlockDocument",
    "renewDocumentLock",
    "inspectDocumentLock",
    "lockedDocuments",
    "breakDocumentLocks",
];
