//! The writer of a transaction: the same tasks with the same errors, on an overlay that nobody else sees.

use std::collections::BTreeMap;

use lockcore::Instant;

use super::{Batch, DocumentWriter, Expiry};
use crate::clock::WallTime;
use crate::documents::history::History;
use crate::documents::overlay::{Ground, Overlay};
use crate::documents::{Catalog, Collection, CollectionId, DocumentAnswer, DocumentTask, RecordId};
use crate::records::IdsRecordV1;

impl DocumentWriter {
    /// A writer that begins with the collections of `catalog`. Its rows never go to the disk: it gives ids and records of its
    /// own, for which the commit gives others.
    pub(crate) fn private(catalog: Catalog, now: Instant, wall: WallTime) -> Self {
        Self {
            catalog,
            ids: IdsRecordV1 { next_collection: FIRST_PRIVATE_ID, next_index: FIRST_PRIVATE_ID },
            next_records: BTreeMap::new(),
            clearances: BTreeMap::new(),
            cannot_clear: false,
            doubts: BTreeMap::new(),
            expiry: Expiry::new(now, wall),
            history: History::default(),
            batch: Batch::default(),
        }
    }

    /// Does a task on `overlay`, whose next reading has the sequence `sequence`. Gives the documents that it has changed too.
    pub(crate) fn serve_on(
        &mut self,
        overlay: &mut Overlay,
        task: DocumentTask,
        ground: &Ground<'_>,
        sequence: u64,
    ) -> (DocumentAnswer, Vec<(CollectionId, RecordId)>) {
        self.batch =
            Batch { overlay: std::mem::take(overlay), has_older: true, ..Batch::default() };
        let answer = self.serve(task, ground);
        *overlay = std::mem::take(&mut self.batch.overlay);
        let changed = self.batch.changed.clone();
        self.published(sequence);
        (answer, changed)
    }

    /// The collections that were made here.
    pub(crate) fn made(&self) -> impl Iterator<Item = &Collection> {
        let made = |collection: &&Collection| collection.id().get() >= FIRST_PRIVATE_ID;
        self.catalog.iter().map(|collection| &**collection).filter(made)
    }
}

/// The ids of transactions' own collections and indexes begin here; no store gives ids beyond.
pub(super) const FIRST_PRIVATE_ID: u32 = 1 << 31;
