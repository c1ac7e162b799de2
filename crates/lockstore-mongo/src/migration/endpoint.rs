//! The two stores of a migration, and what they have.

use std::fmt;
use std::str::FromStr;

use bson::{Document, RawDocumentBuf};
use lockstore::remote::serving::document_locks::error_of;
use lockstore::{Collection, DocumentError, Store};

use super::error::MigrationError;
use crate::locks::{AUDIT, COUNTERS, LOCKS, SESSIONS};

/// A store that is migrated from or to.
///
/// ```
/// use lockstore::Store;
/// use lockstore_mongo::migration::Endpoint;
///
/// let file = Endpoint::file(Store::in_memory()?, "jobs.redb");
/// assert_eq!(file.to_string(), "jobs.redb");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    store: Store,
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File,
    /// Its locks are in this database.
    ReplicaSet(String),
}

/// A collection, with its database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// The database.
    pub database: String,
    /// The collection.
    pub collection: String,
}

impl Endpoint {
    /// A store that is a file, wherever it is open. It is called `name` in errors and in reports.
    pub fn file(store: Store, name: impl Into<String>) -> Self {
        Self { store, name: name.into(), kind: Kind::File }
    }

    /// A replica set whose locks are in the database `own`: [`ReplicaSetOptions::database`](crate::ReplicaSetOptions::database), by default
    /// [`DATABASE`](crate::ReplicaSetOptions::DATABASE). The `name` has no secrets in it.
    pub fn replica_set(store: Store, name: impl Into<String>, own: impl Into<String>) -> Self {
        Self { store, name: name.into(), kind: Kind::ReplicaSet(own.into()) }
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File)
    }

    /// The database in which the journals of migrations are.
    pub(super) fn own_database(&self) -> &str {
        match &self.kind {
            Kind::File => OWN_DATABASE,
            Kind::ReplicaSet(own) => own,
        }
    }

    /// Whether a collection is the store's own, and no document of a user's can be there.
    pub(super) fn has_for_itself(&self, namespace: &Namespace) -> bool {
        let Namespace { database, collection } = namespace;
        let is_own = database == self.own_database();
        match &self.kind {
            Kind::File => is_own && collection == JOURNALS,
            Kind::ReplicaSet(_) => {
                MONGODBS_OWN.contains(&database.as_str())
                    || collection.starts_with("system.")
                    || (is_own && OWN_COLLECTIONS.contains(&collection.as_str()))
            }
        }
    }

    /// The documents of a collection, as they are.
    pub(super) fn documents(&self, namespace: &Namespace) -> Collection<RawDocumentBuf> {
        self.store.database(&namespace.database).collection(&namespace.collection)
    }

    /// Runs a command, and gives its reply if it succeeded.
    pub(super) fn run(
        &self,
        database: &str,
        command: &RawDocumentBuf,
    ) -> Result<RawDocumentBuf, DocumentError> {
        let reply = self.store.database(database).run_command(command);
        let is_ok = match reply.get("ok") {
            Ok(Some(ok)) => ok.as_f64() == Some(1.0) || ok.as_i32() == Some(1),
            _ => false,
        };
        if is_ok { Ok(reply) } else { Err(error_of(&reply)) }
    }

    /// What a command lists.
    pub(super) fn list(
        &self,
        database: &str,
        command: &RawDocumentBuf,
    ) -> Result<Vec<Document>, MigrationError> {
        let reply = self.run(database, command).map_err(|error| self.failed(error))?;
        let listed = Listed::of(&reply).ok_or_else(|| self.senseless("a list"))?;
        // Its bound is above what there can be.
        if listed.more { Err(self.senseless("a list that does not end")) } else { Ok(listed.batch) }
    }

    /// An error of this store.
    pub(super) fn failed(&self, error: impl Into<DocumentError>) -> MigrationError {
        MigrationError::Store { store: self.name.clone(), error: Box::new(error.into()) }
    }

    pub(super) fn senseless(&self, what: &str) -> MigrationError {
        let what = format!("{what} makes no sense");
        self.failed(lockstore::StoreError::Elsewhere { what: what.into() })
    }
}

/// The first batch of a cursor.
struct Listed {
    batch: Vec<Document>,
    more: bool,
}

impl Listed {
    fn of(reply: &RawDocumentBuf) -> Option<Self> {
        let cursor = reply.get_document("cursor").ok()?;
        let batch = cursor
            .get_array("firstBatch")
            .ok()?
            .into_iter()
            .map(|item| Document::try_from(item.ok()?.as_document()?).ok());
        Some(Self { batch: batch.collect::<Option<_>>()?, more: cursor.get_i64("id").ok()? != 0 })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Namespace {
    /// A collection in a database.
    pub fn new(database: impl Into<String>, collection: impl Into<String>) -> Self {
        Self { database: database.into(), collection: collection.into() }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

impl FromStr for Namespace {
    type Err = String;

    /// `database.collection`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('.')
            .filter(|(database, name)| !database.is_empty() && !name.is_empty());
        let (database, collection) = parts.ok_or_else(|| {
            format!("{text:?} names no collection: database.collection was expected")
        })?;
        Ok(Self::new(database, collection))
    }
}

/// The collection of the journals.
pub(super) const JOURNALS: &str = "migrations";
/// A file's database of journals.
const OWN_DATABASE: &str = "lockstore";
/// Those that a replica set has in its own database.
const OWN_COLLECTIONS: [&str; 5] = [LOCKS, SESSIONS, AUDIT, COUNTERS, JOURNALS];
/// Databases in which MongoDB keeps what is its own.
const MONGODBS_OWN: [&str; 3] = ["admin", "config", "local"];
