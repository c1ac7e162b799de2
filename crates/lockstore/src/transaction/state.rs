//! What a transaction has read and changed so far.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use bson::RawDocumentBuf;
use docquery::{Error, ErrorCode};
use lockcore::Instant;

use super::lock::LockChange;
use super::options::TransactionOptions;
use crate::disk::{DiskError, Snapshot};
use crate::documents::{
    Became, CollectionId, DocumentAnswer, DocumentTask, DocumentWriter, Ground, Inside,
    NewCollection, Overlay, Reading, RecordId, Write, Writes,
};
use crate::engine::Engine;
use crate::error::TransactionEnd::{Aborted, Committed, Expired};
use crate::error::{DocumentError, StoreError, TransactionSize};
use crate::fence::Fence;
use crate::view::View;

/// A transaction as all its handles share it: itself, its collections and its cursors.
#[derive(Debug)]
pub(crate) struct TransactionState {
    number: u64,
    /// When it ends by itself.
    deadline: Instant,
    options: TransactionOptions,
    /// Whether that moment has come. Who holds the phase at that time looks at this when it lets go.
    overdue: AtomicBool,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    Open(Box<Open>),
    /// What everybody is told from now on.
    Over(DocumentError),
}

/// An open transaction.
pub(super) struct Open {
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
    pub(super) fences: Vec<Fence>,
    pub(super) locks: Vec<LockChange>,
}

/// A document that it has changed.
struct Touched {
    before: Option<RawDocumentBuf>,
    /// How long it is now.
    bytes: usize,
}

impl TransactionState {
    /// Begins with what is published now.
    pub(super) fn begin(
        engine: &Engine,
        options: TransactionOptions,
    ) -> Result<Arc<Self>, DocumentError> {
        let view = Arc::clone(engine.reading()?.view());
        let rows = match view.try_rows() {
            Some(rows) => Arc::clone(rows),
            // There are no collections in them that it knows of.
            None => Arc::new(engine.with_disk(|disk| Ok::<_, StoreError>(disk.snapshot()?))?),
        };
        let (now, wall) = (engine.clock.now(), engine.clock.wall());
        let writer = DocumentWriter::private(view.catalog().clone(), now, wall);
        let open = Open {
            view,
            rows,
            writer,
            overlay: Arc::default(),
            sequence: 0,
            touched: BTreeMap::new(),
            bytes: 0,
            fences: Vec::new(),
            locks: Vec::new(),
        };
        let state = Arc::new(Self {
            number: engine.transactions.number(),
            deadline: now.saturating_add(options.lifetime),
            options,
            overdue: AtomicBool::new(false),
            phase: Mutex::new(Phase::Open(Box::new(open))),
        });
        engine.transactions.add(&state)?;
        engine.background.wake_by(state.deadline);
        Ok(state)
    }

    /// What the transaction sees now.
    pub(crate) fn reading(self: &Arc<Self>, engine: &Engine) -> Result<Reading, DocumentError> {
        self.with_open(engine, |open| {
            let inside = Inside {
                transaction: Arc::clone(self),
                sequence: open.sequence,
                catalog: open.writer.catalog().clone(),
                rows: Arc::clone(&open.rows),
                overlay: Arc::clone(&open.overlay),
            };
            Ok(Reading::inside(Arc::clone(&open.view), inside))
        })
    }

    /// Does a task in the transaction. Nobody else sees it before the commit.
    pub(crate) fn serve(
        &self,
        engine: &Engine,
        task: DocumentTask,
    ) -> Result<DocumentAnswer, DocumentError> {
        if matches!(task, DocumentTask::Define(_) | DocumentTask::Build(_)) {
            let message = "collections and indexes cannot be made, changed or dropped in a transaction; one that is not there \
                           is made with its first document";
            let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
            return Err(Error::new(code, message).into());
        }
        let served = self.with_open(engine, |open| {
            let answer = open.serve(task).map_err(|error| engine.read_failed(error))?;
            match open.size(&self.options) {
                Some(size) => Err(DocumentError::TransactionTooLarge(Box::new(size))),
                None => Ok(answer),
            }
        });
        if let Err(error @ (DocumentError::TransactionTooLarge(_) | DocumentError::Store(_))) =
            &served
        {
            self.end(engine, error.clone());
        }
        served
    }

    /// Has the commit check that these grants are there.
    pub(crate) fn require(&self, engine: &Engine, fences: &[Fence]) -> Result<(), DocumentError> {
        self.with_open(engine, |open| {
            for fence in fences {
                if !open.fences.contains(fence) {
                    check_count("relies on", open.fences.len())?;
                    open.fences.push(fence.clone());
                }
            }
            Ok(())
        })
    }

    /// Has the commit change a lock. It is looked at before, in the view that the transaction began with.
    pub(super) fn change_lock(
        &self,
        engine: &Engine,
        change: impl FnOnce(&View) -> Result<LockChange, DocumentError>,
    ) -> Result<(), DocumentError> {
        self.with_open(engine, |open| {
            let change = change(&open.view)?;
            change.check_is_first(&open.locks)?;
            check_count("changes", open.locks.len())?;
            open.locks.push(change);
            Ok(())
        })
    }

    /// Takes out all that it has come to. Everybody else is told that it was committed.
    pub(super) fn take(&self, engine: &Engine) -> Result<Box<Open>, DocumentError> {
        engine.check_usable()?;
        let mut phase = self.open_phase(engine)?;
        let committed = DocumentError::TransactionOver(Committed);
        match std::mem::replace(&mut *phase, Phase::Over(committed)) {
            Phase::Open(open) => Ok(open),
            Phase::Over(why) => {
                *phase = Phase::Over(why.clone());
                Err(why)
            }
        }
    }

    /// It is over, and not committed. Who asks it for more is told `why`, unless it was over before.
    pub(super) fn end(&self, engine: &Engine, why: DocumentError) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match &*phase {
            Phase::Open(_) | Phase::Over(DocumentError::TransactionOver(Committed)) => {
                *phase = Phase::Over(why);
            }
            Phase::Over(_) => {}
        }
        drop(phase);
        engine.transactions.remove(self);
    }

    /// What a forked child does with a transaction of its parent: what it holds is not dropped, for that would tell redb.
    pub(super) fn forget(&self) {
        if let Ok(mut phase) = self.phase.try_lock() {
            let over = Phase::Over(DocumentError::TransactionOver(Aborted));
            std::mem::forget(std::mem::replace(&mut *phase, over));
        }
    }

    /// It has been open for long enough.
    pub(super) fn expire(&self) {
        self.overdue.store(true, Ordering::SeqCst);
        self.let_expire();
    }

    pub(super) fn place(&self) -> (Instant, u64) {
        (self.deadline, self.number)
    }

    fn let_expire(&self) {
        match self.phase.try_lock() {
            Ok(mut phase) => self.set_expired(&mut phase),
            Err(TryLockError::Poisoned(phase)) => self.set_expired(&mut phase.into_inner()),
            // Who holds it comes here when it lets go.
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn set_expired(&self, phase: &mut Phase) {
        if let Phase::Open(_) = phase {
            let lifetime = self.options.lifetime;
            *phase = Phase::Over(DocumentError::TransactionOver(Expired { lifetime }));
        }
    }

    fn with_open<T>(
        &self,
        engine: &Engine,
        f: impl FnOnce(&mut Open) -> Result<T, DocumentError>,
    ) -> Result<T, DocumentError> {
        engine.check_usable()?;
        let mut phase = self.open_phase(engine)?;
        let result = match &mut *phase {
            Phase::Open(open) => f(open),
            Phase::Over(why) => Err(why.clone()),
        };
        drop(phase);
        if self.overdue.load(Ordering::SeqCst) {
            self.let_expire();
        }
        result
    }

    /// The phase, which is over if it was open for too long, or if something panicked in it.
    fn open_phase(&self, engine: &Engine) -> Result<MutexGuard<'_, Phase>, DocumentError> {
        let mut phase = match self.phase.lock() {
            Ok(phase) => phase,
            Err(poisoned) => {
                let mut phase = poisoned.into_inner();
                *phase = Phase::Over(DocumentError::TransactionOver(Aborted));
                phase
            }
        };
        if engine.clock.now() >= self.deadline {
            self.set_expired(&mut phase);
        }
        match &*phase {
            Phase::Open(_) => Ok(phase),
            Phase::Over(why) => Err(why.clone()),
        }
    }
}

impl Open {
    fn serve(&mut self, task: DocumentTask) -> Result<DocumentAnswer, DiskError> {
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
    fn size(&self, options: &TransactionOptions) -> Option<TransactionSize> {
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

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
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
