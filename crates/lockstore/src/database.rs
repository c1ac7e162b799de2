//! A database: collections under one name.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use crate::backend::Backend;
use crate::collection::Collection;
use crate::commands::{self, Caller, Started, Waits};
use crate::documents::Namespace;
use crate::error::DocumentError;
use crate::operations;
use crate::remote::documents as elsewhere;
use crate::remote::form::store_error;
use crate::store::Store;

/// A database of a store: a name for collections that belong together. It needs no creation, and is there as long as one
/// of its collections is.
///
/// ```
/// use bson::rawdoc;
/// use lockstore::Store;
///
/// let store = Store::in_memory()?;
/// let shop = store.database("shop");
/// let reply = shop.run_command(&rawdoc! { "insert": "orders", "documents": [{ "_id": 1, "item": "tea" }] });
/// assert_eq!(reply.get_i32("n")?, 1);
/// let reply = shop.run_command(&rawdoc! { "find": "orders", "filter": { "item": "tea" } });
/// let cursor = reply.get_document("cursor")?;
/// assert_eq!(cursor.get_array("firstBatch")?.into_iter().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Database {
    store: Store,
    name: Arc<str>,
}

impl Store {
    /// The database called `name`. Whether the name may be one is told by the first call that uses it.
    pub fn database(&self, name: &str) -> Database {
        Database { store: self.clone(), name: name.into() }
    }

    /// The names of the databases that have collections, in their order.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Store`].
    pub fn database_names(&self) -> Result<Vec<String>, DocumentError> {
        match self.backend() {
            Backend::Here(engine) => Ok(operations::databases(engine)?.into_keys().collect()),
            Backend::There(remote) => elsewhere::databases(remote),
        }
    }
}

impl Database {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The collection called `name`, its documents read as values of the type `T`. Whether the name may be one is told by the
    /// first call that uses it.
    ///
    /// ```
    /// use lockstore::bson::{Document, doc};
    /// use lockstore::{Collection, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let jobs = store.database("factory").collection::<Document>("jobs");
    /// jobs.insert_one(doc! { "state": "new" })?;
    /// let same: Collection = store.database("factory").collection("jobs");
    /// assert_eq!(same.estimated_document_count()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collection<T>(&self, name: &str) -> Collection<T> {
        Collection::new(&self.store, &self.name, name)
    }

    /// Makes a collection, durably when it returns. That is seldom needed: the first document that is inserted makes its
    /// collection.
    ///
    /// # Errors
    ///
    /// [`NAMESPACE_EXISTS`](docquery::ErrorCode::NAMESPACE_EXISTS) when it is there already.
    pub fn create_collection(&self, name: &str) -> Result<(), DocumentError> {
        self.collection::<()>(name).place(None)?.create()
    }

    /// The collections, in the order of their names.
    ///
    /// ```
    /// # let store = lockstore::Store::in_memory()?;
    /// let factory = store.database("factory");
    /// factory.create_collection("jobs")?;
    /// factory.create_collection("workers")?;
    /// assert_eq!(factory.list_collections()?[1].name, "workers");
    /// assert_eq!(factory.collection_names()?, ["jobs", "workers"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn list_collections(&self) -> Result<Vec<CollectionInfo>, DocumentError> {
        Namespace::check_database(&self.name)?;
        match self.store.backend() {
            Backend::Here(engine) => {
                let collections = operations::collections(engine, &self.name)?;
                let info = collections.iter().map(|collection| CollectionInfo {
                    name: collection.namespace().collection().to_owned(),
                    uuid: bson::Uuid::from_bytes(collection.uuid()),
                });
                Ok(info.collect())
            }
            Backend::There(remote) => elsewhere::collections(remote, &self.name),
        }
    }

    /// The names of the collections, in their order.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn collection_names(&self) -> Result<Vec<String>, DocumentError> {
        Ok(self.list_collections()?.into_iter().map(|collection| collection.name).collect())
    }

    /// Drops all collections, in one commit, and tells whether there were any. That is durable when it returns; the space is
    /// given back in the background.
    ///
    /// # Errors
    ///
    /// [`DocumentError`]. Nothing has changed then.
    pub fn drop(&self) -> Result<bool, DocumentError> {
        match self.store.backend() {
            Backend::Here(engine) => operations::drop_database(&**engine, &self.name),
            Backend::There(remote) => elsewhere::drop_database(remote, &self.name),
        }
    }

    /// Runs one of MongoDB's commands, and gives the reply: `ok` is 1, or it is 0 and there are `code`, `codeName` and `errmsg`.
    /// What a reply tells is durable.
    ///
    /// A write with `lsid` and `txnNumber` is MongoDB's retryable write: however often it comes, also after a crash, it is done once, and answered
    /// as before for as long as its client session is there. With `autocommit: false` besides, a command is part of a transaction, which
    /// `startTransaction: true` begins and `commitTransaction` or `abortTransaction` ends; it may be open for 60 s.
    ///
    /// ```
    /// use bson::{Binary, rawdoc, spec::BinarySubtype};
    /// use lockstore::Store;
    ///
    /// let shop = Store::in_memory()?.database("shop");
    /// let id = Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
    /// let order = rawdoc! {
    ///     "insert": "orders", "documents": [{ "item": "tea" }], "lsid": { "id": id }, "txnNumber": 1_i64,
    /// };
    /// assert_eq!(shop.run_command(&order).get_i32("n")?, 1);
    /// assert_eq!(shop.run_command(&order).get_i32("n")?, 1); // it was done before
    /// assert_eq!(shop.run_command(&rawdoc! { "count": "orders" }).get_i32("n")?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_command(&self, command: &RawDocument) -> RawDocumentBuf {
        match self.store.backend() {
            Backend::Here(engine) => commands::run(engine, None, &self.name, command),
            Backend::There(remote) => remote
                .run_command(&self.name, command, None)
                .unwrap_or_else(|error| store_error::reply(&error)),
        }
    }

    /// Starts a command. One that waits for a lock or for events does not block the thread: it becomes a future that needs no particular runtime. All
    /// others are run as by [`Database::run_command`], as is what can be granted at once while nobody else is at work in the store, and any command of
    /// a store that lives [elsewhere](crate::remote).
    ///
    /// ```
    /// use lockstore::bson::rawdoc;
    /// use lockstore::{Started, Store};
    ///
    /// let store = Store::in_memory()?;
    /// let admin = store.database("admin");
    /// let acquire = |holder: &str| rawdoc! { "lockAcquire": "gpu-0", "holder": holder, "wait": "forever" };
    /// let first = admin.run_command(&acquire("a"));
    /// assert!(first.get_i64("token")? > 0);
    /// let Started::Pending(second) = admin.start_command(&acquire("b")) else { panic!("it is held") };
    /// drop(second); // no longer waits
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_command(&self, command: &RawDocument) -> Started {
        self.start_command_of(Caller::Owner, Waits::Nothing, command)
    }

    /// As [`Database::start_command`], for who serves others: a command that names a session of another client is refused, and
    /// its thread waits for what it may.
    pub fn start_command_of(&self, caller: Caller, waits: Waits, command: &RawDocument) -> Started {
        match self.store.backend() {
            Backend::Here(engine) => commands::start(engine, caller, waits, &self.name, command),
            Backend::There(_) => Started::Reply(self.run_command(command)),
        }
    }
}

/// A collection, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionInfo {
    /// The name.
    pub name: String,
    /// Tells it from all other collections of its name, before and after.
    pub uuid: bson::Uuid,
}
