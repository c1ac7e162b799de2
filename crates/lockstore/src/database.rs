//! A database: collections under one name.

use bson::{RawDocument, RawDocumentBuf};

use crate::collection::Collection;
use crate::commands;
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
    name: Box<str>,
}

impl Store {
    /// The database called `name`. Whether the name may be one is told by the first call that uses it.
    pub fn database(&self, name: &str) -> Database {
        Database { store: self.clone(), name: name.into() }
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

    /// Runs one of MongoDB's commands, and gives the reply: `ok` is 1, or it is 0 and there are `code`, `codeName` and `errmsg`.
    /// What a reply tells is durable.
    pub fn run_command(&self, command: &RawDocument) -> RawDocumentBuf {
        commands::run(self.store.engine(), &self.name, command)
    }
}
