//! Whether a transaction is open, and for how long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use docquery::{Error, ErrorCode};
use lockcore::{Command, Instant, Refusal};

use super::lock_change::{ChangedLocks, LockChange};
use super::options::TransactionOptions;
use super::work::Work;
use crate::documents::{DocumentAnswer, DocumentTask, Reading};
use crate::engine::Engine;
use crate::error::TransactionEnd::{Aborted, Committed, Expired};
use crate::error::{DocumentError, unexpected};
use crate::fence::Fence;
use crate::request::{Answer, Commit, Task};

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
    Open(Box<Work>),
    /// What everybody is told from now on.
    Over(DocumentError),
}

impl TransactionState {
    /// Begins with what is published now.
    pub(crate) fn begin(
        engine: &Engine,
        options: TransactionOptions,
    ) -> Result<Arc<Self>, DocumentError> {
        let began = engine.clock.now();
        let work = Work::begin(engine)?;
        let state = Arc::new(Self {
            number: engine.transactions.number(),
            deadline: began.saturating_add(options.lifetime),
            options,
            overdue: AtomicBool::new(false),
            phase: Mutex::new(Phase::Open(Box::new(work))),
        });
        engine.transactions.add(&state)?;
        engine.background.wake_by(state.deadline);
        Ok(state)
    }

    /// What the transaction sees now.
    pub(crate) fn reading(self: &Arc<Self>, engine: &Engine) -> Result<Reading, DocumentError> {
        self.with_work(engine, |work| Ok(work.reading(self)))
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
        self.with_work(engine, |work| {
            let answer = work.serve(task).map_err(|error| engine.read_failed(error))?;
            match work.size(&self.options) {
                Some(size) => Err(DocumentError::TransactionTooLarge(Box::new(size))),
                None => Ok(answer),
            }
        })
    }

    /// Whether it goes on after a command that has failed.
    pub(crate) fn goes_on(&self) -> bool {
        self.options.goes_on
    }

    /// Checks that it is open.
    pub(crate) fn check_open(&self, engine: &Engine) -> Result<(), DocumentError> {
        self.with_work(engine, |_| Ok(()))
    }

    /// Has the commit check that these grants are there.
    pub(crate) fn require(&self, engine: &Engine, fences: &[Fence]) -> Result<(), DocumentError> {
        self.with_work(engine, |work| Ok(work.require(fences)?))
    }

    /// Has the commit change a lock, unless something stood in the way when the transaction began.
    pub(crate) fn change_lock(
        &self,
        engine: &Engine,
        change: LockChange,
    ) -> Result<Result<(), Refusal>, DocumentError> {
        self.with_work(engine, |work| work.change_lock(change, engine.clock.now()))
    }

    /// Takes out all that it has come to. Everybody else is told that it was committed.
    fn take(&self, engine: &Engine) -> Result<Box<Work>, DocumentError> {
        engine.check_usable()?;
        let mut phase = self.open_phase(engine)?;
        let committed = DocumentError::TransactionOver(Committed);
        match std::mem::replace(&mut *phase, Phase::Over(committed)) {
            Phase::Open(work) => Ok(work),
            Phase::Over(why) => {
                *phase = Phase::Over(why.clone());
                Err(why)
            }
        }
    }

    /// It is over, and not committed. Who asks it for more is told `why`, unless it was over before.
    fn end(&self, engine: &Engine, why: DocumentError) {
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

    /// Commits what it has come to: `ask` asks the writer for that. Where it has only read, there is nothing to do. Its reading is
    /// over before, so that nobody waits for it meanwhile.
    pub(crate) fn commit(
        &self,
        engine: &Engine,
        ask: impl FnOnce(Task) -> Answer,
    ) -> Result<ChangedLocks, DocumentError> {
        let (fences, changes, writes) = self.take(engine)?.finish();
        engine.transactions.remove(self);
        let asked_at = engine.clock.now();
        let changes_nothing = writes.documents.is_empty() && writes.collections.is_empty();
        if changes_nothing && fences.is_empty() && changes.is_empty() {
            return Ok(ChangedLocks { asked_at, outcomes: Vec::new() });
        }
        let keys: Vec<_> = changes.iter().map(|change| change.key().clone()).collect();
        let locks = changes.into_iter().map(Command::from).collect();
        match ask(Task::Commit(Box::new(Commit { fences, locks, writes }))) {
            Answer::Committed(outcomes) => {
                let outcomes = keys.into_iter().zip(outcomes).collect();
                Ok(ChangedLocks { asked_at, outcomes })
            }
            Answer::Documents(answer) => match *answer {
                DocumentAnswer::Failed(error) => Err(error),
                other => Err(unexpected(&Answer::Documents(Box::new(other))).into()),
            },
            Answer::Failed(error) => Err(error.into()),
            other => Err(unexpected(&other).into()),
        }
    }

    /// It is given up.
    pub(crate) fn abort(&self, engine: &Engine) {
        self.end(engine, DocumentError::TransactionOver(Aborted));
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

    /// Does something with the work. It is over when that ends in an error that nothing can come after.
    fn with_work<T>(
        &self,
        engine: &Engine,
        f: impl FnOnce(&mut Work) -> Result<T, DocumentError>,
    ) -> Result<T, DocumentError> {
        engine.check_usable()?;
        let mut phase = self.open_phase(engine)?;
        let result = match &mut *phase {
            Phase::Open(work) => f(work),
            Phase::Over(why) => Err(why.clone()),
        };
        if let Err(error) = &result
            && error.is_final()
        {
            *phase = Phase::Over(error.clone());
        }
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
