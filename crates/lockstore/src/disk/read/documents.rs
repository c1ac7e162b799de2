//! Reading documents and index entries, one by one, as they lie on disk.

use std::ops::Bound;

use bson::RawDocument;
use redb::{AccessGuard, ReadableTable};

use super::{RowGuards, RowRange, Snapshot, damaged, next};
use crate::codec::{CodecError, payload};
use crate::disk::DiskError;
use crate::disk::guard::{guarded, guarded_value};
use crate::documents::{CollectionId, Edge, IndexId, RecordId, is_empty};
use crate::records::{RecordError, document_of, entry_of};
use crate::rows::{RowKey, TableId};

/// A document as it lies on disk.
pub(crate) struct StoredDocument<'s> {
    record: RecordId,
    /// Compared with its checksum, and found to have the length of a document.
    value: AccessGuard<'s, &'static [u8]>,
}

/// The documents of a collection in their natural order, or against it.
///
/// A damaged tree is noticed although each row may be sound: rows that repeat, are out of order, or belong to
/// something else, are an error, and end the scan. So does any other damage but that of one document.
pub(crate) struct Documents<'s> {
    rows: Rows<'s>,
    collection: CollectionId,
    before: Option<RecordId>,
}

/// The entries of an index in the order of their keys, or against it. Damage is noticed as in [`Documents`].
pub(crate) struct Entries<'s> {
    rows: Rows<'s>,
    index: IndexId,
    /// The row before; empty at first.
    before: Vec<u8>,
}

/// An entry of an index: a key, and the record that has it.
pub(crate) struct Entry<'s> {
    /// Found to be long enough.
    row: AccessGuard<'s, &'static [u8]>,
    record: RecordId,
}

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the least to the greatest.
    Forward,
    /// From the greatest to the least.
    Backward,
}

/// Some rows of a table, in order or against it.
struct Rows<'s> {
    /// `None` when there are none.
    range: Option<RowRange<'s>>,
    direction: Direction,
}

impl Snapshot {
    /// One document, if it is there.
    pub(crate) fn document(
        &self,
        collection: CollectionId,
        record: RecordId,
    ) -> Result<Option<StoredDocument<'_>>, DiskError> {
        let Some(rows) = self.table(TableId::Documents)? else { return Ok(None) };
        let key = RowKey::document(collection, record);
        let value = guarded("read", || ReadableTable::get(rows, key.as_bytes()))?;
        value.map(|value| StoredDocument::new(key.as_bytes(), record, value)).transpose()
    }

    /// The documents of a collection whose records lie within the bounds.
    pub(crate) fn documents(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        direction: Direction,
    ) -> Result<Documents<'_>, DiskError> {
        let (lower, upper) = document_rows(collection, bounds);
        let bounds = (bytes_of(&lower), bytes_of(&upper));
        let rows = self.rows(TableId::Documents, bounds, direction)?;
        Ok(Documents { rows, collection, before: None })
    }

    /// At most `records_max` records of a collection, in their natural order. Looks at no document.
    pub(crate) fn records(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        records_max: usize,
    ) -> Result<Vec<RecordId>, DiskError> {
        let (lower, upper) = document_rows(collection, bounds);
        let bounds = (bytes_of(&lower), bytes_of(&upper));
        let rows = self.keys(TableId::Documents, bounds, records_max)?;
        rows.iter().map(|row| Ok(document_of(row)?.1)).collect()
    }

    /// The last record of a collection.
    pub(crate) fn last_record(
        &self,
        collection: CollectionId,
    ) -> Result<Option<RecordId>, DiskError> {
        let (lower, upper) = document_rows(collection, (Bound::Unbounded, Bound::Unbounded));
        let bounds = (bytes_of(&lower), bytes_of(&upper));
        let mut rows = self.rows(TableId::Documents, bounds, Direction::Backward)?;
        let Some((key, _)) = rows.next()? else { return Ok(None) };
        let (_, record) = document_of(guarded_value("read", || key.value())?)?;
        Ok(Some(record))
    }

    /// The keys of at most `rows_max` rows of a table, in order. Looks at no value.
    pub(crate) fn keys(
        &self,
        table: TableId,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        rows_max: usize,
    ) -> Result<Vec<Box<[u8]>>, DiskError> {
        let mut rows = self.rows(table, bounds, Direction::Forward)?;
        let mut keys = Vec::new();
        while keys.len() < rows_max
            && let Some((key, _)) = rows.next()?
        {
            keys.push(guarded_value("read", || key.value().into())?);
        }
        Ok(keys)
    }

    /// The entries of an index between two edges.
    pub(crate) fn entries(
        &self,
        index: IndexId,
        (lower, upper): (Edge<'_>, Edge<'_>),
        direction: Direction,
    ) -> Result<Entries<'_>, DiskError> {
        let (lower, upper) = (lower.as_lower(index), upper.as_upper(index));
        let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let rows = self.rows(TableId::IndexEntries, bounds, direction)?;
        Ok(Entries { rows, index, before: Vec::new() })
    }

    fn rows(
        &self,
        table: TableId,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        direction: Direction,
    ) -> Result<Rows<'_>, DiskError> {
        let range = match self.table(table)? {
            Some(rows) if !is_empty(bounds) => {
                Some(guarded("read", || ReadableTable::range::<&[u8]>(rows, bounds))?)
            }
            Some(_) | None => None,
        };
        Ok(Rows { range, direction })
    }
}

impl<'s> StoredDocument<'s> {
    fn new(
        key: &[u8],
        record: RecordId,
        value: AccessGuard<'s, &'static [u8]>,
    ) -> Result<Self, DiskError> {
        let bytes = guarded_value("read", || value.value())?;
        let damaged = |reason| RecordError::new(TableId::Documents.name(), key, reason);
        let document = payload(TableId::Documents, key, bytes).map_err(damaged)?;
        RawDocument::from_bytes(document).map_err(|error| {
            damaged(CodecError::Malformed { what: "document", reason: error.to_string() })
        })?;
        Ok(Self { record, value })
    }

    /// Its place in its collection.
    pub(crate) fn record(&self) -> RecordId {
        self.record
    }

    /// The document.
    pub(crate) fn raw(&self) -> &RawDocument {
        let (document, _) = self.value.value().split_last_chunk::<CHECKSUM_BYTES>().expect(CHECKED);
        RawDocument::from_bytes(document).expect(CHECKED)
    }
}

impl Entry<'_> {
    /// The key, without the index and the record.
    pub(crate) fn key(&self) -> &[u8] {
        let (_, key, _) = RowKey::entry_of(self.row.value()).expect(CHECKED);
        key
    }

    /// The record that has the key.
    pub(crate) fn record(&self) -> RecordId {
        self.record
    }

    /// The row's whole key.
    pub(crate) fn row(&self) -> &[u8] {
        self.row.value()
    }
}

impl<'s> Documents<'s> {
    fn read(&mut self) -> Result<Option<StoredDocument<'s>>, DiskError> {
        let Some((key, value)) = self.rows.next()? else { return Ok(None) };
        let key = guarded_value("read", || key.value())?;
        let (collection, record) = document_of(key)?;
        let is_in_order = match (self.before.replace(record), self.rows.direction) {
            (None, _) => true,
            (Some(before), Direction::Forward) => before < record,
            (Some(before), Direction::Backward) => before > record,
        };
        if !is_in_order || collection != self.collection {
            return Err(self.rows.damaged(TableId::Documents));
        }
        StoredDocument::new(key, record, value).map(Some)
    }
}

impl<'s> Entries<'s> {
    fn read(&mut self) -> Result<Option<Entry<'s>>, DiskError> {
        let Some((row, _)) = self.rows.next()? else { return Ok(None) };
        let bytes = guarded_value("read", || row.value())?;
        let (index, _, record) = entry_of(bytes)?;
        let is_in_order = match self.rows.direction {
            _ if self.before.is_empty() => true,
            Direction::Forward => self.before.as_slice() < bytes,
            Direction::Backward => self.before.as_slice() > bytes,
        };
        if !is_in_order || index != self.index {
            return Err(self.rows.damaged(TableId::IndexEntries));
        }
        self.before.clear();
        self.before.extend_from_slice(bytes);
        Ok(Some(Entry { row, record }))
    }
}

impl<'s> Iterator for Documents<'s> {
    type Item = Result<StoredDocument<'s>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl<'s> Iterator for Entries<'s> {
    type Item = Result<Entry<'s>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl<'s> Rows<'s> {
    fn next(&mut self) -> Result<Option<RowGuards<'s>>, DiskError> {
        let Some(range) = &mut self.range else { return Ok(None) };
        let row = next(|| match self.direction {
            Direction::Forward => range.next(),
            Direction::Backward => range.next_back(),
        });
        if row.is_err() {
            // What comes after damage is not worth more.
            self.range = None;
        }
        row
    }

    /// The rows of `table` are not where they belong. There are no more.
    fn damaged(&mut self, table: TableId) -> DiskError {
        self.range = None;
        damaged(format!("the rows of table {table} are out of order"))
    }
}

/// The rows of the documents of a collection whose records lie within the bounds.
fn document_rows(
    collection: CollectionId,
    (lower, upper): (Bound<RecordId>, Bound<RecordId>),
) -> (Bound<RowKey>, Bound<RowKey>) {
    let row = |record| RowKey::document(collection, record);
    let or_all = |bound: Bound<RecordId>, all| match bound {
        Bound::Unbounded => Bound::Included(row(all)),
        bound => bound.map(row),
    };
    (or_all(lower, RecordId::MIN), or_all(upper, RecordId::MAX))
}

fn bytes_of(bound: &Bound<RowKey>) -> Bound<&[u8]> {
    bound.as_ref().map(RowKey::as_bytes)
}

const CHECKSUM_BYTES: usize = size_of::<u32>();

/// Why a row can be read once more.
const CHECKED: &str = "the row was read when this was made";
