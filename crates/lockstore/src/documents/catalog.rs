//! Which collections there are.

use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bson::{RawDocument, RawDocumentBuf};

use super::{CollectionId, Index, IndexId, Namespace};

/// The collections of a store as of one commit. A clone costs nothing, and a change what it changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    by_name: imbl::OrdMap<Namespace, Arc<Collection>>,
    by_id: imbl::OrdMap<CollectionId, Arc<Collection>>,
    /// How many documents more, or less, collections have than at the opening; those that are not here have
    /// as many.
    growth: imbl::OrdMap<CollectionId, i64>,
}

/// A collection.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    id: CollectionId,
    namespace: Namespace,
    uuid: [u8; 16],
    options: Arc<RawDocumentBuf>,
    /// In the order in which they are listed; the one on `_id` comes first.
    indexes: Vec<Arc<Index>>,
    /// How many documents there were at the opening, once somebody has counted them.
    counted: Arc<OnceLock<u64>>,
}

impl Catalog {
    /// The collection called `namespace`: `database.collection`, or a [`Namespace`].
    pub(crate) fn collection(&self, namespace: &str) -> Option<&Arc<Collection>> {
        self.by_name.get(namespace)
    }

    pub(crate) fn collection_with(&self, id: CollectionId) -> Option<&Arc<Collection>> {
        self.by_id.get(&id)
    }

    /// The collections of a database, in the order of their names.
    pub(crate) fn of_database<'a>(
        &'a self,
        database: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Collection>> {
        let start = format!("{database}.");
        let from = (Bound::Included(start.as_str()), Bound::Unbounded);
        let from_there = self.by_name.range::<_, str>(from);
        from_there
            .map(|(_, collection)| collection)
            .take_while(move |collection| collection.namespace.database() == database)
    }

    /// All collections, those of one database together.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Collection>> {
        self.by_name.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many documents more, or less, the collection has than at the opening.
    pub(crate) fn growth(&self, id: CollectionId) -> i64 {
        self.growth.get(&id).copied().unwrap_or(0)
    }

    /// Puts a collection into the place of the one with the same id, or adds it.
    pub(crate) fn put(&mut self, collection: Collection) -> Arc<Collection> {
        let collection = Arc::new(collection);
        self.by_name.insert(collection.namespace.clone(), Arc::clone(&collection));
        self.by_id.insert(collection.id, Arc::clone(&collection));
        collection
    }

    /// Gives a collection another name.
    pub(crate) fn rename(&mut self, collection: &Collection, namespace: Namespace) {
        self.by_name.remove(collection.namespace.as_str());
        self.put(Collection { namespace, ..collection.clone() });
    }

    pub(crate) fn remove(&mut self, id: CollectionId) -> Option<Arc<Collection>> {
        let collection = self.by_id.remove(&id)?;
        self.by_name.remove(collection.namespace.as_str());
        self.growth.remove(&id);
        Some(collection)
    }

    pub(crate) fn grow(&mut self, id: CollectionId, by: i64) {
        let growth = self.growth(id) + by;
        self.growth.insert(id, growth);
    }
}

impl Collection {
    pub(crate) fn new(
        id: CollectionId,
        namespace: Namespace,
        uuid: [u8; 16],
        options: RawDocumentBuf,
        indexes: Vec<Arc<Index>>,
    ) -> Self {
        let options = Arc::new(options);
        Self { id, namespace, uuid, options, indexes, counted: Arc::default() }
    }

    /// A collection that was created just now, and has no documents.
    pub(crate) fn empty(self) -> Self {
        self.counted.get_or_init(|| 0);
        self
    }

    pub(crate) fn id(&self) -> CollectionId {
        self.id
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Tells it from all other collections of its name, before and after.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// What it was created with.
    pub(crate) fn options(&self) -> &RawDocument {
        &self.options
    }

    /// Its indexes in the order in which they are listed, those that are being built included.
    pub(crate) fn indexes(&self) -> &[Arc<Index>] {
        &self.indexes
    }

    pub(crate) fn index(&self, name: &str) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.name() == name)
    }

    pub(crate) fn index_with(&self, id: IndexId) -> Option<&Arc<Index>> {
        self.indexes.iter().find(|index| index.id() == id)
    }

    /// The index on `_id`, which every collection has.
    pub(crate) fn id_index(&self) -> &Arc<Index> {
        &self.indexes[0]
    }

    /// How many documents there were at the opening; `count` counts them, once.
    pub(crate) fn counted<E>(&self, count: impl FnOnce() -> Result<u64, E>) -> Result<u64, E> {
        if let Some(counted) = self.counted.get() {
            return Ok(*counted);
        }
        let counted = count()?;
        Ok(*self.counted.get_or_init(|| counted))
    }

    /// The same collection with other indexes.
    pub(crate) fn with_indexes(&self, indexes: Vec<Arc<Index>>) -> Self {
        Self { indexes, ..self.clone() }
    }

    /// The same collection with `index` in the place of the one with its id.
    pub(crate) fn with_index(&self, index: Index) -> Self {
        let index = Arc::new(index);
        let replace = |old: &Arc<Index>| {
            if old.id() == index.id() { Arc::clone(&index) } else { Arc::clone(old) }
        };
        self.with_indexes(self.indexes.iter().map(replace).collect())
    }
}
