//! What is to be migrated.

use bson::{Document, RawDocumentBuf, rawdoc};
use lockstore::{DocumentError, ErrorCode};

use super::endpoint::{Endpoint, Namespace};
use super::error::{Bound, MigrationError};
use super::journal::Journal;
use super::selection::Selection;
use super::{document_locks, indexes, locks};

/// What there is in the source to be migrated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The collections, in the order of their names.
    pub collections: Vec<PlannedCollection>,
    /// How many holders of locks there are, but for those whose locks end with sessions.
    pub locks: u64,
    /// Locks that end with sessions of processes: they cannot be migrated.
    pub bound: Vec<Bound>,
    /// How many calls wait for locks.
    pub waiters: usize,
    /// How many records of breaks there are, which are not copied.
    pub breaks: u64,
}

/// A collection that is to be migrated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedCollection {
    /// Its name.
    pub namespace: Namespace,
    /// About how many documents it has. A view has none.
    pub documents: u64,
    /// Its indexes but the one on `_id`, as `listIndexes` tells of them.
    pub indexes: Vec<Document>,
    pub(super) options: Document,
}

impl PlannedCollection {
    /// Whether it is a view: what it shows is in other collections.
    pub fn is_view(&self) -> bool {
        self.options.contains_key("viewOn")
    }
}

impl Plan {
    /// How many documents there are in all, about.
    pub fn documents(&self) -> u64 {
        self.collections.iter().map(|collection| collection.documents).sum()
    }

    /// Looks at a source.
    pub(super) fn of(source: &Endpoint, selection: &Selection) -> Result<Self, MigrationError> {
        let collections = collections(source, selection.named())?;
        let (held, mut bound) =
            if selection.has_locks() { locks::held(source)? } else { (Vec::new(), Vec::new()) };
        for collection in &collections {
            bound.extend(document_locks::bound(source, collection)?);
        }
        let stats = source.store().stats().map_err(|error| source.failed(error))?;
        Ok(Self {
            collections,
            locks: held.len() as u64,
            bound,
            waiters: stats.waiters,
            breaks: stats.audit_records,
        })
    }

    /// The same without what was migrated by a run that was finished.
    pub(super) fn without_finished(self, journal: &Journal<'_>) -> Result<Self, MigrationError> {
        let mut collections = Vec::with_capacity(self.collections.len());
        for collection in self.collections {
            if !journal.is_finished(&collection.namespace)? {
                collections.push(collection);
            }
        }
        let is_planned = |bound: &Bound| match bound {
            Bound::Document { namespace, .. } => {
                collections.iter().any(|it| it.namespace == *namespace)
            }
            Bound::Lock { .. } => true,
        };
        let bound = self.bound.into_iter().filter(is_planned).collect();
        Ok(Self { collections, bound, ..self })
    }

    /// Whether the target can have all that.
    pub(super) fn check(&self, target: &Endpoint) -> Result<(), MigrationError> {
        self.collections.iter().try_for_each(|collection| {
            let namespace = collection.namespace.clone();
            let to = target.to_string();
            if target.has_for_itself(&namespace) {
                return Err(MigrationError::Reserved { to, namespace });
            }
            let names: Vec<&str> = collection.options.keys().map(String::as_str).collect();
            let unsupported: Vec<&str> = if target.is_file() {
                names
            } else {
                names.into_iter().filter(|name| NEVER_COPIED.contains(name)).collect()
            };
            if unsupported.is_empty() {
                return Ok(());
            }
            let what = format!("it has the options {}", unsupported.join(", "));
            Err(MigrationError::Unsupported { to, namespace, what })
        })
    }
}

/// The collections that are the user's.
fn collections(
    source: &Endpoint,
    databases: Option<&[String]>,
) -> Result<Vec<PlannedCollection>, MigrationError> {
    let there = source.store().database_names().map_err(|error| source.failed(error))?;
    let wanted = match databases {
        Some(named) => {
            if let Some(missing) = named.iter().find(|name| !there.contains(name)) {
                let (from, database) = (source.to_string(), missing.clone());
                return Err(MigrationError::NoSuchDatabase { from, database });
            }
            let mut named = named.to_vec();
            named.sort();
            named.dedup();
            named
        }
        None => there,
    };
    let mut found = Vec::new();
    for database in wanted {
        for (namespace, options) in listed(source, &database)? {
            if source.has_for_itself(&namespace) {
                continue;
            }
            let mut planned =
                PlannedCollection { namespace, documents: 0, indexes: Vec::new(), options };
            if !planned.is_view() {
                let documents = source.documents(&planned.namespace).estimated_document_count();
                planned.documents = documents.map_err(|error| source.failed(error))?;
                planned.indexes = indexes::of(source, &planned.namespace)?;
            }
            found.push(planned);
        }
    }
    found.sort_by(|a, b| a.namespace.cmp(&b.namespace));
    Ok(found)
}

/// The collections of a database, with their options.
pub(super) fn listed(
    endpoint: &Endpoint,
    database: &str,
) -> Result<Vec<(Namespace, Document)>, MigrationError> {
    let command = rawdoc! { "listCollections": 1, "cursor": { "batchSize": COLLECTIONS_MAX } };
    let listed = endpoint.list(database, &command)?;
    let listed = listed.into_iter().map(|collection| {
        let name = collection.get_str("name").map_err(|_| endpoint.senseless("a collection"))?;
        let mut options = collection.get_document("options").cloned().unwrap_or_default();
        if collection.get_str("type").ok() == Some("timeseries") {
            options.entry("timeseries").or_insert(true.into());
        }
        Ok((Namespace::new(database, name), options))
    });
    listed.collect()
}

/// Makes a collection in the target, unless it is there.
pub(super) fn create(
    target: &Endpoint,
    collection: &PlannedCollection,
) -> Result<(), MigrationError> {
    let Namespace { database, collection: name } = &collection.namespace;
    let mut command = rawdoc! { "create": name.as_str() };
    let options = RawDocumentBuf::try_from(&collection.options);
    for option in &options.map_err(|_| target.senseless("an option"))? {
        let (option, value) = option.map_err(|_| target.senseless("an option"))?;
        command.append(option, value);
    }
    match target.run(database, &command) {
        Ok(_) => Ok(()),
        Err(DocumentError::Refused(error)) if error.code() == ErrorCode::NAMESPACE_EXISTS => Ok(()),
        Err(error) => Err(target.failed(error)),
    }
}

/// Above the number of collections of any database.
const COLLECTIONS_MAX: i32 = 1_000_000;

/// What changes how documents are kept in a way that copying them one by one does not bring about.
const NEVER_COPIED: [&str; 4] = ["capped", "clusteredIndex", "encryptedFields", "timeseries"];
