//! What an open transaction has read and changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode};
use lockcore::{Instant, Refusal};

use super::TransactionState;
use super::lock_change::LockChange;
use super::options::TransactionOptions;
use crate::disk::{DiskError, Snapshot};
use crate::documents::{
    Became, CollectionId, DocumentAnswer, DocumentTask, DocumentWriter, Ground, Inside,
    NewCollection, Overlay, Reading, RecordId, Write, Writes,
};
use crate::engine::Engine;
use crate::error::{AcquireError, ArgumentError, DocumentError, StoreError, TransactionSize};
use crate::fence::Fence;
use crate::view::View;

/// The work of a transaction that is open.
pub(super) struct Work {
    /// What it began with.
    view: Arc<View>,
    /// The rows of the view, also where it has no collections.
    rows: Arc<Snapshot>,
    writer: DocumentWriter,
    /// What it has changed. Readers share it while they read.
    overlay: Arc<Overlay>,
    /// How many tasks it has had done.
    sequence: u64,
    touched: BTreeMap<(CollectionId, RecordId), Touched>,
    /// How many bytes those have, before and after.
    bytes: usize,
    fences: Vec<Fence>,
    locks: Vec<LockChange>,
}

/// A document that it has changed.
struct Touched {
    before: Option<RawDocumentBuf>,
    /// How long it is now.
    bytes: usize,
}

impl Work {
    /// Begins with what is published now.
    pub(super) fn begin(engine: &Engine) -> Result<Self, DocumentError> {
        let view = Arc::clone(engine.reading()?.view());
        let rows = match view.try_rows() {
            Some(rows) => Arc::clone(rows),
            // There are no collections in them that it knows of.
            None => Arc::new(engine.with_disk(|disk| Ok::<_, StoreError>(disk.snapshot()?))?),
        };
        let catalog = view.catalog().clone();
        let writer = DocumentWriter::private(catalog, engine.clock.now(), engine.clock.wall());
        Ok(Self {
            view,
            rows,
            writer,
            overlay: Arc::default(),
            sequence: 0,
            touched: BTreeMap::new(),
            bytes: 0,
            fences: Vec::new(),
            locks: Vec::new(),
        })
    }

    /// What `transaction`, whose work this is, sees now.
    pub(super) fn reading(&self, transaction: &Arc<TransactionState>) -> Reading {
        let inside = Inside {
            transaction: Arc::clone(transaction),
            sequence: self.sequence,
            catalog: self.writer.catalog().clone(),
            rows: Arc::clone(&self.rows),
            overlay: Arc::clone(&self.overlay),
        };
        Reading::inside(Arc::clone(&self.view), inside)
    }

    /// Has the commit check that these grants are there.
    pub(super) fn require(&mut self, fences: &[Fence]) -> Result<(), Error> {
        for fence in fences {
            if !self.fences.contains(fence) {
                check_count("relies on", self.fences.len())?;
                self.fences.push(fence.clone());
            }
        }
        Ok(())
    }

    /// Has the commit change a lock, unless something stood in the way when the transaction began.
    pub(super) fn change_lock(
        &mut self,
        mut change: LockChange,
        now: Instant,
    ) -> Result<Result<(), Refusal>, DocumentError> {
        if self.locks.iter().any(|other| other.key() == change.key()) {
            let key = change.key().clone();
            return Err(AcquireError::from(ArgumentError::ChangedInTransaction { key }).into());
        }
        check_count("changes", self.locks.len())?;
        let looked = change.look(&self.view, now);
        if looked.is_ok() {
            self.locks.push(change);
        }
        Ok(looked)
    }

    /// Does a task. Nobody else sees it before the commit.
    pub(super) fn serve(&mut self, task: DocumentTask) -> Result<DocumentAnswer, DiskError> {
        self.sequence += 1;
        let ground = Ground::over(Arc::clone(&self.rows));
        let overlay = Arc::make_mut(&mut self.overlay);
        let (answer, changed) = self.writer.serve_on(overlay, task, &ground, self.sequence);
        for (collection, record) in changed {
            self.note(collection, record)?;
        }
        Ok(answer)
    }

    /// Notes what a document was before, when it is changed for the first time, and how long it is now.
    fn note(&mut self, collection: CollectionId, record: RecordId) -> Result<(), DiskError> {
        let Became(now) = self.overlay.written(collection, record).expect("it was changed");
        let now = now.map_or(0, |document| document.as_bytes().len());
        let place = (collection, record);
        if let Some(touched) = self.touched.get_mut(&place) {
            self.bytes -= touched.bytes;
            touched.bytes = now;
        } else {
            let before = self.rows.document(collection, record)?;
            let before = before.map(|document| document.raw().to_owned());
            self.bytes += before.as_ref().map_or(0, |before| before.as_bytes().len());
            self.touched.insert(place, Touched { before, bytes: now });
        }
        self.bytes += now;
        Ok(())
    }

    /// How large it is, if that is too large.
    pub(super) fn size(&self, options: &TransactionOptions) -> Option<TransactionSize> {
        let TransactionOptions { documents_max, bytes_max, .. } = *options;
        let (documents, bytes) = (self.touched.len(), self.bytes);
        let size = TransactionSize { documents, documents_max, bytes, bytes_max };
        (documents > documents_max || bytes > bytes_max).then_some(size)
    }

    /// What it wants to be committed. The reading that it held is over.
    pub(super) fn finish(self) -> (Vec<Fence>, Vec<LockChange>, Writes) {
        let Self { writer, overlay, mut touched, fences, locks, .. } = self;
        let made = writer.made().map(|collection| {
            let (uuid, options) = (collection.uuid(), collection.options().to_owned());
            (collection.id(), collection.namespace().clone(), NewCollection { uuid, options })
        });
        let collections = made.collect();
        let mut documents = Vec::new();
        for ((collection, record), after) in Arc::unwrap_or_clone(overlay).into_documents() {
            let before = touched.remove(&(collection, record)).and_then(|touched| touched.before);
            let write = match (before, after) {
                (None, None) => continue,
                (Some(before), Some(after)) if before == after => continue,
                (None, Some(after)) => Write::Insert(after),
                (Some(before), after) => Write::Change { record, before, after },
            };
            documents.push((collection, write));
        }
        (fences, locks, Writes { collections, documents })
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work")
            .field("sequence", &self.sequence)
            .field("documents", &self.touched.len())
            .field("bytes", &self.bytes)
            .field("fences", &self.fences)
            .field("locks", &self.locks)
            .finish_non_exhaustive()
    }
}

/// Checks that there may be one more of something.
fn check_count(does: &str, count: usize) -> Result<(), Error> {
    if count < LOCKS_MAX {
        return Ok(());
    }
    let message = format!("a transaction {does} at most {LOCKS_MAX} locks");
    Err(Error::new(ErrorCode::TRANSACTION_TOO_LARGE, message))
}

/// How many locks a transaction changes at most, and on how many it relies.
const LOCKS_MAX: usize = 1_000;
