//! Insertions.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::DocumentWriter;
use crate::disk::DiskError;
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::{
    BYTES_PER_TASK, DOCUMENTS_PER_TASK, DocumentAnswer, Insert, Inserted, NewCollection,
    STEPS_PER_TASK, Upsert,
};
use crate::documents::{Collection, CollectionId, Namespace, RecordId};
use crate::error::DocumentError;

impl DocumentWriter {
    pub(super) fn insert(&mut self, insert: Insert, ground: &Ground<'_>) -> DocumentAnswer {
        let collection = match self.find_or_create(&insert.namespace, insert.create) {
            Ok(Some(collection)) => collection.id(),
            Ok(None) => return DocumentAnswer::Again,
            Err(error) => return DocumentAnswer::Failed(error),
        };
        let mut results = Vec::with_capacity(insert.documents.len().min(DOCUMENTS_PER_TASK));
        let mut bytes = 0;
        let mut documents = insert.documents.into_iter();
        while results.len() < DOCUMENTS_PER_TASK
            && bytes < BYTES_PER_TASK
            && let Some(document) = documents.next()
        {
            bytes += document.as_bytes().len();
            let result = self.insert_one(collection, document, ground);
            let is_last = insert.ordered && result.is_err();
            results.push(result);
            if is_last {
                break;
            }
        }
        DocumentAnswer::Inserted(Inserted { results, rest: documents.collect() })
    }

    pub(super) fn upsert(&mut self, upsert: Upsert, ground: &Ground<'_>) -> DocumentAnswer {
        match self.may_insert(&upsert, ground) {
            Ok(true) => {}
            Ok(false) => return DocumentAnswer::Again,
            Err(error) => return DocumentAnswer::Failed(error),
        }
        match self.find_or_create(&upsert.namespace, upsert.create) {
            Ok(None) => DocumentAnswer::Again,
            Ok(Some(collection)) => {
                match self.insert_one(collection.id(), upsert.document, ground) {
                    Ok(()) => DocumentAnswer::Upserted,
                    Err(error) => DocumentAnswer::Failed(error),
                }
            }
            Err(error) => DocumentAnswer::Failed(error),
        }
    }

    /// Whether nothing matches the filter of an upsert still: nothing did in the reading it was planned on, so only what has
    /// changed since needs to be looked at.
    fn may_insert(&self, upsert: &Upsert, ground: &Ground<'_>) -> Result<bool, DocumentError> {
        let Some(collection) = self.catalog.collection(upsert.namespace.as_str()) else {
            return Ok(true);
        };
        let collection = collection.id();
        if self.batch.renamed.contains(&collection) {
            return Ok(false);
        }
        let Some(since) = self.history.changed_since(upsert.seen, collection) else {
            return Ok(false);
        };
        let in_batch = self.batch.changed.iter().rev();
        let in_batch =
            in_batch.filter(|(other, _)| *other == collection).map(|(_, record)| *record);
        let mut steps = 0_u64;
        for (looked_at, record) in in_batch.chain(since).enumerate() {
            let current = self.batch.overlay.document(collection, record, ground)?;
            let Some(document) = current else { continue };
            steps = steps.saturating_add(upsert.filter.cost().of(document.raw()));
            if steps > STEPS_PER_TASK || looked_at >= LOOKED_AT_MAX {
                return Ok(false);
            }
            if contained(|| Ok(upsert.filter.matches(document.raw())?))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn insert_one(
        &mut self,
        collection: CollectionId,
        document: RawDocumentBuf,
        ground: &Ground<'_>,
    ) -> Result<(), DocumentError> {
        let known = self.catalog.collection_with(collection).expect("it was found, or created");
        let record = self.next_record(collection, ground)?;
        let set = self.write_set(known, record, (None, Some(&document)), ground)?;
        self.next_records.insert(collection, record.next());
        self.write(collection, record, Some(document), set, false);
        Ok(())
    }

    /// The record that a collection gives next.
    pub(super) fn next_record(
        &self,
        collection: CollectionId,
        ground: &Ground<'_>,
    ) -> Result<RecordId, DiskError> {
        if let Some(next) = self.next_records.get(&collection) {
            return Ok(*next);
        }
        let last = ground.rows()?.last_record(collection)?;
        Ok(last.map_or(RecordId::FIRST, RecordId::next))
    }

    /// The collection of a namespace. Where it is not there it is made with `create`; without that there is none.
    pub(super) fn find_or_create(
        &mut self,
        namespace: &Namespace,
        create: Option<NewCollection>,
    ) -> Result<Option<Arc<Collection>>, DocumentError> {
        if let Some(collection) = self.catalog.collection(namespace.as_str()) {
            return Ok(Some(Arc::clone(collection)));
        }
        create.map(|new| self.create(namespace, new)).transpose()
    }
}

/// How many documents are looked at once more for an upsert, where that is not more than [`STEPS_PER_TASK`]. Where more
/// have changed since it was planned, it is cheaper to plan it anew.
const LOOKED_AT_MAX: usize = 1_024;
