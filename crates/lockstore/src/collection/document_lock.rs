//! A document that is locked, or was looked for.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bson::RawDocumentBuf;
use lockcore::{Holder, Token, Ttl};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Collection;
use super::given::{Held, read, refused};
use crate::backend::Backend;
use crate::document_locks::{Found, HeldDocument, HeldLocks, LockUpdate, Release, StoredLocks};
use crate::error::{ArgumentError, DocumentError, LockDocumentError, ReleaseDocumentError};
use crate::fence::Fence;
use crate::keep_alive::KeptLease;

/// What locking a document has come to, made by [`LockDocument::acquire`](super::LockDocument::acquire): a document that
/// this program has locked, one that another has locked, or none.
///
/// Dropping it releases the document, with the update or the deletion on release if one was set. It waits for the disk then,
/// and otherwise where the lock has no TTL; a lock with a TTL is released in the background, for it would end in any case. A
/// thread that panics releases its documents, and leaves updates and deletions on release out, with a line in the log.
///
/// As any lock, that of a document may be lost while its holder is paused: its TTL may pass, or somebody may break it. A
/// release tells so, and then nothing of it was done.
#[must_use = "dropping it releases the document"]
pub struct DocumentLock<T = bson::Document> {
    collection: Collection<T>,
    lock_id: Holder,
    /// What is held, unless nothing is or it was given back.
    held: Option<HeldLock>,
    locked: Option<T>,
    unavailable: Option<T>,
    on_release: Release,
}

/// What a lock is held by.
#[derive(Debug)]
struct HeldLock {
    ttl: Option<Ttl>,
    lease: Arc<KeptLease>,
}

impl<T> DocumentLock<T> {
    pub(super) fn found(
        collection: Collection<T>,
        lock_id: Holder,
        found: Found<HeldDocument>,
    ) -> Result<Self, LockDocumentError>
    where
        T: DeserializeOwned + 'static,
    {
        let mut lock = Self {
            collection,
            lock_id,
            held: None,
            locked: None,
            unavailable: None,
            on_release: Release::Unlock,
        };
        match found {
            Found::Nothing => {}
            Found::Unavailable(document) => lock.unavailable = Some(read(document)?),
            Found::Locked(found) => {
                let document = lock.hold(found);
                // A document that cannot be read is released again when the lock is dropped.
                lock.locked = Some(read(document)?);
            }
        }
        Ok(lock)
    }

    /// Whether the document is locked by this, as of the last commit. It is no more once the lock was broken, has
    /// expired, ended with its session, or was taken away by an update or a deletion of the document.
    pub fn holds(&self) -> bool {
        let Some(HeldLock { lease, .. }) = &self.held else { return false };
        let now = self.backend().now();
        !lease.is_over(now) && self.locks().holds(&fence(lease)).unwrap_or(false)
    }

    /// The document as it was when it was locked and updated; `None` when it was not locked.
    pub fn locked_document(&self) -> Option<&T> {
        self.locked.as_ref()
    }

    /// The document that was wanted and is locked by another; `None` when there is none, or it was passed over.
    pub fn unavailable_document(&self) -> Option<&T> {
        self.unavailable.as_ref()
    }

    /// What stands in `lock_id` of the document while it is locked by this.
    pub fn lock_id(&self) -> &str {
        &self.lock_id
    }

    /// The fencing token: higher than that of every earlier grant of the store. `None` when nothing was locked.
    pub fn token(&self) -> Option<Token> {
        self.held.as_ref().map(|held| held.lease.token)
    }

    /// How long it is surely held from now; `None` when it has no end, or nothing was locked.
    pub fn remaining(&self) -> Option<Duration> {
        let now = self.backend().now();
        let until = self.held.as_ref()?.lease.valid_until()?;
        Some(until.saturating_since(now))
    }

    /// Updates the document when it is released, in the same commit: with a document of operators, or an array of the stages
    /// of a pipeline. `{}` and `[]` take back what was set before.
    ///
    /// # Errors
    ///
    /// What is no update, or touches the fields of the lock, or is set beside a deletion. What was set before stays.
    pub fn set_update_on_release(&mut self, update: impl Serialize) -> Result<(), DocumentError> {
        let held = Held::new(&update)?;
        let (update, array_filters) = (held.get().into(), Vec::new());
        let update = LockUpdate { update, array_filters, variables: None };
        match (&self.on_release, update.is_empty()) {
            (Release::Delete, false) => return Err(refused(ONE_OF_BOTH)),
            (Release::Delete, true) => {}
            (_, true) => self.on_release = Release::Unlock,
            (_, false) => {
                let now = self.backend().clock().wall();
                update.check(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))?;
                self.on_release = Release::Update(update);
            }
        }
        Ok(())
    }

    /// Deletes the document when it is released, in the place of unlocking it.
    ///
    /// # Errors
    ///
    /// An update is set.
    pub fn set_delete_on_release(&mut self) -> Result<(), DocumentError> {
        if matches!(self.on_release, Release::Update(_)) {
            return Err(refused(ONE_OF_BOTH));
        }
        self.on_release = Release::Delete;
        Ok(())
    }

    /// Begins the lease anew, for its own TTL. Does nothing for a lock that has no end, or where nothing was locked.
    ///
    /// # Errors
    ///
    /// [`ReleaseDocumentError::LockLost`] when the lock is over: a renewal revives nothing.
    pub fn renew(&self) -> Result<(), ReleaseDocumentError> {
        match &self.held {
            Some(held) => self.renew_with(held, held.ttl),
            None => Ok(()),
        }
    }

    /// Begins the lease anew, for `ttl` from now on.
    ///
    /// # Errors
    ///
    /// As [`DocumentLock::renew`].
    pub fn renew_for(&mut self, ttl: Duration) -> Result<(), ReleaseDocumentError> {
        let ttl = Ttl::new(ttl).map_err(ArgumentError::from)?;
        self.backend().check_usable()?;
        let Some(held) = &self.held else { return Ok(()) };
        self.backend().set_ttl(&held.lease, ttl);
        self.renew_with(held, Some(ttl))?;
        if held.lease.is_kept() {
            self.backend().keep(&held.lease, ttl);
        }
        if let Some(held) = &mut self.held {
            held.ttl = Some(ttl);
        }
        Ok(())
    }

    /// Has the lease renewed each time a third of its TTL has passed, until this is released or the program ends. Whether
    /// that has gone well, [`holds`](Self::holds) tells. Does nothing for a lock that has no end.
    pub fn keep_alive(&self) {
        if let Some(HeldLock { ttl: Some(ttl), lease }) = &self.held
            && self.backend().check_usable().is_ok()
        {
            self.backend().keep(lease, *ttl);
        }
    }

    /// Releases the document, with the update or deletion on release if one was set. When this returns, that is durable.
    /// Does nothing where nothing was locked.
    ///
    /// # Errors
    ///
    /// [`ReleaseDocumentError::LockLost`] when the lock is over already: nothing was done then.
    /// [`ReleaseDocumentError::NotUpdated`] when the document is released and the update failed.
    pub fn release(mut self) -> Result<(), ReleaseDocumentError> {
        let release = std::mem::take(&mut self.on_release);
        self.give_back(release)
    }

    /// Releases the document after something has failed: without the update or the deletion.
    pub(super) fn abandon(mut self) {
        self.skip_on_release("its work has failed");
    }

    /// What a write carries that relies on this lock: see [`Collection::fenced_by`] and
    /// [`Transaction::require`](crate::Transaction::require). `None` when no document is locked.
    ///
    /// ```
    /// # use lockstore::bson::{Document, doc};
    /// # use lockstore::{DocumentError, Store};
    /// # let store = Store::in_memory()?;
    /// # let jobs = store.database("factory").collection::<Document>("jobs");
    /// # let results = store.database("factory").collection::<Document>("results");
    /// jobs.insert_one(doc! { "_id": 1, "state": "ready" })?;
    /// let lock = jobs.lock_document(doc! { "state": "ready" }).acquire()?;
    /// let mine = results.fenced_by(lock.fence().expect("there is one"));
    /// jobs.unlock(doc! { "_id": 1 }, "the worker seems to hang")?;
    /// let late = mine.insert_one(doc! { "job": 1 });
    /// assert!(matches!(late, Err(DocumentError::LockLost(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fence(&self) -> Option<Fence> {
        Some(fence(&self.held.as_ref()?.lease))
    }

    fn backend(&self) -> &Backend {
        self.collection.store.backend()
    }

    /// Where the lock is held.
    fn locks(&self) -> Box<dyn HeldLocks + '_> {
        let fences = &self.collection.fences;
        match self.backend() {
            Backend::Here(engine) => Box::new(StoredLocks::new(engine).fenced_by(fences)),
            Backend::There(remote) => Box::new(self.collection.elsewhere(remote)),
        }
    }

    /// Holds what was locked. Gives the document.
    fn hold(&mut self, found: HeldDocument) -> RawDocumentBuf {
        let HeldDocument { document, fence, ttl, valid_until, .. } = found;
        let lease = self.backend().lease(fence.key, fence.holder, fence.token, None);
        lease.set_valid_until(valid_until);
        self.held = Some(HeldLock { ttl, lease });
        document
    }

    fn renew_with(&self, held: &HeldLock, ttl: Option<Ttl>) -> Result<(), ReleaseDocumentError> {
        let asked_at = self.backend().now();
        match self.locks().renew(&fence(&held.lease), ttl) {
            Ok(ttl) => {
                let valid_until = ttl.map(|ttl| asked_at.saturating_add(ttl.as_duration()));
                held.lease.set_valid_until(valid_until);
                Ok(())
            }
            Err(error) => {
                if matches!(error, ReleaseDocumentError::LockLost { .. }) {
                    held.lease.set_lost();
                }
                Err(error)
            }
        }
    }

    fn give_back(&mut self, release: Release) -> Result<(), ReleaseDocumentError> {
        match self.let_go() {
            Some(fence) => self.locks().give_back(&fence, release),
            None => Ok(()),
        }
    }

    /// Ends renewals, and gives the grant that is to be released, if something is held.
    fn let_go(&mut self) -> Option<Fence> {
        let HeldLock { lease, .. } = self.held.take()?;
        self.backend().let_go(&lease);
        Some(fence(&lease))
    }

    fn skip_on_release(&mut self, why: &str) {
        let skipped = match std::mem::take(&mut self.on_release) {
            Release::Update(_) => "updated",
            Release::Delete => "deleted",
            Release::Unlock | Release::HandOn => return,
        };
        if self.held.is_some() {
            let (collection, lock_id) = (self.collection.namespace(), &self.lock_id);
            tracing::warn!(collection, %lock_id, why, "a document is released and not {skipped}");
        }
    }
}

impl<T> Drop for DocumentLock<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.skip_on_release("its thread panics");
        }
        let Some(held) = &self.held else { return };
        let has_end = held.ttl.is_some();
        let release = std::mem::take(&mut self.on_release);
        if has_end && matches!(release, Release::Unlock) {
            if let Some(fence) = self.let_go() {
                self.locks().give_back_later(&fence, release);
            }
        } else if let Err(error) = self.give_back(release) {
            let (collection, lock_id) = (self.collection.namespace(), &self.lock_id);
            tracing::warn!(collection, %lock_id, %error, "a dropped lock did not release its document");
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for DocumentLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentLock")
            .field("collection", &self.collection)
            .field("lock_id", &self.lock_id)
            .field("token", &self.token())
            .field("locked_document", &self.locked)
            .field("unavailable_document", &self.unavailable)
            .finish_non_exhaustive()
    }
}

/// The grant that a lease is of.
fn fence(lease: &KeptLease) -> Fence {
    Fence { key: lease.key.clone(), holder: lease.holder.clone(), token: lease.token }
}

/// Why an update and a deletion on release are not set together.
const ONE_OF_BOTH: &str = "a document is either updated or deleted when it is released, not both";
