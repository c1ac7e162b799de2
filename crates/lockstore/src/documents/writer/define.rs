//! Collections and indexes come, change and go.

use std::ops::Bound;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode};

use super::DocumentWriter;
use super::private::FIRST_PRIVATE_ID;
use crate::codec::COLLECTION_BYTES_MAX;
use crate::disk::{Direction, DiskError};
use crate::documents::index::id_index_spec;
use crate::documents::overlay::Ground;
use crate::documents::task::{Defined, DocumentAnswer, NewCollection, NewIndexes};
use crate::documents::{
    Collection, CollectionId, Definition, Index, IndexId, IndexState, Namespace, conflict,
};
use crate::error::DocumentError;
use crate::records::IdsRecordV1;

impl DocumentWriter {
    pub(super) fn define(&mut self, definition: Definition, ground: &Ground<'_>) -> DocumentAnswer {
        let defined = match definition {
            Definition::CreateCollection { namespace, new } => self.create_new(&namespace, new),
            Definition::DropCollection { namespace } => self.drop_collection(&namespace),
            Definition::RenameCollection { from, to, drop_target } => {
                self.rename_collection(&from, &to, drop_target)
            }
            Definition::DropDatabase { database } => Ok(Some(self.drop_database(&database))),
            Definition::CreateIndexes { namespace, create, specs } => {
                self.create_indexes(&namespace, create, specs, ground)
            }
            Definition::DropIndexes { namespace, names } => self.drop_indexes(&namespace, &names),
            Definition::ReviseIndex { collection, was, spec } => {
                self.revise_index(collection, &was, spec)
            }
        };
        match defined {
            Ok(Some(defined)) => DocumentAnswer::Defined(defined),
            Ok(None) => DocumentAnswer::Again,
            Err(error) => DocumentAnswer::Failed(error),
        }
    }

    fn create_new(
        &mut self,
        namespace: &Namespace,
        new: NewCollection,
    ) -> Result<Option<Defined>, DocumentError> {
        if self.catalog.collection(namespace.as_str()).is_some() {
            let message = format!("Collection {namespace} already exists.");
            return Err(Error::new(ErrorCode::NAMESPACE_EXISTS, message).into());
        }
        self.create(namespace, new).map(|collection| Some(Defined::Collection(collection)))
    }

    /// Makes a collection that is not there.
    pub(super) fn create(
        &mut self,
        namespace: &Namespace,
        new: NewCollection,
    ) -> Result<Arc<Collection>, DocumentError> {
        let mut ids = self.ids;
        let collection = make(namespace, new, &mut ids, self.catalog.len())?;
        self.ids = ids;
        self.batch.numbered = true;
        Ok(self.redefine(collection))
    }

    fn drop_collection(&mut self, namespace: &Namespace) -> Result<Option<Defined>, DocumentError> {
        let collection = self.find(namespace)?;
        self.remove(&collection);
        Ok(Some(Defined::Collection(collection)))
    }

    fn rename_collection(
        &mut self,
        from: &Namespace,
        to: &Namespace,
        drop_target: bool,
    ) -> Result<Option<Defined>, DocumentError> {
        let collection = self.find(from).map_err(|_| {
            let message = format!("Source collection {from} does not exist");
            Error::new(ErrorCode::NAMESPACE_NOT_FOUND, message)
        })?;
        if from == to {
            let message = format!("Can't rename a collection to itself: {from}");
            return Err(Error::new(ErrorCode::ILLEGAL_OPERATION, message).into());
        }
        match self.catalog.collection(to.as_str()).cloned() {
            Some(target) if drop_target => self.remove(&target),
            Some(_) => {
                let message = format!("target namespace {to} exists");
                return Err(Error::new(ErrorCode::NAMESPACE_EXISTS, message).into());
            }
            None => {}
        }
        self.catalog.rename(&collection, to.clone());
        self.batch.redefined.insert(collection.id());
        // An upsert that has found nothing under the name has not looked at what is there now.
        self.batch.renamed.push(collection.id());
        Ok(Some(Defined::Collection(collection)))
    }

    fn drop_database(&mut self, database: &str) -> Defined {
        let dropped: Vec<_> = self.catalog.of_database(database).cloned().collect();
        for collection in &dropped {
            self.remove(collection);
        }
        Defined::DroppedDatabase { collections: dropped.len() }
    }

    /// A collection is gone from now on. Its rows go later.
    fn remove(&mut self, collection: &Arc<Collection>) {
        let id = collection.id();
        self.catalog.remove(id);
        self.next_records.remove(&id);
        let clearance = self.clearances.entry(id).or_default();
        clearance.dropped = Some(Arc::clone(collection));
        clearance.indexes.extend(collection.indexes().iter().map(|index| index.id()));
        self.batch.redefined.insert(id);
        for index in collection.indexes() {
            self.forget_index(index.id());
        }
    }

    fn forget_index(&mut self, index: IndexId) {
        self.unwatch(index);
        self.doubts.remove(&index);
    }

    fn create_indexes(
        &mut self,
        namespace: &Namespace,
        create: Option<NewCollection>,
        specs: Vec<RawDocumentBuf>,
        ground: &Ground<'_>,
    ) -> Result<Option<Defined>, DocumentError> {
        let known = self.catalog.collection(namespace.as_str()).cloned();
        // Everything is found out before anything is changed.
        let mut next_index = self.ids.next_index;
        let mut indexes = match &known {
            Some(collection) => collection.indexes().to_vec(),
            None if create.is_none() => return Ok(None),
            None => {
                next_index = next(next_index)?;
                let id = IndexId::new(self.ids.next_index);
                vec![Arc::new(Index::parse(id, id_index_spec(), 0, IndexState::Ready)?)]
            }
        };
        let before = indexes.len();
        let state = match &known {
            Some(collection) if self.has_documents(collection, ground)? => IndexState::Building,
            Some(_) | None => IndexState::Ready,
        };
        let mut to_build = Vec::new();
        for spec in specs {
            let index = Index::parse(IndexId::new(next_index), spec, 0, state)?;
            let wanted = if let Some(existing) = conflict::existing(&indexes, &index)? {
                if indexes[before..].iter().any(|new| new.id() == existing.id()) {
                    return Err(asked_for_twice(existing, state).into());
                }
                Arc::clone(existing)
            } else {
                if indexes.len() >= INDEXES_MAX {
                    return Err(too_many(namespace, &index).into());
                }
                next_index = next(next_index)?;
                let index = Arc::new(index);
                indexes.push(Arc::clone(&index));
                index
            };
            // Whoever asks for an index that is being built takes part in building it.
            if !wanted.is_ready() && !to_build.contains(&wanted.id()) {
                to_build.push(wanted.id());
            }
        }
        let created_collection = known.is_none();
        let collection = match (known, create) {
            (Some(known), _) if indexes.len() == before => known,
            (Some(known), _) => {
                let collection = known.with_indexes(indexes);
                check_size(&collection)?;
                self.ids.next_index = next_index;
                self.batch.numbered = true;
                self.redefine(collection)
            }
            (None, Some(new)) => {
                let id = CollectionId::new(self.ids.next_collection);
                check_size(&Collection::new(
                    id,
                    namespace.clone(),
                    new.uuid,
                    new.options.clone(),
                    indexes.clone(),
                ))?;
                let collection = self.create(namespace, new)?.with_indexes(indexes);
                self.ids.next_index = next_index;
                self.redefine(collection)
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Defined::Indexes(NewIndexes { collection, created_collection, before, to_build })))
    }

    fn drop_indexes(
        &mut self,
        namespace: &Namespace,
        names: &[Box<str>],
    ) -> Result<Option<Defined>, DocumentError> {
        let collection = self.find(namespace)?;
        for name in names {
            let Some(index) = collection.index(name) else {
                let message = format!("index not found with name [{name}]");
                return Err(Error::new(ErrorCode::INDEX_NOT_FOUND, message).into());
            };
            if index.is_id() {
                let message = "cannot drop _id index";
                return Err(Error::new(ErrorCode::INVALID_OPTIONS, message).into());
            }
        }
        let is_named = |index: &Index| names.iter().any(|name| **name == *index.name());
        let ids = collection.indexes().iter().filter(|index| is_named(index));
        let ids: Vec<_> = ids.map(|index| index.id()).collect();
        self.remove_indexes(&collection, &ids);
        Ok(Some(Defined::Collection(collection)))
    }

    /// Indexes are gone from now on. Their rows go later.
    pub(super) fn remove_indexes(&mut self, collection: &Collection, ids: &[IndexId]) {
        if ids.is_empty() {
            return;
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            collection.indexes().iter().cloned().partition(|index| ids.contains(&index.id()));
        let clearance = self.clearances.entry(collection.id()).or_default();
        clearance.indexes.extend(gone.iter().map(|index| index.id()));
        for index in &gone {
            self.forget_index(index.id());
        }
        self.redefine(collection.with_indexes(kept));
    }

    fn revise_index(
        &mut self,
        collection: CollectionId,
        was: &Index,
        spec: RawDocumentBuf,
    ) -> Result<Option<Defined>, DocumentError> {
        let Some(known) = self.catalog.collection_with(collection) else { return Ok(None) };
        let Some(index) = known.index_with(was.id()) else { return Ok(None) };
        if index.spec() != was.spec() {
            return Ok(None);
        }
        let revised = Index::parse(index.id(), spec, index.multikey(), index.state())?;
        let collection = known.with_index(revised);
        check_size(&collection)?;
        Ok(Some(Defined::Collection(self.redefine(collection))))
    }

    /// The collection is to be so from now on.
    pub(super) fn redefine(&mut self, collection: Collection) -> Arc<Collection> {
        self.batch.redefined.insert(collection.id());
        let collection = self.catalog.put(collection);
        self.watch_all(&collection);
        collection
    }

    fn find(&self, namespace: &Namespace) -> Result<Arc<Collection>, DocumentError> {
        self.catalog.collection(namespace.as_str()).cloned().ok_or_else(|| {
            let message = format!("ns not found: there is no collection {namespace}");
            Error::new(ErrorCode::NAMESPACE_NOT_FOUND, message).into()
        })
    }

    fn has_documents(
        &self,
        collection: &Collection,
        ground: &Ground<'_>,
    ) -> Result<bool, DiskError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let mut stored = ground.rows()?.documents(collection.id(), all, Direction::Forward)?;
        Ok(self.batch.overlay.has_documents(collection.id())
            || stored.next().transpose()?.is_some())
    }
}

/// A collection that is not there, with the next of `ids`, where there are `collections` others.
pub(super) fn make(
    namespace: &Namespace,
    new: NewCollection,
    ids: &mut IdsRecordV1,
    collections: usize,
) -> Result<Collection, DocumentError> {
    if collections >= COLLECTIONS_MAX {
        let message = format!("a store has at most {COLLECTIONS_MAX} collections");
        return Err(Error::new(ErrorCode::CANNOT_CREATE_COLLECTION, message).into());
    }
    let id = CollectionId::new(ids.next_collection);
    let index = Index::parse(IndexId::new(ids.next_index), id_index_spec(), 0, IndexState::Ready)?;
    let indexes = vec![Arc::new(index)];
    let collection = Collection::new(id, namespace.clone(), new.uuid, new.options, indexes).empty();
    check_size(&collection)?;
    ids.next_collection = next(ids.next_collection)?;
    ids.next_index = next(ids.next_index)?;
    Ok(collection)
}

/// The id behind this one.
fn next(id: u32) -> Result<u32, Error> {
    let is_free = |next: &u32| *next < u32::MAX && *next != FIRST_PRIVATE_ID;
    id.checked_add(1).filter(is_free).ok_or_else(|| {
        let message = "the store has given all its ids; copy its documents into a new one";
        Error::new(ErrorCode::INTERNAL_ERROR, message)
    })
}

/// One command asks for an index twice: the server notices it in two places.
fn asked_for_twice(index: &Index, state: IndexState) -> Error {
    match state {
        IndexState::Building => Error::new(
            ErrorCode::OPERATION_FAILED,
            "Cannot build two identical indexes. Try again without duplicate indexes.",
        ),
        IndexState::Ready => Error::new(
            ErrorCode::INDEX_ALREADY_EXISTS,
            format!("Identical index already exists: {}", index.name()),
        ),
    }
}

fn too_many(namespace: &Namespace, index: &Index) -> Error {
    let message = format!(
        "add index fails, too many indexes for {namespace} key:{:?}: at most {INDEXES_MAX} are allowed",
        index.key()
    );
    Error::new(ErrorCode::CANNOT_CREATE_INDEX, message)
}

/// A collection's record has its options and all its indexes, and must stay small.
fn check_size(collection: &Collection) -> Result<(), Error> {
    let indexes = collection.indexes().iter();
    let specs: usize = indexes.map(|index| index.spec().as_bytes().len() + INDEX_BYTES).sum();
    let bytes = collection.options().as_bytes().len() + specs;
    if bytes <= DEFINITION_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "the options of {} and its indexes would come to {bytes} bytes; at most {DEFINITION_BYTES_MAX} are allowed",
        collection.namespace()
    );
    Err(Error::new(ErrorCode::BSON_OBJECT_TOO_LARGE, message))
}

/// How many collections a store may have.
const COLLECTIONS_MAX: usize = 10_000;

/// How many indexes a collection may have, the one on `_id` included. MongoDB has the same bound.
const INDEXES_MAX: usize = 64;

/// How large the options and indexes of one collection may be together, in bytes. What is left of a record is for
/// names, and for the numbers of indexes that were dropped and still have rows.
const DEFINITION_BYTES_MAX: usize = COLLECTION_BYTES_MAX * 3 / 4;

/// What a record has of an index besides its specification, in bytes.
const INDEX_BYTES: usize = 32;
