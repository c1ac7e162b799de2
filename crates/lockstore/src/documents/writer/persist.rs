//! The catalogue on disk: read at an opening, and written with each batch that changes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::RawDocumentBuf;
use lockcore::Instant;

use super::{Batch, Clearance, DocumentWriter, Expiry};
use crate::clock::WallTime;
use crate::disk::{DiskError, Meta, Snapshot};
use crate::documents::history::History;
use crate::documents::{
    Catalog, Collection, CollectionId, Index, IndexId, IndexState, Namespace, TEMPORARY,
};
use crate::records::{
    CodecError, CollectionRecordV1, IndexRecordV1, Record, RecordError, collection_of,
};
use crate::rows::{RowChange, RowKey, TableId};

impl DocumentWriter {
    /// The collections as the last commit left them. An index whose build was cut short is dropped, and what was
    /// dropped is still to be cleared away.
    pub(crate) fn restore(
        snapshot: &Snapshot,
        meta: &Meta,
        now: Instant,
        wall: WallTime,
    ) -> Result<Self, DiskError> {
        let mut catalog = Catalog::default();
        let mut clearances = BTreeMap::new();
        let mut next_records = BTreeMap::new();
        snapshot.for_each_row(TableId::Collections, |key, value| {
            let id = collection_of(key)?;
            let record = CollectionRecordV1::from_row(key, value)?;
            let malformed = |reason: String| {
                let reason = CodecError::Malformed { what: CollectionRecordV1::WHAT, reason };
                RecordError::new(TableId::Collections.name(), key, reason)
            };
            // A pipeline was filling it when the store was closed.
            let dropped = record.dropped || record.name.starts_with(TEMPORARY);
            let mut clearance = Clearance::default();
            clearance.indexes.extend(record.dropped_indexes.iter().copied().map(IndexId::new));
            let collection = collection(id, record, &mut clearance).map_err(malformed)?;
            if dropped {
                clearance.indexes.extend(collection.indexes().iter().map(|index| index.id()));
                clearance.dropped = Some(Arc::new(collection));
            } else {
                if catalog.collection(collection.namespace().as_str()).is_some() {
                    return Err(malformed("another has its name".to_owned()).into());
                }
                if let Some(last) = snapshot.last_record(id)? {
                    next_records.insert(id, last.next());
                }
                catalog.put(collection);
            }
            if clearance.dropped.is_some() || !clearance.indexes.is_empty() {
                clearances.insert(id, clearance);
            }
            Ok::<_, DiskError>(())
        })?;
        let mut writer = Self {
            catalog,
            ids: meta.ids,
            next_records,
            clearances,
            cannot_clear: false,
            doubts: BTreeMap::new(),
            expiry: Expiry::new(now, wall),
            history: History::default(),
            batch: Batch::default(),
        };
        let collections: Vec<_> = writer.catalog.iter().cloned().collect();
        for collection in &collections {
            writer.watch_all(collection);
        }
        Ok(writer)
    }

    /// The rows of the batch.
    pub(crate) fn drain_into(&mut self, rows: &mut Vec<RowChange>) {
        let before = rows.len();
        if self.batch.numbered {
            rows.push(self.ids_row());
        }
        for id in &self.batch.redefined {
            let key = RowKey::collection(*id);
            let value = self.record(*id).map(|record| record.to_row(&key));
            rows.push(RowChange { table: TableId::Collections, key, value });
        }
        self.batch.overlay.drain_into(rows);
        self.batch.written = rows.len() > before;
    }

    /// The row that says which ids may have been given.
    pub(crate) fn ids_row(&self) -> RowChange {
        RowChange::put(TableId::Meta, RowKey::IDS, self.ids.to_row(&RowKey::IDS))
    }

    /// What the row of a collection is to hold; `None` when nothing is left of it.
    fn record(&self, id: CollectionId) -> Option<CollectionRecordV1> {
        let clearance = self.clearances.get(&id);
        let live = self.catalog.collection_with(id);
        let dropped = clearance.and_then(|clearance| clearance.dropped.as_ref());
        let collection = live.or(dropped)?;
        let indexes = if live.is_some() { collection.indexes() } else { &[] };
        Some(CollectionRecordV1 {
            database: collection.namespace().database().to_owned(),
            name: collection.namespace().collection().to_owned(),
            uuid: collection.uuid(),
            dropped: live.is_none(),
            options: collection.options().as_bytes().to_vec(),
            indexes: indexes.iter().map(|index| index_record(index)).collect(),
            dropped_indexes: clearance
                .map(|clearance| clearance.indexes.iter().map(|index| index.get()).collect())
                .unwrap_or_default(),
        })
    }
}

fn collection(
    id: CollectionId,
    record: CollectionRecordV1,
    clearance: &mut Clearance,
) -> Result<Collection, String> {
    let namespace =
        Namespace::new(&record.database, &record.name).map_err(|error| error.to_string())?;
    let options = document(record.options)?;
    let mut indexes = Vec::with_capacity(record.indexes.len());
    for index in record.indexes {
        let id = IndexId::new(index.id);
        if index.ready {
            let spec = document(index.spec)?;
            let index = Index::parse(id, spec, index.multikey, IndexState::Ready);
            indexes.push(Arc::new(index.map_err(|error| error.to_string())?));
        } else {
            clearance.indexes.push(id);
        }
    }
    if !record.dropped && !indexes.first().is_some_and(|index| index.is_id()) {
        return Err("its first index is not the one on _id".to_owned());
    }
    Ok(Collection::new(id, namespace, record.uuid, options, indexes))
}

fn document(bytes: Vec<u8>) -> Result<RawDocumentBuf, String> {
    RawDocumentBuf::from_bytes(bytes).map_err(|error| error.to_string())
}

fn index_record(index: &Index) -> IndexRecordV1 {
    IndexRecordV1 {
        id: index.id().get(),
        spec: index.spec().as_bytes().to_vec(),
        ready: index.is_ready(),
        multikey: index.multikey(),
    }
}
