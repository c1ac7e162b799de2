//! What a batch has done to documents and entries, before any of it is on the disk.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::{CollectionId, Edge, IndexId, RecordId};
use crate::codec::seal;
use crate::disk::{Direction, Disk, DiskError, Snapshot, StoredDocument};
use crate::rows::{RowChange, RowKey, TableId};
use crate::view::Published;

/// The documents and entries that a batch has changed: what comes later in the batch sees them through this.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// `None` for those that are gone.
    documents: BTreeMap<(CollectionId, RecordId), Option<RawDocumentBuf>>,
    /// Whether an entry is to be there, by the key of its row.
    entries: BTreeMap<Box<[u8]>, bool>,
}

/// The rows under a batch: those of the last commit. Nothing is asked of the disk before it is needed.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    disk: &'a Disk,
    published: &'a Published,
    rows: OnceCell<Arc<Snapshot>>,
}

/// A document as a batch sees it.
pub(crate) enum Current<'a> {
    /// The batch has written it.
    Written(&'a RawDocument),
    /// It is on the disk.
    Stored(StoredDocument<'a>),
}

impl Overlay {
    /// A document as it is now, if it is there.
    pub(crate) fn document<'a>(
        &'a self,
        collection: CollectionId,
        record: RecordId,
        ground: &'a Ground<'_>,
    ) -> Result<Option<Current<'a>>, DiskError> {
        match self.documents.get(&(collection, record)) {
            Some(written) => Ok(written.as_deref().map(Current::Written)),
            None => Ok(ground.rows()?.document(collection, record)?.map(Current::Stored)),
        }
    }

    /// Whether the batch has written or deleted a document.
    pub(crate) fn has_changed(&self, collection: CollectionId, record: RecordId) -> bool {
        self.documents.contains_key(&(collection, record))
    }

    /// Whether the batch has written documents of the collection that are there still.
    pub(crate) fn has_documents(&self, collection: CollectionId) -> bool {
        let all = (collection, RecordId::MIN)..=(collection, RecordId::MAX);
        self.documents.range(all).any(|(_, document)| document.is_some())
    }

    /// A record other than `record` that has `key` in `index` now.
    pub(crate) fn other_with_key(
        &self,
        index: IndexId,
        key: &[u8],
        record: RecordId,
        ground: &Ground<'_>,
    ) -> Result<Option<RecordId>, DiskError> {
        let edges = (Edge::Before(key), Edge::Behind(key));
        let bounds = (edges.0.as_lower(index), edges.1.as_upper(index));
        let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        for (row, is_there) in self.entries.range::<[u8], _>(bounds) {
            let (_, _, other) = RowKey::entry_of(row).expect("the overlay has whole keys");
            if *is_there && other != record {
                return Ok(Some(other));
            }
        }
        for entry in ground.rows()?.entries(index, edges, Direction::Forward)? {
            let entry = entry?;
            if entry.record() != record && !self.has_removed(entry.row()) {
                return Ok(Some(entry.record()));
            }
        }
        Ok(None)
    }

    /// The document is to be this from now on; `None` when it is gone.
    pub(crate) fn put_document(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        document: Option<RawDocumentBuf>,
    ) {
        self.documents.insert((collection, record), document);
    }

    /// An entry is to be there from now on, or not.
    pub(crate) fn put_entry(
        &mut self,
        index: IndexId,
        key: &[u8],
        record: RecordId,
        is_there: bool,
    ) {
        let row = RowKey::entry(index, key, record);
        self.put_row(row.as_bytes().into(), is_there);
    }

    /// As [`Overlay::put_entry`], by the key of its row.
    pub(crate) fn put_row(&mut self, row: Box<[u8]>, is_there: bool) {
        self.entries.insert(row, is_there);
    }

    /// Whether the batch has removed an entry, by the key of its row.
    pub(crate) fn has_removed(&self, row: &[u8]) -> bool {
        self.entries.get(row) == Some(&false)
    }

    /// Everything as rows, in the order of their keys, and none is left.
    pub(crate) fn drain_into(&mut self, rows: &mut Vec<RowChange>) {
        for ((collection, record), document) in std::mem::take(&mut self.documents) {
            let key = RowKey::document(collection, record);
            let value = document
                .map(|document| seal(TableId::Documents, key.as_bytes(), document.into_bytes()));
            rows.push(RowChange { table: TableId::Documents, key, value });
        }
        for (row, is_there) in std::mem::take(&mut self.entries) {
            let value = is_there.then(Vec::new);
            rows.push(RowChange { table: TableId::IndexEntries, key: RowKey::Entry(row), value });
        }
    }
}

impl<'a> Ground<'a> {
    pub(crate) fn new(disk: &'a Disk, published: &'a Published) -> Self {
        Self { disk, published, rows: OnceCell::new() }
    }

    /// The rows of the last commit.
    pub(crate) fn rows(&self) -> Result<&Snapshot, DiskError> {
        if let Some(rows) = self.rows.get() {
            return Ok(rows);
        }
        // The view is as new as the last commit, for nobody else commits.
        let rows = match self.published.view().try_rows() {
            Some(rows) => Arc::clone(rows),
            None => Arc::new(self.disk.snapshot()?),
        };
        Ok(self.rows.get_or_init(|| rows))
    }
}

impl Current<'_> {
    pub(crate) fn raw(&self) -> &RawDocument {
        match self {
            Self::Written(document) => document,
            Self::Stored(document) => document.raw(),
        }
    }
}
