//! Clearing away: the rows of what was dropped go in bounded steps, when nothing else is to be done.

use std::ops::Bound;

use super::DocumentWriter;
use crate::disk::DiskError;
use crate::documents::overlay::Ground;
use crate::documents::{CollectionId, Edge, IndexId, RecordId};
use crate::rows::{RowKey, TableId};

impl DocumentWriter {
    /// Whether rows are left of something that was dropped.
    pub(crate) fn has_to_clear(&self) -> bool {
        !self.clearances.is_empty() && !self.cannot_clear
    }

    /// What was dropped and may have rows: collections, unless it is only indexes of theirs, and indexes.
    pub(crate) fn cleared(&self) -> Vec<(Option<CollectionId>, Vec<IndexId>)> {
        let cleared = self.clearances.iter().map(|(id, clearance)| {
            (clearance.dropped.as_ref().map(|_| *id), clearance.indexes.clone())
        });
        cleared.collect()
    }

    /// Clears a bounded number of rows away. Comes before the tasks of a batch: what they drop is not on disk yet.
    pub(crate) fn clear(&mut self, ground: &Ground<'_>) {
        if let Err(error) = self.clear_some(ground) {
            tracing::warn!(%error, "the rows of what was dropped are left until the next opening");
            self.cannot_clear = true;
        }
    }

    fn clear_some(&mut self, ground: &Ground<'_>) -> Result<(), DiskError> {
        let mut left = ROWS_PER_STEP;
        while left > 0
            && let Some((&id, clearance)) = self.clearances.iter().next()
        {
            let cleared = match (clearance.indexes.last(), &clearance.dropped) {
                (Some(&index), _) => self.clear_index(index, left, ground)?,
                (None, Some(_)) => self.clear_documents(id, left, ground)?,
                (None, None) => 0,
            };
            if cleared < left {
                self.finish_part(id);
            }
            left -= cleared;
        }
        Ok(())
    }

    /// One index, or the documents, of a clearance are gone. Its last row is the one that says so.
    fn finish_part(&mut self, id: CollectionId) {
        let clearance = self.clearances.get_mut(&id).expect("a part of it was cleared");
        let was_last = match clearance.indexes.pop() {
            Some(_) => clearance.indexes.is_empty() && clearance.dropped.is_none(),
            None => true,
        };
        if was_last {
            self.clearances.remove(&id);
        }
        self.batch.redefined.insert(id);
    }

    fn clear_index(
        &mut self,
        index: IndexId,
        rows_max: usize,
        ground: &Ground<'_>,
    ) -> Result<usize, DiskError> {
        let bounds = (Edge::Open.as_lower(index), Edge::Open.as_upper(index));
        let bounds = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        let rows = ground.rows()?.keys(TableId::IndexEntries, bounds, rows_max)?;
        let cleared = rows.len();
        for row in rows {
            self.batch.overlay.put_row(row, false);
        }
        Ok(cleared)
    }

    fn clear_documents(
        &mut self,
        collection: CollectionId,
        rows_max: usize,
        ground: &Ground<'_>,
    ) -> Result<usize, DiskError> {
        let first = RowKey::document(collection, RecordId::MIN);
        let last = RowKey::document(collection, RecordId::MAX);
        let bounds = (Bound::Included(first.as_bytes()), Bound::Included(last.as_bytes()));
        let rows = ground.rows()?.keys(TableId::Documents, bounds, rows_max)?;
        let cleared = rows.len();
        for row in rows {
            let (collection, record) =
                RowKey::document_of(&row).expect("it lies between keys of its length");
            self.batch.overlay.put_document(collection, record, None);
        }
        Ok(cleared)
    }
}

/// How many rows one step clears away: it takes no longer than a few commits of locks.
const ROWS_PER_STEP: usize = 2_048;
