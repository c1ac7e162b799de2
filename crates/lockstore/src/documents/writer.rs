//! The writer's half of documents: what only the thread in the writer's seat touches.

mod apply;
mod build;
mod clear;
mod commit;
mod define;
mod expire;
mod insert;
mod modify;
mod persist;
mod private;
mod single;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use build::Doubts;
use expire::Expiry;

pub(crate) use single::Match;

use super::contained::contained;
use super::history::History;
use super::overlay::{Ground, Overlay};
use super::task::STEPS_PER_TASK;
use super::write_set::WriteSet;
use super::{Catalog, Collection, CollectionId, DocumentAnswer, DocumentTask, IndexId, RecordId};
use crate::error::DocumentError;
use crate::records::IdsRecordV1;

/// The collections as the batch that is being served has left them, and what serving needs besides.
#[derive(Debug)]
pub(crate) struct DocumentWriter {
    catalog: Catalog,
    ids: IdsRecordV1,
    /// The record that a collection gives next.
    next_records: BTreeMap<CollectionId, RecordId>,
    /// What was dropped and still has rows.
    clearances: BTreeMap<CollectionId, Clearance>,
    /// Whether what was dropped could not be read.
    cannot_clear: bool,
    /// What may keep indexes that are being built from becoming ready.
    doubts: BTreeMap<IndexId, Doubts>,
    expiry: Expiry,
    history: History,
    batch: Batch,
}

/// What a batch has done to documents so far.
#[derive(Debug, Default)]
struct Batch {
    overlay: Overlay,
    /// Whether the overlay has older changes too, as that of a transaction has: the history knows them.
    has_older: bool,
    /// The documents that it has changed.
    changed: Vec<(CollectionId, RecordId)>,
    /// The collections whose records it has changed.
    redefined: BTreeSet<CollectionId>,
    /// The collections that it has given other names.
    renamed: Vec<CollectionId>,
    /// Whether ids were given.
    numbered: bool,
    /// Whether it has rows.
    written: bool,
    /// How many documents it has looked at, and how many bytes it has written.
    documents: usize,
    bytes: usize,
    /// How many steps it has taken at most to work out what documents are to be.
    steps: u64,
}

/// What is left of a collection, or of some of its indexes.
#[derive(Clone, Debug, Default)]
struct Clearance {
    /// The collection as it was, if all of it was dropped.
    dropped: Option<Arc<Collection>>,
    indexes: Vec<IndexId>,
}

/// What the change of a document comes to.
#[derive(Clone, Copy, Debug)]
struct Becomes {
    /// How many bytes the document has now.
    bytes: usize,
    /// How many documents more, or less, there are.
    growth: i64,
}

impl Becomes {
    fn of(new: Option<&RawDocument>, was_there: bool) -> Self {
        let bytes = new.map_or(0, |new| new.as_bytes().len());
        Self { bytes, growth: i64::from(new.is_some()) - i64::from(was_there) }
    }
}

impl DocumentWriter {
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether the batch has had its share of work: further tasks wait for the next.
    pub(crate) fn is_spent(&self) -> bool {
        self.batch.documents >= DOCUMENTS_PER_BATCH
            || self.batch.bytes >= BYTES_PER_BATCH
            || self.batch.steps >= STEPS_PER_BATCH
    }

    /// Whether the batch had rows, so that a new view must be published: the next batch stands on it.
    pub(crate) fn has_written(&self) -> bool {
        self.batch.written
    }

    /// Does a task, in the batch. It is durable with the rows of the batch.
    pub(crate) fn serve(&mut self, task: DocumentTask, ground: &Ground<'_>) -> DocumentAnswer {
        match task {
            DocumentTask::Insert(insert) => self.insert(insert, ground),
            DocumentTask::Modify(modify) => self.modify(&modify, ground),
            DocumentTask::Apply(apply) => self.apply(apply, ground),
            DocumentTask::Upsert(upsert) => self.upsert(upsert, ground),
            DocumentTask::Define(definition) => self.define(definition, ground),
            DocumentTask::Build(steps) => self.build(&steps, ground),
        }
    }

    /// Whether a document is still what it was on the reading of `sequence`. May say no of one that is.
    pub(crate) fn is_unchanged(
        &self,
        sequence: u64,
        collection: CollectionId,
        record: RecordId,
    ) -> bool {
        // Of a transaction each task is a batch, and each document has one turn in it.
        let in_batch = !self.batch.has_older && self.batch.overlay.has_changed(collection, record);
        !in_batch && self.history.is_unchanged_since(sequence, collection, record)
    }

    /// The batch is durable, and published under `sequence`.
    pub(crate) fn published(&mut self, sequence: u64) {
        self.history.note(sequence, self.batch.changed.drain(..));
        if !self.batch.renamed.is_empty() {
            self.history.forget(sequence);
        }
    }

    /// Makes one document what it is to be, and its entries with it: all of it or nothing.
    fn write(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        new: Option<RawDocumentBuf>,
        set: WriteSet,
        was_there: bool,
    ) {
        let becomes = Becomes::of(new.as_deref(), was_there);
        let overlay = &mut self.batch.overlay;
        overlay.put_document(collection, record, new);
        for (index, key) in &set.removed {
            overlay.put_entry(*index, key, record, false);
        }
        for (index, key) in &set.added {
            overlay.put_entry(*index, key, record, true);
        }
        self.note(collection, record, becomes, set);
    }

    /// Notes a change that the overlay has. This cannot fail.
    fn note(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        becomes: Becomes,
        set: WriteSet,
    ) {
        self.batch.documents += 1;
        self.batch.bytes += becomes.bytes;
        self.batch.changed.push((collection, record));
        if becomes.growth != 0 {
            self.catalog.grow(collection, becomes.growth);
        }
        for (index, key) in &set.added {
            self.saw_key(*index, key);
        }
        for (index, doubt) in set.doubts {
            self.note_doubt(index, doubt);
        }
        for (index, multikey) in set.multikey {
            self.note_multikey(collection, index, multikey);
        }
    }

    /// The write set of a document that is there, and is to become `new`; `None` when it is gone already.
    fn change_set(
        &self,
        collection: CollectionId,
        record: RecordId,
        new: Option<&RawDocument>,
        ground: &Ground<'_>,
    ) -> Result<Option<WriteSet>, DocumentError> {
        let old = self.batch.overlay.document(collection, record, ground)?;
        let Some(old) = old else { return Ok(None) };
        let known = self.catalog.collection_with(collection).expect("it has documents");
        self.write_set(known, record, (Some(old.raw()), new), ground).map(Some)
    }

    /// The write set of a document that is to become `new`, and was `old`.
    fn write_set(
        &self,
        collection: &Collection,
        record: RecordId,
        documents: (Option<&RawDocument>, Option<&RawDocument>),
        ground: &Ground<'_>,
    ) -> Result<WriteSet, DocumentError> {
        contained(|| WriteSet::new(collection, record, documents, &self.batch.overlay, ground))
    }
}

/// How many documents one batch changes, before further tasks wait for the next. Whoever renews a lease
/// waits for one batch at most.
const DOCUMENTS_PER_BATCH: usize = 1_024;

/// How many bytes of documents one batch writes, before further tasks wait for the next.
const BYTES_PER_BATCH: usize = 16 << 20;

/// After how many steps of working out what documents are to be further tasks wait for the next batch.
const STEPS_PER_BATCH: u64 = 2 * STEPS_PER_TASK;
