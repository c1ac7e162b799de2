//! Reading the entries of an index, one by one, as they lie on disk.

use super::range::{Direction, Rows};
use super::{CHECKED, Snapshot, Value};
use crate::disk::DiskError;
use crate::documents::{Edge, IndexId, RecordId};
use crate::records::entry_of;
use crate::rows::{RowKey, TableId};

/// The entries of an index in the order of their keys, or against it. Damage is noticed as in [`Documents`](super::Documents).
pub(crate) struct Entries<'s> {
    rows: Rows<'s>,
    index: IndexId,
    /// The row before; empty at first.
    before: Vec<u8>,
}

/// An entry of an index: a key, and the record that has it.
pub(crate) struct Entry<'s> {
    /// Found to be long enough.
    row: Value<'s>,
    record: RecordId,
}

impl Snapshot {
    /// The entries of an index between two edges.
    pub(crate) fn entries(
        &self,
        index: IndexId,
        (lower, upper): (Edge<'_>, Edge<'_>),
        direction: Direction,
    ) -> Result<Entries<'_>, DiskError> {
        let bounds = (lower.as_lower(index), upper.as_upper(index));
        let rows = self.rows(TableId::IndexEntries, bounds, direction)?;
        Ok(Entries { rows, index, before: Vec::new() })
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

impl<'s> Entries<'s> {
    fn read(&mut self) -> Result<Option<Entry<'s>>, DiskError> {
        let Some((row, _)) = self.rows.next()? else { return Ok(None) };
        let bytes = row.value();
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

impl<'s> Iterator for Entries<'s> {
    type Item = Result<Entry<'s>, DiskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
