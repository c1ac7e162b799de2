//! What a batch has done to documents and entries, before any of it is on the disk.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::edge::is_empty;
use super::{CollectionId, Edge, IndexId, RecordId};
use crate::codec::seal;
use crate::disk::{Direction, Disk, DiskError, Snapshot, StoredDocument};
use crate::rows::{RowChange, RowKey, TableId};
use crate::view::Published;

/// The documents and entries that a batch has changed: what comes later in the batch sees them through this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    documents: BTreeMap<(CollectionId, RecordId), Became<RawDocumentBuf>>,
    /// Whether an entry is to be there, by the key of its row.
    entries: BTreeMap<Box<[u8]>, bool>,
}

/// What became of a document; `None` when it is gone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Became<D>(pub(crate) Option<D>);

/// The rows under an overlay. Under a batch those are the ones of the last commit, and nothing is asked of the disk before it
/// is needed.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    last_commit: Option<(&'a Disk, &'a Published)>,
    rows: OnceCell<Arc<Snapshot>>,
}

/// A document as it is with an overlay.
pub(crate) enum Current<'a> {
    /// The overlay has it.
    Written(RecordId, &'a RawDocument),
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
        match self.written(collection, record) {
            Some(Became(now)) => Ok(now.map(|document| Current::Written(record, document))),
            None => Ok(ground.rows()?.document(collection, record)?.map(Current::Stored)),
        }
    }

    /// What became of a document, if anything did.
    pub(crate) fn written(
        &self,
        collection: CollectionId,
        record: RecordId,
    ) -> Option<Became<&RawDocument>> {
        self.documents.get(&(collection, record)).map(|Became(now)| Became(now.as_deref()))
    }

    /// What became of the documents of a collection whose records lie within the bounds, in their order.
    pub(crate) fn documents_within(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
    ) -> impl DoubleEndedIterator<Item = (RecordId, Option<&RawDocument>)> {
        let place = |record| (collection, record);
        let lower = match bounds.0 {
            Bound::Unbounded => Bound::Included(place(RecordId::MIN)),
            bound => bound.map(place),
        };
        let upper = match bounds.1 {
            Bound::Unbounded => Bound::Included(place(RecordId::MAX)),
            bound => bound.map(place),
        };
        let is_empty = is_empty((lower.as_ref(), upper.as_ref()));
        let found = (!is_empty).then(|| self.documents.range((lower, upper)));
        found.into_iter().flatten().map(|((_, record), Became(now))| (*record, now.as_deref()))
    }

    /// What became of the entries of an index between two edges, by the keys of their rows, in their order.
    pub(crate) fn entries_within<'o>(
        &'o self,
        index: IndexId,
        (lower, upper): (Edge<'_>, Edge<'_>),
    ) -> impl DoubleEndedIterator<Item = (&'o [u8], bool)> + use<'o> {
        let (lower, upper) = (lower.as_lower(index), upper.as_upper(index));
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let found = (!is_empty(bounds)).then(|| self.entries.range::<[u8], _>(bounds));
        found.into_iter().flatten().map(|(row, is_there)| (&**row, *is_there))
    }

    /// Whether the batch has written or deleted a document.
    pub(crate) fn has_changed(&self, collection: CollectionId, record: RecordId) -> bool {
        self.documents.contains_key(&(collection, record))
    }

    /// Whether the batch has written documents of the collection that are there still.
    pub(crate) fn has_documents(&self, collection: CollectionId) -> bool {
        let all = (collection, RecordId::MIN)..=(collection, RecordId::MAX);
        self.documents.range(all).any(|(_, Became(now))| now.is_some())
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
        for (row, is_there) in self.entries_within(index, edges) {
            let (_, _, other) = RowKey::entry_of(row).expect(WHOLE);
            if is_there && other != record {
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

    /// The document is to be this from now on; `None` when it is gone. Answers what was to become of it before.
    pub(crate) fn put_document(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        document: Option<RawDocumentBuf>,
    ) -> Option<Became<RawDocumentBuf>> {
        self.documents.insert((collection, record), Became(document))
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

    /// As [`Overlay::put_entry`], by the key of its row. Answers what was to become of it before.
    pub(crate) fn put_row(&mut self, row: Box<[u8]>, is_there: bool) -> Option<bool> {
        self.entries.insert(row, is_there)
    }

    /// Nothing is to become of a document.
    pub(super) fn forget_document(&mut self, collection: CollectionId, record: RecordId) {
        self.documents.remove(&(collection, record));
    }

    /// Nothing is to become of an entry.
    pub(super) fn forget_row(&mut self, row: &[u8]) {
        self.entries.remove(row);
    }

    /// Whether the batch has removed an entry, by the key of its row.
    pub(crate) fn has_removed(&self, row: &[u8]) -> bool {
        self.entries.get(row) == Some(&false)
    }

    /// What became of all documents, in their order.
    pub(crate) fn into_documents(
        self,
    ) -> impl Iterator<Item = ((CollectionId, RecordId), Option<RawDocumentBuf>)> {
        self.documents.into_iter().map(|(place, Became(now))| (place, now))
    }

    /// Everything as rows, in the order of their keys, and none is left.
    pub(crate) fn drain_into(&mut self, rows: &mut Vec<RowChange>) {
        for ((collection, record), Became(document)) in std::mem::take(&mut self.documents) {
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
    /// The rows of the last commit.
    pub(crate) fn new(disk: &'a Disk, published: &'a Published) -> Self {
        Self { last_commit: Some((disk, published)), rows: OnceCell::new() }
    }

    /// These rows.
    pub(crate) fn over(rows: Arc<Snapshot>) -> Self {
        Self { last_commit: None, rows: OnceCell::from(rows) }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> Result<&Snapshot, DiskError> {
        if let Some(rows) = self.rows.get() {
            return Ok(rows);
        }
        let (disk, published) = self.last_commit.expect("rows that are not given are on the disk");
        // The view is as new as the last commit, for nobody else commits.
        let rows = match published.view().try_rows() {
            Some(rows) => Arc::clone(rows),
            None => Arc::new(disk.snapshot()?),
        };
        Ok(self.rows.get_or_init(|| rows))
    }
}

impl Current<'_> {
    /// Its place in its collection.
    pub(crate) fn record(&self) -> RecordId {
        match self {
            Self::Written(record, _) => *record,
            Self::Stored(document) => document.record(),
        }
    }

    pub(crate) fn raw(&self) -> &RawDocument {
        match self {
            Self::Written(_, document) => document,
            Self::Stored(document) => document.raw(),
        }
    }
}

pub(super) const WHOLE: &str = "the overlay has whole keys";
