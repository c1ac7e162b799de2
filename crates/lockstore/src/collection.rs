//! Collections of documents, with values of your own types: the requests and their results.
//!
//! A [`Collection`] has a method for each request. What has settings is a builder that ends in `run()`; what has none
//! answers at once.

mod aggregate;
mod bounded;
mod bulk_write;
mod cursor;
mod document_lock;
mod find;
mod find_one_and;
mod given;
mod hint;
mod index;
mod index_model;
mod insert;
mod lock_document;
mod locked;
mod place;
mod results;
mod setters;
mod update;
mod write_model;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use docquery::{Error, ErrorCode};

pub use aggregate::{Aggregate, Distinct};
pub use bulk_write::BulkWrite;
pub use cursor::Cursor;
pub use document_lock::DocumentLock;
pub use find::{CountDocuments, Find, FindOne};
pub use find_one_and::{FindOneAndDelete, FindOneAndReplace, FindOneAndUpdate, ReturnDocument};
pub use hint::Hint;
pub use index_model::IndexModel;
pub use insert::InsertMany;
pub use lock_document::{LockDocument, LockDocumentFuture};
pub use locked::{LockedDocument, LockedDocuments};
pub use results::{BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult};
pub use update::{Delete, Replace, Update};
pub use write_model::{DeleteModel, InsertModel, ReplaceModel, UpdateModel, WriteModel};

use crate::backend::Backend;
use crate::documents::{Namespace, Scope};
use crate::error::DocumentError;
use crate::fence::Fence;
use crate::operations;
use crate::remote::documents as elsewhere;
use crate::store::Store;
use crate::transaction::{Shared, Transaction};
use place::Place;

/// A collection of a [`Database`](crate::Database): documents that are read as values of the type `T`, which is any
/// that serde knows.
///
/// It is a name, and cheap to clone: the collection itself comes into being with the first document that is inserted, or the
/// first index. Nothing is found in one that is not there. A handle keeps the store open.
///
/// Filters, updates and documents are whatever serde writes as a BSON document: [`doc!`](bson::doc), a struct of
/// yours, or raw BSON. Their language is MongoDB's, and so are the limits: a document has at most 16 MiB and 180 levels.
///
/// A call that changes something returns when it is durable. Of the requests that are about many documents each
/// document is changed at once or not at all, but not all of them together; readers see each commit whole. Reading never
/// waits for writing.
///
/// ```
/// use lockstore::bson::doc;
/// use lockstore::{Collection, Store};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Job {
///     _id: i32,
///     state: String,
/// }
///
/// let store = Store::in_memory()?;
/// let jobs: Collection<Job> = store.database("factory").collection("jobs");
/// jobs.insert_one(Job { _id: 1, state: "new".into() })?;
/// jobs.update_one(doc! { "_id": 1 }, doc! { "$set": { "state": "done" } }).run()?;
/// assert_eq!(jobs.find_one(doc! { "_id": 1 }).run()?.map(|job| job.state).as_deref(), Some("done"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Collection<T = bson::Document> {
    store: Store,
    /// In which transaction it reads and writes; `None` for each write on its own.
    transaction: Option<Shared>,
    /// What its writes rely on.
    fences: Vec<Fence>,
    /// Both names, with a dot between them.
    full_name: Arc<str>,
    /// How long the name of the database is.
    database: usize,
    /// Names that no collection may have are an error of each request.
    namespace: Result<Namespace, Error>,
    kind: PhantomData<fn() -> T>,
}

impl<T> Collection<T> {
    pub(crate) fn new(store: &Store, database: &str, name: &str) -> Self {
        Self {
            store: store.clone(),
            transaction: None,
            fences: Vec::new(),
            full_name: format!("{database}.{name}").into(),
            database: database.len(),
            namespace: Namespace::new(database, name),
            kind: PhantomData,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.full_name[self.database + 1..]
    }

    /// The name with that of the database in front: `factory.jobs`.
    pub fn namespace(&self) -> &str {
        &self.full_name
    }

    /// The same collection, its documents read as another type.
    pub fn with_type<U>(&self) -> Collection<U> {
        Collection {
            store: self.store.clone(),
            transaction: self.transaction.clone(),
            fences: self.fences.clone(),
            full_name: Arc::clone(&self.full_name),
            database: self.database,
            namespace: self.namespace.clone(),
            kind: PhantomData,
        }
    }

    /// The same collection, as `transaction` sees it: what is read and written through this handle is read and written in the
    /// transaction, with the same calls and the same errors, and after its end every call is an error. Changes of the collection
    /// itself and of its indexes are refused, as
    /// [`OPERATION_NOT_SUPPORTED_IN_TRANSACTION`](docquery::ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION).
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{DocumentError, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// store.transaction(|tx| {
    ///     let inside = jobs.in_transaction(tx);
    ///     inside.insert_one(doc! { "_id": 1 })?;
    ///     assert!(inside.find_one(doc! { "_id": 1 }).run()?.is_some());
    ///     assert!(jobs.find_one(doc! { "_id": 1 }).run()?.is_none(), "nobody else sees it yet");
    ///     Ok::<_, DocumentError>(())
    /// })?;
    /// assert!(jobs.find_one(doc! { "_id": 1 }).run()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn in_transaction(&self, transaction: &Transaction) -> Self {
        let (store, shared) = (transaction.store().clone(), transaction.shared().clone());
        Self { store, transaction: Some(shared), ..self.clone() }
    }

    /// The same collection, whose writes rely on a grant: each is done only if it is still there, which is looked at in the commit
    /// that does it. Of a request that is about many documents, each commit looks. To rely on several grants, call it again.
    ///
    /// With a fence, a write is refused as [`LockLost`](DocumentError::LockLost) when the grant is over, and nothing has changed:
    /// see [`Fence`].
    #[must_use]
    pub fn fenced_by(&self, fence: Fence) -> Self {
        let mut fenced = self.clone();
        fenced.fences.push(fence);
        fenced
    }

    /// Drops the collection with its documents and indexes, and tells whether it was there. That is durable when
    /// it returns; the space is given back in the background.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then.
    pub fn drop(&self) -> Result<bool, DocumentError> {
        match self.place(None)?.drop_collection() {
            Ok(()) => Ok(true),
            Err(error) if error.code() == ErrorCode::NAMESPACE_NOT_FOUND => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Refuses what has a commit of its own.
    fn refuse_in_transaction(&self, what: &str) -> Result<(), DocumentError> {
        if self.transaction.is_none() {
            return Ok(());
        }
        let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
        Err(Error::new(code, format!("{what} in a transaction, but in a commit of its own")).into())
    }

    pub(crate) fn place(&self, max_time: Option<Duration>) -> Result<Place<'_>, DocumentError> {
        let namespace = self.namespace.clone()?;
        let transaction = self.transaction.as_ref();
        Ok(match self.store.backend() {
            Backend::Here(engine) => {
                let transaction = transaction.and_then(Shared::here);
                let scope = Scope::new(engine, transaction, self.fences.clone());
                Place::Here(operations::Place::new(scope, namespace, max_time))
            }
            Backend::There(remote) => {
                let transaction = transaction.and_then(Shared::there);
                let fences = &self.fences;
                Place::There(elsewhere::Place::new(
                    remote,
                    transaction,
                    fences,
                    namespace,
                    max_time,
                ))
            }
        })
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        self.with_type()
    }
}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collection").field(&self.full_name).finish()
    }
}
