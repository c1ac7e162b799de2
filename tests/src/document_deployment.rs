//! Document locks of a store in this process, and of one that lives elsewhere: scenarios are written once and run on both.

use std::ops::Deref;

use lockstore::bson::Document;
use lockstore::collection::{LockDocument, LockedDocuments};
use lockstore::{
    BreakRecord, Collection, DocumentError, DocumentLock, LockDocumentError, ReleaseDocumentError,
    Store,
};
use lockstore::{Fence, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::shared_end::SharedEnd;

/// Where the store is for whoever locks documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// In this process.
    Here,
    /// Elsewhere: everything that is asked for is written as a command, and the reply read.
    There,
}

/// A collection whose documents are locked in the way of a deployment. It is prepared and looked at as any.
#[derive(Clone, Debug)]
pub struct Lockable<T = Document> {
    at_hand: Collection<T>,
    asked: Collection<T>,
}

impl Deployment {
    /// The collection that most scenarios are about.
    pub fn jobs(self, store: &Store) -> Lockable {
        self.collection(store, "factory", "jobs")
    }

    /// A collection of `store`.
    pub fn collection(self, store: &Store, database: &str, name: &str) -> Lockable {
        let at_hand = store.database(database).collection(name);
        let asked = match self {
            Self::Here => at_hand.clone(),
            Self::There => SharedEnd::of(store).database(database).collection(name),
        };
        Lockable { at_hand, asked }
    }
}

impl<T> Lockable<T> {
    /// As [`Collection::lock_document`].
    pub fn lock_document(&self, filter: impl Serialize) -> LockDocument<'_, T> {
        self.asked.lock_document(filter)
    }

    /// As [`Collection::with_document_lock`].
    ///
    /// # Errors
    ///
    /// Those.
    pub fn with_document_lock<R, E>(
        &self,
        filter: impl Serialize,
        f: impl FnOnce(&mut DocumentLock<T>) -> Result<R, E>,
    ) -> Result<R, E>
    where
        T: DeserializeOwned + 'static,
        E: From<LockDocumentError> + From<ReleaseDocumentError>,
    {
        self.asked.with_document_lock(filter, f)
    }

    /// As [`Collection::locked_documents`].
    ///
    /// # Errors
    ///
    /// Those.
    pub fn locked_documents(&self) -> Result<LockedDocuments, DocumentError> {
        self.asked.locked_documents()
    }

    /// As [`Collection::unlock`].
    ///
    /// # Errors
    ///
    /// Those.
    pub fn unlock(
        &self,
        filter: impl Serialize,
        reason: &str,
    ) -> Result<Vec<BreakRecord>, LockDocumentError> {
        self.asked.unlock(filter, reason)
    }

    /// As [`Collection::with_type`].
    pub fn with_type<U>(&self) -> Lockable<U> {
        Lockable { at_hand: self.at_hand.with_type(), asked: self.asked.with_type() }
    }

    /// As [`Collection::in_transaction`].
    #[must_use]
    pub fn in_transaction(&self, transaction: &Transaction) -> Self {
        Self {
            at_hand: self.at_hand.in_transaction(transaction),
            asked: self.asked.in_transaction(transaction),
        }
    }

    /// As [`Collection::fenced_by`].
    #[must_use]
    pub fn fenced_by(&self, fence: Fence) -> Self {
        Self { at_hand: self.at_hand.fenced_by(fence.clone()), asked: self.asked.fenced_by(fence) }
    }
}

impl<T> Deref for Lockable<T> {
    type Target = Collection<T>;

    fn deref(&self) -> &Collection<T> {
        &self.at_hand
    }
}
