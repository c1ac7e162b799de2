//! How far a migration has come: documents in the target, so that whoever runs it again goes on where it was ended.

use bson::{Bson, DateTime, doc};
use lockstore::{Collection, DocumentError};
use serde::{Deserialize, Serialize};

use super::endpoint::{Endpoint, JOURNALS, Namespace};
use super::error::MigrationError;
use super::plan::{Plan, PlannedCollection};

/// The journal of the migration from one source, in the target's collection `migrations`.
#[derive(Debug)]
pub(super) struct Journal<'e> {
    target: &'e Endpoint,
    source: String,
}

/// A migration as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// What the source is called.
    pub(super) from: String,
    pub(super) state: State,
    pub(super) begun_at: DateTime,
    /// When all that was there at the time was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished_at: Option<DateTime>,
    /// Whether the locks were among that.
    pub(super) has_locks: bool,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    Copying,
    /// All was copied, and was not the same in the end.
    Differs,
    Finished,
}

/// A collection that this migration fills.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Filled {
    /// Whether all documents were copied.
    pub(super) done: bool,
    /// Whether it was part of a migration that was finished: from then on it is the target's, and no later run touches it.
    #[serde(default)]
    pub(super) finished: bool,
    pub(super) documents: i64,
    /// Whether it was compared, and was not the same: the next run copies once more what differs.
    #[serde(default)]
    pub(super) differs: bool,
    /// The `_id` of the last that was copied, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Bson>,
}

/// A document of the journal.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    #[serde(rename = "_id")]
    id: Bson,
    what: T,
}

/// A holder of a lock that this migration acquires in the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) key: String,
    pub(super) holder: String,
}

impl<'e> Journal<'e> {
    pub(super) fn new(target: &'e Endpoint, source: bson::Uuid) -> Self {
        Self { target, source: source.to_string() }
    }

    /// The journal that there would be if this were the first run.
    pub(super) fn anew(&self) -> Self {
        Self { target: self.target, source: bson::Uuid::new().to_string() }
    }

    pub(super) fn head(&self) -> Result<Option<Head>, MigrationError> {
        self.read(&self.id(doc! {}))
    }

    pub(super) fn set_head(&self, head: &Head) -> Result<(), MigrationError> {
        self.write(self.id(doc! {}), head)
    }

    pub(super) fn filled(&self, namespace: &Namespace) -> Result<Option<Filled>, MigrationError> {
        self.read(&self.of_collection(namespace))
    }

    pub(super) fn set_filled(
        &self,
        namespace: &Namespace,
        filled: &Filled,
    ) -> Result<(), MigrationError> {
        self.write(self.of_collection(namespace), filled)
    }

    /// The collections that this migration fills, or has filled.
    pub(super) fn collections(&self) -> Result<Vec<Namespace>, MigrationError> {
        let ids = self.ids("_id.collection")?;
        let names = ids.iter().filter_map(|id| id.as_document()?.get_str("collection").ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Whether a collection was part of a migration that was finished.
    pub(super) fn is_finished(&self, namespace: &Namespace) -> Result<bool, MigrationError> {
        Ok(self.filled(namespace)?.is_some_and(|filled| filled.finished))
    }

    /// Notes that not all is in the target as it is in the source.
    pub(super) fn set_differs(&self, head: &mut Head, plan: &Plan) -> Result<(), MigrationError> {
        for PlannedCollection { namespace, .. } in &plan.collections {
            let filled = self.filled(namespace)?.unwrap_or_default();
            self.set_filled(namespace, &Filled { differs: true, ..filled })?;
        }
        head.state = State::Differs;
        self.set_head(head)
    }

    /// Notes that a collection is the target's from now on.
    pub(super) fn finish(&self, namespace: &Namespace) -> Result<(), MigrationError> {
        let filled = self.filled(namespace)?.unwrap_or_default();
        self.set_filled(namespace, &Filled { done: true, finished: true, differs: false, ..filled })
    }

    /// Notes locks before they are acquired.
    pub(super) fn add_taken(&self, taken: &[Taken]) -> Result<(), MigrationError> {
        if taken.is_empty() {
            return Ok(());
        }
        let entries = taken.iter().map(|what| Entry { id: self.of_lock(what), what });
        let added = self.documents().insert_many(entries).run();
        added.map(drop).map_err(|error| self.target.failed(error))
    }

    /// The locks that this migration has acquired, or was about to.
    pub(super) fn taken(&self) -> Result<Vec<Taken>, MigrationError> {
        let found = self.entries::<Taken>().find(self.having("_id.lock")).run();
        let found = found.and_then(Iterator::collect::<Result<Vec<Entry<Taken>>, DocumentError>>);
        let found = found.map_err(|error| self.target.failed(error))?;
        Ok(found.into_iter().map(|entry| entry.what).collect())
    }

    pub(super) fn remove_taken(&self, taken: &Taken) -> Result<(), MigrationError> {
        let removed = self.entries::<Taken>().delete_one(doc! { "_id": self.of_lock(taken) }).run();
        removed.map(drop).map_err(|error| self.target.failed(error))
    }

    /// Forgets all of it: the next run is the first.
    pub(super) fn forget(&self) -> Result<(), MigrationError> {
        let of_it = doc! { "_id.source": &self.source };
        let removed = self.entries::<Head>().delete_many(of_it).run();
        removed.map(drop).map_err(|error| self.target.failed(error))
    }

    fn having(&self, field: &str) -> bson::Document {
        doc! { "_id.source": &self.source, field: { "$exists": true } }
    }

    fn ids(&self, having: &str) -> Result<Vec<Bson>, MigrationError> {
        let found = self.documents().find(self.having(having)).projection(doc! { "_id": 1 }).run();
        let found = found.and_then(Iterator::collect::<Result<Vec<bson::Document>, _>>);
        let found = found.map_err(|error| self.target.failed(error))?;
        Ok(found.into_iter().filter_map(|entry| entry.get("_id").cloned()).collect())
    }

    fn of_collection(&self, namespace: &Namespace) -> Bson {
        self.id(doc! { "collection": namespace.to_string() })
    }

    fn of_lock(&self, taken: &Taken) -> Bson {
        self.id(doc! { "lock": &taken.key, "holder": &taken.holder })
    }

    fn id(&self, of: bson::Document) -> Bson {
        let mut id = doc! { "source": &self.source };
        id.extend(of);
        id.into()
    }

    fn read<T: for<'de> Deserialize<'de> + Serialize + Send + Sync + 'static>(
        &self,
        id: &Bson,
    ) -> Result<Option<T>, MigrationError> {
        let found = self.entries::<T>().find_one(doc! { "_id": id }).run();
        let found = found.map_err(|error| self.target.failed(error))?;
        Ok(found.map(|entry| entry.what))
    }

    fn write<T: Serialize>(&self, id: Bson, what: &T) -> Result<(), MigrationError> {
        let entry = Entry { id: id.clone(), what };
        let written = self.documents().replace_one(doc! { "_id": id }, entry).upsert(true).run();
        written.map(drop).map_err(|error| self.target.failed(error))
    }

    fn documents(&self) -> Collection<bson::Document> {
        self.target.store().database(self.target.own_database()).collection(JOURNALS)
    }

    fn entries<T>(&self) -> Collection<Entry<T>> {
        self.documents().with_type()
    }
}
