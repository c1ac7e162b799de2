//! Reading documents as of one commit.

use std::ops::Bound;
use std::sync::Arc;

use super::merged::{self, Documents, Entries};
use super::overlay::{Current, Overlay};
use super::{Catalog, Collection, CollectionId, Edge, IndexId, RecordId};
use crate::disk::{Direction, DiskError, Snapshot};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::transaction::TransactionState;
use crate::view::View;

/// The documents and locks as of one commit, for somebody who reads them.
///
/// The file grows while this is held and others write: take one, read, and drop it, at the latest after
/// seconds. Nobody may wait for the writer while holding one, nor take another.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// It has its rows, unless it has no collections.
    view: Arc<View>,
    /// What the transaction sees on top of it in which this was taken.
    inside: Option<Inside>,
}

/// What a transaction sees at some moment, besides the view that it began with.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) transaction: Arc<TransactionState>,
    /// How many tasks it has had done.
    pub(crate) sequence: u64,
    pub(crate) catalog: Catalog,
    /// The rows of the view, also where it has no collections.
    pub(crate) rows: Arc<Snapshot>,
    pub(crate) overlay: Arc<Overlay>,
}

impl Engine {
    /// The documents and locks as of the last commit. Waits while the file is compacted or checked.
    pub(crate) fn reading(&self) -> Result<Reading, StoreError> {
        loop {
            self.check_usable()?;
            let view = self.published.view();
            if view.try_rows().is_some() || view.catalog().is_empty() {
                return Ok(Reading { view: Arc::clone(&view), inside: None });
            }
            drop(view);
            self.published.wait_for_rows();
        }
    }

    /// What a reader is told whom the disk gave `error`: that the store was closed or has stopped, if that is why.
    pub(crate) fn read_failed(&self, error: DiskError) -> StoreError {
        self.check_usable().err().unwrap_or_else(|| error.into())
    }
}

impl Reading {
    /// What a transaction sees that began with `view`.
    pub(crate) fn inside(view: Arc<View>, inside: Inside) -> Self {
        Self { view, inside: Some(inside) }
    }

    /// The transaction in which it was taken, if it was in one.
    pub(crate) fn transaction(&self) -> Option<&Arc<TransactionState>> {
        self.inside.as_ref().map(|inside| &inside.transaction)
    }

    /// How many batches had changed something, or how many tasks the transaction has had done: later readings have a higher
    /// one.
    pub(crate) fn sequence(&self) -> u64 {
        self.inside.as_ref().map_or(self.view.sequence, |inside| inside.sequence)
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.inside.as_ref().map_or(self.view.catalog(), |inside| &inside.catalog)
    }

    /// The locks of the same commit.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// One document, if it is there.
    pub(crate) fn document(
        &self,
        collection: CollectionId,
        record: RecordId,
    ) -> Result<Option<Current<'_>>, DiskError> {
        match &self.inside {
            None => Ok(self.rows().document(collection, record)?.map(Current::Stored)),
            Some(Inside { rows, overlay, .. }) => {
                merged::document(rows, overlay, collection, record)
            }
        }
    }

    /// The documents of a collection whose records lie within the bounds, in their natural order or against it.
    pub(crate) fn documents(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        direction: Direction,
    ) -> Result<Documents<'_>, DiskError> {
        let stored = self.rows().documents(collection, bounds, direction)?;
        Ok(match &self.inside {
            None => Documents::Stored(stored),
            Some(Inside { overlay, .. }) => {
                Documents::merged(stored, overlay, collection, bounds, direction)
            }
        })
    }

    /// At most `records_max` records of a collection, in their natural order. Looks at no document. Not in a transaction.
    pub(crate) fn records(
        &self,
        collection: CollectionId,
        bounds: (Bound<RecordId>, Bound<RecordId>),
        records_max: usize,
    ) -> Result<Vec<RecordId>, DiskError> {
        self.rows().records(collection, bounds, records_max)
    }

    /// The last record of a collection. Not in a transaction.
    pub(crate) fn last_record(
        &self,
        collection: CollectionId,
    ) -> Result<Option<RecordId>, DiskError> {
        self.rows().last_record(collection)
    }

    /// The entries of an index between two edges, in the order of their keys or against it.
    pub(crate) fn entries(
        &self,
        index: IndexId,
        edges: (Edge<'_>, Edge<'_>),
        direction: Direction,
    ) -> Result<Entries<'_>, DiskError> {
        let stored = self.rows().entries(index, edges, direction)?;
        Ok(match &self.inside {
            None => Entries::Stored(stored),
            Some(Inside { overlay, .. }) => {
                Entries::merged(stored, overlay, index, edges, direction)
            }
        })
    }

    /// How many documents the collection has. Counts them when it is asked for the first time after an opening.
    pub(crate) fn count(&self, collection: &Collection) -> Result<u64, DiskError> {
        let growth = self.catalog().growth(collection.id());
        let at_opening = collection.counted(|| {
            let index = collection.id_index().id();
            let entries = self.entries(index, (Edge::Open, Edge::Open), Direction::Forward)?;
            let mut counted = 0_u64;
            for entry in entries {
                entry?;
                counted += 1;
            }
            Ok::<_, DiskError>(counted.saturating_sub_signed(growth))
        })?;
        Ok(at_opening.saturating_add_signed(growth))
    }

    fn rows(&self) -> &Snapshot {
        let rows = self.inside.as_ref().map(|inside| &inside.rows);
        rows.or(self.view.try_rows()).expect("a reading with collections has their rows")
    }
}
