//! The engine of an open store: the queue, the writer's seat, and who sits in it.
//!
//! Callers put requests into the queue. Whoever finds the seat free takes it, serves one batch with one
//! commit, leaves it, and delivers the answers. Nobody hops threads when the store is idle.
//!
//! The rule that keeps a request from being forgotten: **who leaves the seat looks at the queue after
//! leaving it**, and if it is not empty, makes somebody else sit down: a blocked caller of the next batch,
//! or else the background thread. A caller who finds the seat taken may sleep, because whoever sits there
//! has yet to leave.

mod alone;
mod answers;
mod checkpoints;
mod figures;
mod starting;
mod stopping;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use crossbeam_channel::{Receiver, Sender};
use docquery::{ErrorCode, Random};
use lockcore::{Command, Instant, Key, Token};

use crate::background::Background;
use crate::client_sessions::ClientSessions;
use crate::clock::Clock;
use crate::commands::{Cursors, Subscriptions};
use crate::disk::{Disk, DiskError};
use crate::error::{DocumentError, StoreError, unexpected};
use crate::events::Subscribers;
use crate::keep_alive::KeptLeases;
use crate::operations::Rivals;
use crate::options::Settings;
use crate::presence::SessionOwners;
use crate::recovery::Recovery;
use crate::request::{Answer, Reply, Request, Task};
use crate::slot::{GivenUp, Slot, Waiting, Woken};
use crate::transaction::OpenTransactions;
use crate::view::Published;
use crate::writer::{Answers, Surroundings, Writer, panic_text};

/// Everything that the handles of one open store share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    /// What the opening found.
    pub(crate) recovery: Recovery,
    pub(crate) published: Published,
    pub(crate) subscribers: Subscribers,
    pub(crate) kept: KeptLeases,
    pub(crate) background: Background,
    pub(crate) cursors: Cursors,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) session_owners: Arc<SessionOwners>,
    pub(crate) rivals: Rivals,
    /// The folder for what pipelines cannot hold in memory.
    pub(crate) scratch: PathBuf,
    pub(crate) random: Random,
    pub(crate) transactions: OpenTransactions,
    pub(crate) client_sessions: ClientSessions,
    /// The timestamp that was given last.
    pub(crate) timestamps: AtomicU64,
    /// `None` once the store is closed.
    disk: RwLock<Option<Disk>>,
    seat: Mutex<Seat>,
    /// Held by who has, or wants, the file alone.
    alone: Mutex<()>,
    queue: Sender<Request>,
    queued: Receiver<Request>,
    poison: OnceLock<Arc<str>>,
    closed: AtomicBool,
    opened_by: u32,
    /// As it was at the opening: a clone of it tells whether the process was forked since.
    opened_in: forkguard::Guard,
}

/// What comes with the writer's seat.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) writer: Writer,
    /// How long the last commit took.
    last_commit: Duration,
    /// How many callers there were at the ends of the last two batches, served or come meanwhile: so many are likely to
    /// come again.
    company: [usize; 2],
    /// How many batches in a row have left timers alone.
    timers_put_off: u32,
    /// When a checkpoint is to be made if nothing is committed until then.
    checkpoint_at: Option<Instant>,
    /// Answers that are to be delivered when the seat is free: who is woken may use the store.
    undelivered: Answers,
}

impl Engine {
    pub(crate) fn new(
        settings: Settings,
        clock: Arc<dyn Clock>,
        disk: Disk,
        (writer, client_sessions): (Writer, ClientSessions),
        recovery: Recovery,
        scratch: PathBuf,
    ) -> Result<Self, DiskError> {
        let catalog = writer.documents().catalog();
        let published = Published::new(writer.table().locks(), catalog, &disk)?;
        let (queue, queued) = crossbeam_channel::unbounded();
        Ok(Self {
            settings,
            clock,
            recovery,
            published,
            subscribers: Subscribers::default(),
            kept: KeptLeases::default(),
            background: Background::default(),
            cursors: Cursors::default(),
            subscriptions: Subscriptions::default(),
            session_owners: Arc::clone(writer.presences().owners()),
            rivals: Rivals::default(),
            scratch,
            random: Random::new(settings.seed),
            transactions: OpenTransactions::default(),
            client_sessions,
            timestamps: AtomicU64::new(0),
            disk: RwLock::new(Some(disk)),
            seat: Mutex::new(Seat {
                writer,
                last_commit: Duration::ZERO,
                company: [0; 2],
                timers_put_off: 0,
                checkpoint_at: None,
                undelivered: Answers::new(),
            }),
            alone: Mutex::new(()),
            queue,
            queued,
            poison: OnceLock::new(),
            closed: AtomicBool::new(false),
            opened_by: std::process::id(),
            opened_in: forkguard::new(),
        })
    }

    /// Whether the store may be used: by this process, open, and with no failed commit behind it.
    pub(crate) fn check_usable(&self) -> Result<(), StoreError> {
        // Reads come here, and to ask for the process id would take longer than all the rest of them.
        if self.opened_in.clone().detected_fork() {
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        if let Some(cause) = self.poison.get() {
            return Err(StoreError::Poisoned { cause: Arc::clone(cause) });
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    /// Why a pipeline has failed, which knows nothing of stores: because this one was closed or has stopped, if that is why.
    pub(crate) fn why_failed(&self, error: DocumentError) -> DocumentError {
        match self.check_usable() {
            Err(why) if error.code() == ErrorCode::SHUTDOWN_IN_PROGRESS => why.into(),
            _ => error,
        }
    }

    pub(crate) fn is_forked(&self) -> bool {
        std::process::id() != self.opened_by
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    /// Has `task` done, and blocks until it is answered.
    pub(crate) fn call(&self, task: Task) -> Answer {
        let slot = Arc::new(Slot::for_thread().of(&task));
        if let Err(error) = self.enqueue(task, Reply::Caller(Arc::clone(&slot))) {
            return Answer::Failed(error);
        }
        loop {
            if let Some(seat) = self.try_seat() {
                if let Some(deadline) = self.serve(seat) {
                    self.background.wake_by(deadline);
                }
                // Nearly always the answer is there now: this thread served it.
                if let Some(answer) = slot.try_take() {
                    return answer;
                }
            }
            if let Woken::Answered(answer) = slot.block() {
                return answer;
            }
        }
    }

    /// The caller of `slot` gives up. What it was granted meanwhile is handed on.
    pub(crate) fn give_up(&self, slot: &Slot) {
        match slot.give_up() {
            GivenUp::Answered(answer) => self.hand_on(slot, &answer),
            GivenUp::Waiting(Waiting::Lock(waiter)) => {
                self.post_or_warn(Task::Command(Command::Cancel { waiter }));
            }
            GivenUp::Waiting(Waiting::Document(ticket)) => {
                self.post_or_warn(Task::CancelDocument(ticket));
            }
            GivenUp::Unserved => {}
        }
    }

    /// Whether a grant that is remembered still stands, so that its holder may be told of it again. It is not handed on then for want of
    /// somebody who heard of it first.
    pub(crate) fn recall(&self, key: Key, token: Token) -> Result<bool, StoreError> {
        match self.call(Task::Recall { key, token }) {
            Answer::Noted => Ok(true),
            Answer::Refused(_) => Ok(false),
            Answer::Failed(error) => Err(error),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Queues a task whose answer nobody waits for.
    pub(crate) fn post_or_warn(&self, task: Task) {
        // The bound does not hold here: what ends a grant or a wait must not be lost, and there are no
        // more of these than there were grants and waits.
        if let Err(error) = self.enqueue(task, Reply::Nobody) {
            tracing::debug!(%error, "a release was not queued");
        }
        self.background.wake();
    }

    /// Serves what is queued and due, once, and tells when to look at the timers again. For the background
    /// thread.
    pub(crate) fn serve_now(&self) -> Option<Instant> {
        let mut seat = self.take_seat();
        self.serve_batch(&mut seat);
        self.checkpoint_if_idle(&mut seat);
        self.leave(seat)
    }

    /// Has documents agree with the grants behind their locks that an opening has found over, or has given more time, until no
    /// more than `still_locked` are locked.
    pub(crate) fn settle_documents(&self, still_locked: usize) -> Result<(), DiskError> {
        while self.in_seat(|seat| seat.writer.has_to_settle(still_locked)) {
            self.serve_now();
            if let Some(cause) = self.poison.get() {
                return Err(DiskError::Stopped { doing: "settle", what: cause.to_string() });
            }
        }
        Ok(())
    }

    /// Runs `f` while nothing can be written, on the state that is durable.
    pub(crate) fn in_seat<T>(&self, f: impl FnOnce(&mut Seat) -> T) -> T {
        let mut seat = self.take_seat();
        let result = f(&mut seat);
        if let Some(deadline) = self.leave(seat) {
            self.background.wake_by(deadline);
        }
        result
    }

    /// Runs `f` with the disk, beside the writer.
    pub(crate) fn with_disk<T, E: From<StoreError>>(
        &self,
        f: impl FnOnce(&Disk) -> Result<T, E>,
    ) -> Result<T, E> {
        self.check_usable()?;
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        f(disk.as_ref().ok_or(StoreError::Closed)?)
    }

    /// Runs `f` with the disk to itself: no reader, and no writer if the caller is in the seat.
    pub(crate) fn with_disk_alone<T>(
        &self,
        f: impl FnOnce(&mut Disk) -> Result<T, DiskError>,
    ) -> Result<T, StoreError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        Ok(f(disk.as_mut().ok_or(StoreError::Closed)?)?)
    }

    pub(crate) fn enqueue(&self, task: Task, reply: Reply) -> Result<(), StoreError> {
        self.check_usable()?;
        // What writes asks the kernel too: a child can be made behind the back of the C library.
        if self.is_forked() {
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        self.send(Request { task, reply });
        Ok(())
    }

    fn send(&self, request: Request) {
        self.queue.send(request).expect("the engine keeps the receiver");
    }

    fn try_seat(&self) -> Option<MutexGuard<'_, Seat>> {
        match self.seat.try_lock() {
            Ok(seat) => Some(seat),
            Err(TryLockError::Poisoned(seat)) => Some(seat.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn take_seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one batch and leaves the seat. Tells when the background thread has to look at the timers.
    fn serve(&self, mut seat: MutexGuard<'_, Seat>) -> Option<Instant> {
        self.wait_for_company(&seat);
        self.serve_batch(&mut seat);
        self.leave(seat)
    }

    /// Leaves the seat, sees to the next batch, and delivers the answers. Tells when the background thread
    /// has to look at the timers: at once when something is left in the backlog.
    fn leave(&self, mut seat: MutexGuard<'_, Seat>) -> Option<Instant> {
        let answers = std::mem::take(&mut seat.undelivered);
        let deadlines = [seat.writer.next_deadline(), seat.checkpoint_at];
        let next_deadline = deadlines.into_iter().flatten().min();
        drop(seat);
        self.hand_over();
        self.deliver(answers);
        self.subscribers.wake();
        next_deadline.filter(|_| !self.is_poisoned())
    }

    /// Where several callers were served together, or came while others were served, they are about to come again one by
    /// one. The first of them waits a moment for the others: for no longer than a commit takes, which is what it costs
    /// them to come too late, and never longer than [`PATIENCE_MAX`]. A caller who is alone never waits.
    fn wait_for_company(&self, seat: &Seat) {
        // One that was joined by chance is not company yet: of the last two batches, the smaller one counts.
        let company = seat.company[0].min(seat.company[1]);
        if company <= 1 {
            return;
        }
        let patience = seat.last_commit.min(PATIENCE_MAX);
        let start = StdInstant::now();
        while self.queued.len() + seat.writer.backlog.len() < company && start.elapsed() < patience
        {
            thread::yield_now();
        }
    }

    /// Serves one batch. Its answers are delivered when the seat is left.
    fn serve_batch(&self, seat: &mut Seat) {
        // Before the queue is read: where the disk has stalled, kept leases may be due to be renewed and
        // due to expire at once, and renewals go first.
        self.kept.ask_for_due(self.clock.now(), &mut seat.writer.backlog);
        let room = self.settings.batch_max.saturating_sub(seat.writer.backlog.len());
        seat.writer.backlog.extend(self.queued.try_iter().take(room));
        let callers =
            seat.writer.backlog.iter().filter(|request| request.caller().is_some()).count();
        // Who stands behind this batch may be asking for a renewal, and that goes before the expiry.
        let put_off = !self.queued.is_empty() && seat.timers_put_off < TIMERS_PUT_OFF_MAX;
        seat.timers_put_off = if put_off { seat.timers_put_off + 1 } else { 0 };
        if let Some(cause) = self.poison.get() {
            let error = StoreError::Poisoned { cause: Arc::clone(cause) };
            return self.fail_all(seat, &error);
        }
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        let Some(disk) = disk.as_ref() else {
            return self.fail_all(seat, &StoreError::Closed);
        };
        let around = Surroundings {
            clock: &*self.clock,
            disk,
            published: &self.published,
            subscribers: &self.subscribers,
            client_sessions: &self.client_sessions,
            audit_max: self.settings.audit_max,
            waiters_max: self.settings.limits.waiters_max,
            with_timers: !put_off,
        };
        let commits = seat.writer.figures.commits;
        let start = StdInstant::now();
        let served = catch_unwind(AssertUnwindSafe(|| seat.writer.serve(around)));
        if seat.writer.figures.commits > commits {
            seat.last_commit = start.elapsed();
            self.put_off_checkpoint(seat, disk.has_to_checkpoint());
        }
        seat.company = [seat.company[1], callers + self.queued.len()];
        match served {
            Ok(Ok(answers)) => seat.undelivered.extend(answers),
            Ok(Err(error)) => self.stop(&format!("a commit failed: {error}"), seat),
            Err(panic) => {
                self.stop(&format!("the writer panicked: {}", panic_text(&*panic)), seat);
            }
        }
    }

    /// Looks at the queue after the seat was left, and has somebody sit down if it is not empty.
    fn hand_over(&self) {
        if self.queued.is_empty() {
            return;
        }
        // Whoever sits there now looks at the queue when it leaves.
        let Some(mut seat) = self.try_seat() else { return };
        let backlog = &mut seat.writer.backlog;
        let room = self.settings.batch_max.saturating_sub(backlog.len());
        backlog.extend(self.queued.try_iter().take(room));
        let callers: Vec<_> = backlog.iter().filter_map(Request::caller).cloned().collect();
        drop(seat);
        if !callers.iter().any(|slot| slot.offer_seat()) {
            self.background.wake();
        }
    }
}

/// How long a caller waits for others at most: long beside a commit to a fast disk, short beside a slow one.
const PATIENCE_MAX: Duration = Duration::from_millis(1);

/// How many batches in a row may leave timers alone because more requests are queued behind them: by default
/// as many as empty a queue that is full.
const TIMERS_PUT_OFF_MAX: u32 = 64;
