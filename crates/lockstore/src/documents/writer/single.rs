//! The change of single documents that somebody else has decided on: those of document locks.

use bson::{RawDocument, RawDocumentBuf};
use docquery::Filter;

use super::{DocumentWriter, STEPS_PER_BATCH};
use crate::documents::change::check_size;
use crate::documents::contained::contained;
use crate::documents::overlay::Ground;
use crate::documents::task::STEPS_PER_TASK;
use crate::documents::write_set::WriteSet;
use crate::documents::{CollectionId, RecordId};
use crate::error::DocumentError;

/// Whether a document matches.
#[derive(Debug)]
pub(crate) enum Match {
    /// It is gone, or does not.
    Passed,
    /// To find that out is too much work.
    Left,
    /// It does, and is this.
    Found(RawDocumentBuf),
}

/// A change that can no longer fail.
#[derive(Debug)]
pub(crate) struct Prepared {
    collection: CollectionId,
    record: RecordId,
    after: Option<RawDocumentBuf>,
    set: WriteSet,
}

impl DocumentWriter {
    /// Which documents the batch has changed so far, in that order, and each as often as it was.
    pub(crate) fn changed(&self) -> &[(CollectionId, RecordId)] {
        &self.batch.changed
    }

    /// Which documents of a collection have changed since the reading of that sequence, the last one first; `None` when
    /// that is not known any more.
    pub(crate) fn changed_since(
        &self,
        sequence: u64,
        collection: CollectionId,
    ) -> Option<impl Iterator<Item = RecordId>> {
        let in_batch = self.batch.changed.iter().rev();
        let in_batch = in_batch.filter(move |(other, _)| *other == collection);
        let before = self.history.changed_since(sequence, collection)?;
        Some(in_batch.map(|(_, record)| *record).chain(before))
    }

    /// A document as it is now, if it is there.
    pub(crate) fn document(
        &self,
        (collection, record): (CollectionId, RecordId),
        ground: &Ground<'_>,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        let current = self.batch.overlay.document(collection, record, ground)?;
        Ok(current.map(|current| current.raw().to_owned()))
    }

    /// Whether a document, as it is now, matches. One that has not changed since the reading of `seen`, on which it did, does
    /// still.
    pub(crate) fn matching(
        &mut self,
        filter: &Filter,
        seen: Option<u64>,
        (collection, record): (CollectionId, RecordId),
        ground: &Ground<'_>,
    ) -> Result<Match, DocumentError> {
        let current = self.batch.overlay.document(collection, record, ground)?;
        let Some(current) = current else { return Ok(Match::Passed) };
        let document = current.raw();
        let unchanged = seen.is_some_and(|seen| self.is_unchanged(seen, collection, record));
        let steps = if unchanged { 0 } else { filter.cost().of(document) };
        if steps > STEPS_PER_TASK {
            return Ok(Match::Left);
        }
        let matches = unchanged || contained(|| Ok(filter.matches(document)?))?;
        let found = if matches { Match::Found(document.to_owned()) } else { Match::Passed };
        self.batch.steps = self.batch.steps.saturating_add(steps);
        Ok(found)
    }

    /// Notes that the batch has evaluated something.
    pub(crate) fn spend(&mut self, steps: u64) {
        self.batch.steps = self.batch.steps.saturating_add(steps);
    }

    /// Whether the batch has evaluated as much as it may.
    pub(crate) fn has_no_steps_left(&self) -> bool {
        self.batch.steps >= STEPS_PER_BATCH
    }

    /// Finds out what else changes when a document becomes `after`. Nothing is changed yet.
    pub(crate) fn prepare(
        &self,
        (collection, record): (CollectionId, RecordId),
        before: &RawDocument,
        after: Option<RawDocumentBuf>,
        ground: &Ground<'_>,
    ) -> Result<Prepared, DocumentError> {
        let after = after.map(check_size).transpose()?;
        let known = self.catalog.collection_with(collection);
        let known = known.expect("a document that is there has a collection");
        let set = self.write_set(known, record, (Some(before), after.as_deref()), ground)?;
        Ok(Prepared { collection, record, after, set })
    }

    /// Makes a change that was prepared since the last one.
    pub(crate) fn put(&mut self, prepared: Prepared) {
        let Prepared { collection, record, after, set } = prepared;
        self.write(collection, record, after, set, true);
    }
}
