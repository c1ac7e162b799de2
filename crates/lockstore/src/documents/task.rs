//! What the writer is asked to do with documents, and what it answers.
//!
//! Each task is atomic document by document, bounded, and planned by its caller on a
//! [`Reading`](super::Reading). What the writer finds is newer than that. Where this matters it answers
//! [`DocumentAnswer::Again`], has changed nothing, and the caller plans anew.

use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::Filter;

use super::{
    After, Collection, CollectionId, Definition, IndexId, Modification, Namespace, RecordId,
};
use crate::error::DocumentError;

/// One task.
#[derive(Debug)]
pub(crate) enum DocumentTask {
    Insert(Insert),
    Modify(Modify),
    Apply(Apply),
    Upsert(Upsert),
    Define(Definition),
    Build(Steps),
}

/// What has become of a task, once it is durable.
#[derive(Clone, Debug)]
pub(crate) enum DocumentAnswer {
    Inserted(Inserted),
    Modified(Box<Modified>),
    /// An upsert inserted its document.
    Upserted,
    Defined(Defined),
    Built(Built),
    /// Nothing was done, because the plan is out of date. On a new reading it will be another.
    Again,
    /// Nothing was done.
    Failed(DocumentError),
}

/// Documents to be inserted. Each is complete: checked, and with an `_id` in front.
#[derive(Debug)]
pub(crate) struct Insert {
    pub(crate) namespace: Namespace,
    /// What becomes of the namespace if it is not there; without it the answer is then
    /// [`DocumentAnswer::Again`].
    pub(crate) create: Option<NewCollection>,
    pub(crate) documents: Vec<RawDocumentBuf>,
    /// Whether the first document that cannot be inserted is the last that is tried.
    pub(crate) ordered: bool,
}

/// What a collection is made with.
#[derive(Clone, Debug)]
pub(crate) struct NewCollection {
    /// 16 random bytes, marked as a UUID of version 4.
    pub(crate) uuid: [u8; 16],
    /// Its options as they are listed.
    pub(crate) options: RawDocumentBuf,
}

/// What has become of [`Insert`].
#[derive(Clone, Debug)]
pub(crate) struct Inserted {
    /// One for each document that was tried, in their order.
    pub(crate) results: Vec<Result<(), DocumentError>>,
    /// What was too much for one task: to be inserted by another, unless the insertion is ordered and has failed.
    pub(crate) rest: Vec<RawDocumentBuf>,
}

/// A change of documents that a scan has found.
#[derive(Debug)]
pub(crate) struct Modify {
    pub(crate) collection: CollectionId,
    /// What the scan has found, in its order, each record once.
    pub(crate) candidates: Vec<RecordId>,
    /// The sequence of the reading on which the scan began.
    pub(crate) seen: u64,
    /// What a document that has changed since must still match when its turn comes.
    pub(crate) filter: Arc<Filter>,
    pub(crate) change: Modification,
    pub(crate) reach: Reach,
}

/// Changes of documents that their caller has worked out, as they may be more work than the writer has time for.
#[derive(Debug)]
pub(crate) struct Apply {
    pub(crate) collection: CollectionId,
    /// The sequence of the reading on which they were worked out.
    pub(crate) seen: u64,
    /// What each document is to be, each record once.
    pub(crate) changes: Vec<(RecordId, After)>,
}

/// How many of the candidates are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The first that still matches; where none does the answer is [`DocumentAnswer::Again`].
    First,
    /// Each that still matches.
    Each,
}

/// What has become of [`Modify`], or of [`Apply`].
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "matched and modified are MongoDB's words")]
pub(crate) struct Modified {
    /// How many candidates have had their turn. The rest was too much for one task, and is to be asked for by another.
    pub(crate) taken: usize,
    /// Those of them that were left as they are: working out what they are to be is more work than the writer may have,
    /// or they are not what their caller has worked it out for any more. To be worked out by the caller, for [`Apply`].
    pub(crate) left: Vec<RecordId>,
    /// How many matched.
    pub(crate) matched: u64,
    /// How many of these are different now, or gone.
    pub(crate) modified: u64,
    /// With [`Reach::First`]: the one that matched.
    pub(crate) found: Option<Found>,
    /// Why the candidate behind those that were taken could not be changed. What was done before stays.
    pub(crate) error: Option<DocumentError>,
}

/// A document that was changed, or found to need no change.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) before: RawDocumentBuf,
    /// `None` when it was deleted; the same as before when nothing was to be changed.
    pub(crate) after: Option<RawDocumentBuf>,
}

/// An insertion of a document, if nothing matches a filter.
#[derive(Debug)]
pub(crate) struct Upsert {
    pub(crate) namespace: Namespace,
    /// As in [`Insert`].
    pub(crate) create: Option<NewCollection>,
    /// What no document of the collection matched, in the reading that has the sequence `seen`.
    pub(crate) filter: Arc<Filter>,
    pub(crate) seen: u64,
    /// Complete: checked, and with an `_id` in front.
    pub(crate) document: RawDocumentBuf,
}

/// What a transaction has changed, each document once: done as a whole or not at all.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Collections that are to be made, by the ids that the transaction has given them.
    pub(crate) collections: Vec<(CollectionId, Namespace, NewCollection)>,
    /// In the order of their collections, and of their records there.
    pub(crate) documents: Vec<(CollectionId, Write)>,
}

/// What becomes of one document.
#[derive(Debug)]
pub(crate) enum Write {
    /// It is inserted, behind all others of its collection.
    Insert(RawDocumentBuf),
    /// It is still what it was `before`, byte for byte, and becomes `after`, or is gone.
    Change { record: RecordId, before: RawDocumentBuf, after: Option<RawDocumentBuf> },
}

/// What has become of a [`Definition`].
#[derive(Clone, Debug)]
pub(crate) enum Defined {
    /// The collection as it is now; after it was dropped, as it was.
    Collection(Arc<Collection>),
    /// How many collections were dropped.
    DroppedDatabase { collections: usize },
    /// The indexes that were asked for are there, or are being built.
    Indexes(NewIndexes),
}

/// What has become of [`Definition::CreateIndexes`].
#[derive(Clone, Debug)]
pub(crate) struct NewIndexes {
    /// The collection as it is now.
    pub(crate) collection: Arc<Collection>,
    /// Whether it was created for this.
    pub(crate) created_collection: bool,
    /// How many indexes there were before.
    pub(crate) before: usize,
    /// Those that must be built, which [`Engine::create_indexes`](crate::engine::Engine::create_indexes) does.
    pub(crate) to_build: Vec<IndexId>,
}

/// A step of the building of indexes. One that fails drops those that are not ready.
#[derive(Debug)]
pub(crate) struct Steps {
    pub(crate) collection: CollectionId,
    pub(crate) indexes: Arc<[IndexId]>,
    pub(crate) step: BuildStep,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum BuildStep {
    /// Documents that were there before are added.
    Add { records: Vec<RecordId> },
    /// All were added, and the indexes become ready.
    Finish,
    /// The indexes are dropped, unless they are ready.
    Abort,
}

/// What has become of [`Steps`].
#[derive(Clone, Debug)]
pub(crate) enum Built {
    /// So many records have had their turn. The rest was too much for one task.
    Added { taken: usize },
    /// The indexes are ready. The collection as it is now.
    Ready(Arc<Collection>),
    /// The indexes are gone.
    Aborted,
}

/// How many documents one task tries at most.
pub(crate) const DOCUMENTS_PER_TASK: usize = 256;

/// After how many bytes of documents a task ends, unless it has none left.
pub(crate) const BYTES_PER_TASK: usize = 4 << 20;

/// After how many steps, as [`docquery::Cost`] counts them, of working out what documents are to be a task ends. They take
/// some 10 ms, and are enough to set a field of the largest document. One that alone is more work is left to the caller.
pub(crate) const STEPS_PER_TASK: u64 = 32 << 20;

/// How many documents one step of a build adds at most.
pub(crate) const BUILD_RECORDS_PER_TASK: usize = 512;
