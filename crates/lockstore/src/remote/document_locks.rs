//! The locks of documents of a store that lives elsewhere: each thing that is asked is a command, and the other end does it.
//!
//! What the commands and their replies have in them, [`remote`](crate::remote#commands-about-locks-of-documents) says.

mod asked;
mod locking;
mod replied;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use lockcore::{Instant, Ttl};

use crate::document_locks::{Found, HeldDocument, HeldLocks, LockDocumentRequest, Release};
use crate::error::{LockDocumentError, ReleaseDocumentError, StoreError};
use crate::fence::Fence;
use crate::remote::Remote;
pub(crate) use locking::RemoteLocking;
pub(crate) use replied::Replied;

/// A collection of a store that lives elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemoteCollection<'c> {
    remote: &'c Arc<dyn Remote>,
    database: &'c str,
    name: &'c str,
    /// What updates and deletions on release rely on.
    fences: &'c [Fence],
}

impl<'c> RemoteCollection<'c> {
    pub(crate) fn new(
        remote: &'c Arc<dyn Remote>,
        database: &'c str,
        name: &'c str,
        fences: &'c [Fence],
    ) -> Self {
        Self { remote, database, name, fences }
    }

    /// Locks a document, and blocks the thread while it waits.
    pub(crate) fn lock(
        &self,
        request: &LockDocumentRequest,
    ) -> Result<Found<HeldDocument>, LockDocumentError> {
        // Most need not wait, and get their answer without another thread.
        let command = asked::lock(self.name, request, None);
        let deadline = request.patience.map(|patience| patience.deadline);
        let reply = self.run(&command, deadline)?;
        let found = Replied::found(&reply)?;
        let may_wait = deadline.is_some_and(|deadline| self.remote.clock().now() < deadline);
        match found {
            Found::Unavailable(_) if may_wait => self.locking(request).wait(),
            found => Ok(found),
        }
    }

    /// Locks a document, without blocking a thread. Nothing is asked before it is first polled.
    pub(crate) fn locking(&self, request: &LockDocumentRequest) -> RemoteLocking {
        let command = asked::lock(self.name, request, request.patience);
        let deadline = request.patience.map(|patience| patience.deadline);
        RemoteLocking::new(self.remote, self.database, self.name, command, deadline)
    }

    fn run(
        &self,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.remote.run_command(self.database, command, deadline)
    }
}

impl HeldLocks for RemoteCollection<'_> {
    fn holds(&self, lock: &Fence) -> Result<bool, StoreError> {
        let reply = self.run(&asked::inspect(self.name, lock), None)?;
        Replied::holds(&reply)
    }

    fn renew(&self, lock: &Fence, ttl: Option<Ttl>) -> Result<Option<Ttl>, ReleaseDocumentError> {
        let reply = self.run(&asked::renew(self.name, lock, ttl), None)?;
        Replied::renewed(&reply)
    }

    fn give_back(&self, lock: &Fence, release: Release) -> Result<(), ReleaseDocumentError> {
        let command = asked::unlock(self.name, lock, &release, self.fences);
        Replied::released(&self.run(&command, None)?)
    }

    fn give_back_later(&self, lock: &Fence, release: Release) {
        let command = asked::unlock(self.name, lock, &release, self.fences);
        let lock = lock.clone();
        let told = move |reply: Result<RawDocumentBuf, StoreError>| {
            let released = reply.map_err(ReleaseDocumentError::from);
            if let Err(error) = released.and_then(|reply| Replied::released(&reply)) {
                tracing::warn!(lock_id = %lock.holder, %error, "a document was not released");
            }
        };
        self.remote.start_command(self.database, command, None, Box::new(told)).detach();
    }
}
