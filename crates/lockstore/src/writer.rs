//! The writer: serves one batch of requests at a time, and makes it durable with one commit.

mod breaks;
mod client_sessions;
mod document_locks;
mod document_waiters;
mod effects;
mod lock_document;
mod sessions;
mod transaction;
mod unlock_document;

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use lockcore::{
    Command, Instant, Key, Now, Outcome, Poll, Refusal, Release, Table, Token, Transition, WaiterId,
};

use client_sessions::Sweeping;
use document_locks::DocumentLocks;
use document_waiters::DocumentWaiters;
pub(crate) use sessions::Presences;

use crate::client_sessions::ClientSessions;
use crate::clock::{Clock, WallTime};
use crate::disk::{Disk, DiskError};
use crate::document_locks::DocumentAt;
use crate::documents::{DocumentAnswer, DocumentTask, DocumentWriter, Ground};
use crate::events::{EventKind, Subscribers};
use crate::format::Format;
use crate::numbers::Numbers;
use crate::request::{Answer, Reply, Request, Task};
use crate::rows::RowChange;
use crate::slot::{Slot, Waiting};
use crate::view::Published;

/// What only the thread in the writer's seat touches.
#[derive(Debug)]
pub(crate) struct Writer {
    table: Table,
    /// Who is told when a waiter is served.
    waiting: HashMap<WaiterId, Arc<Slot>>,
    /// Grants that more than one caller was told of, as one holder acquired them more than once.
    joined: HashSet<Token>,
    /// Grants that their holder was told of by what was remembered of them, whatever becomes of the answer that told it first.
    recalled: HashSet<Token>,
    /// Requests taken from the queue and not served yet, in order.
    pub(crate) backlog: Vec<Request>,
    numbers: Numbers,
    format: Format,
    documents: DocumentWriter,
    document_locks: DocumentLocks,
    document_waiters: DocumentWaiters,
    presences: Presences,
    sweeping: Sweeping,
    /// How many batches in a row have left what was dropped alone.
    clearing_put_off: u32,
    batch: Batch,
    pub(crate) figures: Figures,
}

/// What a batch needs from the store around the writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) disk: &'a Disk,
    pub(crate) published: &'a Published,
    pub(crate) subscribers: &'a Subscribers,
    pub(crate) client_sessions: &'a ClientSessions,
    pub(crate) audit_max: u64,
    pub(crate) waiters_max: usize,
    /// Whether this batch serves what time has made due.
    pub(crate) with_timers: bool,
}

/// Figures for [`Stats`](crate::Stats).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) commits: u64,
    pub(crate) requests: u64,
    pub(crate) batch_max: usize,
}

/// The answers of a batch, to be delivered once the seat is free.
pub(crate) type Answers = Vec<(Reply, Answer)>;

/// The batch that is being served. Its buffers are kept from batch to batch.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<RowChange>,
    touched: Vec<Key>,
    events: Vec<EventKind>,
    answers: Answers,
    /// Everybody who asked in this batch, so that nobody is forgotten if serving it panics.
    asked: Vec<Reply>,
    /// What could not be finished, and goes to the head of the backlog.
    unfinished: Vec<Request>,
}

/// The moment of a batch.
#[derive(Clone, Copy)]
struct Moment<'a> {
    now: Now,
    wall: WallTime,
    around: Surroundings<'a>,
    ground: &'a Ground<'a>,
    tell: bool,
}

impl Writer {
    /// Goes on from what an opening has found. The documents at `renewed` are to show the new leases of their locks.
    pub(crate) fn new(
        table: Table,
        numbers: Numbers,
        format: Format,
        documents: DocumentWriter,
        renewed: Vec<DocumentAt>,
        presences: Presences,
        now: Instant,
    ) -> Self {
        let keys = table.locks().map(|lock| lock.key());
        let document_locks = DocumentLocks::restore(keys, renewed.into_iter());
        Self {
            table,
            waiting: HashMap::new(),
            joined: HashSet::new(),
            recalled: HashSet::new(),
            backlog: Vec::new(),
            numbers,
            format,
            documents,
            document_locks,
            document_waiters: DocumentWaiters::new(now),
            presences,
            sweeping: Sweeping::new(now),
            clearing_put_off: 0,
            batch: Batch::default(),
            figures: Figures::default(),
        }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn documents(&self) -> &DocumentWriter {
        &self.documents
    }

    /// How many documents are locked by side grants.
    pub(crate) fn document_locks_len(&self) -> usize {
        self.document_locks.len()
    }

    /// Whether documents are locked by side grants that are over, where so many are not, or do not show their leases.
    pub(crate) fn has_to_settle(&self, still_locked: usize) -> bool {
        self.document_locks.len() > still_locked || self.document_locks.has_unshown()
    }

    /// How many callers wait for documents.
    pub(crate) fn document_waiters_len(&self) -> usize {
        self.document_waiters.len()
    }

    /// Serves the backlog, and what time has made due, with one commit. The answers may be delivered when
    /// this returns: what they tell is durable and published.
    ///
    /// # Errors
    ///
    /// The commit failed. What it carried may or may not be on disk; the store must stop.
    pub(crate) fn serve(&mut self, around: Surroundings<'_>) -> Result<Answers, DiskError> {
        let ground = Ground::new(around.disk, around.published);
        let moment = self.moment(around, &ground);
        self.documents.begin(moment.now.instant, moment.wall);
        self.document_locks.begin();
        self.document_waiters.begin();
        let requests = std::mem::take(&mut self.backlog);
        self.batch.asked.extend(requests.iter().map(|request| request.reply.clone()));
        self.figures.requests += requests.len() as u64;
        self.figures.batch_max = self.figures.batch_max.max(requests.len());

        // Renewals go before expiries: after a stall both may be due, and the holder that asks is alive.
        let (renewals, others): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(Request::is_renewal);
        for request in renewals {
            self.serve_request(request, moment);
        }
        if around.with_timers {
            self.serve_timers(moment);
            self.documents.expire(&ground);
            self.serve_waiting_times(moment);
            self.sweep_client_sessions(moment)?;
        }
        self.follow(moment);
        self.clear_if_idle(others.is_empty(), &ground);
        for request in others {
            self.serve_request(request, moment);
        }
        std::mem::swap(&mut self.backlog, &mut self.batch.unfinished);

        let has_committed = self.commit(moment)?;
        self.publish(moment, has_committed)?;
        self.batch.asked.clear();
        Ok(std::mem::take(&mut self.batch.answers))
    }

    /// When the writer must be called again: at once if it left something undone.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.backlog.is_empty() || self.documents.has_to_clear() {
            return Some(Instant::ZERO);
        }
        let documents = self.documents.next_expiry();
        let deadlines = [
            self.table.next_deadline(),
            documents,
            self.document_waiters.next_deadline(),
            self.sweeping.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Notes in the file where tokens and the time stand at a clean close.
    pub(crate) fn farewell(&mut self, disk: &Disk, wall: WallTime) -> Result<(), DiskError> {
        // A store that was only read is left as it is.
        if self.figures.commits == 0 {
            return Ok(());
        }
        disk.commit(&self.numbers.farewell(self.table.next_token(), wall))
    }

    /// Adds to `problems` what does not hold of the locks, waiters and timers.
    pub(crate) fn check_invariants(&self, problems: &mut Vec<String>) {
        let checked = catch_unwind(AssertUnwindSafe(|| self.table.check_invariants()));
        if let Err(panic) = checked {
            problems.push(format!("the locks in memory: {}", panic_text(&*panic)));
        }
    }

    /// Everybody who still waits for an answer, when the store stops.
    pub(crate) fn abandon(&mut self) -> Vec<Reply> {
        let waiting = self.waiting.drain().map(|(_, slot)| Reply::Caller(slot));
        let backlog = self.backlog.drain(..).map(|request| request.reply);
        let unfinished = self.batch.unfinished.drain(..).map(|request| request.reply);
        let unanswered = self.batch.answers.drain(..).map(|(reply, _)| reply);
        let asked = self.batch.asked.drain(..);
        let waiting = waiting.chain(self.document_waiters.abandon());
        let all = waiting.chain(backlog).chain(unfinished).chain(unanswered).chain(asked);
        let mut told = HashSet::new();
        all.filter(|reply| reply.id().is_none_or(|id| told.insert(id))).collect()
    }

    fn moment<'a>(&mut self, around: Surroundings<'a>, ground: &'a Ground<'a>) -> Moment<'a> {
        let wall = around.clock.wall();
        if let Some(mark) = self.numbers.see(wall) {
            tracing::warn!(?wall, ?mark, "the wall clock went backwards");
            self.batch.events.push(EventKind::ClockWentBackwards { mark, now: wall });
        }
        let now = Now { instant: around.clock.now(), stamp: wall.as_millis() };
        Moment { now, wall, around, ground, tell: !around.subscribers.is_empty() }
    }

    fn serve_request(&mut self, request: Request, moment: Moment<'_>) {
        if request.is_given_up() {
            return;
        }
        let Request { task, reply } = request;
        self.serve_task(task, reply, moment);
        self.follow(moment);
    }

    fn serve_task(&mut self, task: Task, reply: Reply, moment: Moment<'_>) {
        match task {
            Task::Command(command @ Command::Acquire(_)) => {
                let decision = self.acquire(&command, moment);
                self.settle(decision, reply, moment);
            }
            Task::Command(Command::CloseSession { session }) => {
                self.close_session(&Command::CloseSession { session }, reply, moment);
            }
            Task::Command(command) => {
                let decision = self.table.decide(moment.now, &command);
                self.settle(decision, reply, moment);
            }
            Task::HandOn { token, .. } if self.joined.contains(&token) => {}
            Task::HandOn { key, holder, token } => {
                let release = Command::Release(Release { key, holder, token: Some(token) });
                let decision = self.table.decide(moment.now, &release);
                self.settle(decision, reply, moment);
            }
            Task::HandOnUnheard { token, .. } if self.recalled.contains(&token) => {}
            Task::Recall { key, token } => {
                let stands = self.table.lock(&key).and_then(|lock| lock.grant_with(token));
                let answer = if stands.is_some() {
                    self.recalled.insert(token);
                    Answer::Noted
                } else {
                    Answer::Refused(Refusal::NotHeld)
                };
                self.batch.answers.push((reply, answer));
            }
            Task::Break { key, token, reason } => {
                let answer = self.break_lock(key, token, reason.into(), moment);
                self.batch.answers.push((reply, answer));
            }
            // What comes behind a task that has to wait waits too, so that tasks keep their order.
            task @ (Task::Documents { .. }
            | Task::Commit(_)
            | Task::LockDocument(_)
            | Task::UnlockDocument(_)
            | Task::BreakDocument(_)
            | Task::HandOnUnheard { .. })
                if self.documents.is_spent() =>
            {
                self.batch.unfinished.push(Request { task, reply });
            }
            Task::HandOnUnheard { task, .. } => self.serve_task(*task, reply, moment),
            Task::Documents { fences, task } => {
                let defines = matches!(*task, DocumentTask::Define(_));
                let answer = match self.check_fences(&fences, moment) {
                    Ok(()) => self.documents.serve(*task, moment.ground),
                    Err(error) => DocumentAnswer::Failed(error),
                };
                self.batch.answers.push((reply, Answer::Documents(Box::new(answer))));
                if defines {
                    self.follow_drops(moment);
                }
            }
            Task::Commit(commit) => {
                let answer = self.commit_transaction(*commit, moment);
                self.batch.answers.push((reply, answer));
            }
            Task::LockDocument(take) => self.lock_document(*take, reply, moment),
            Task::UnlockDocument(give_back) => self.unlock_document(&give_back, reply, moment),
            Task::OpenSession(presence) => self.open_session(presence, reply, moment),
            Task::LoseSessions { instance, ends_at } => {
                self.lose_sessions(instance, ends_at, reply, moment);
            }
            Task::TakeUpSessions(presence) => self.take_up_sessions(presence, reply, moment),
            Task::CancelDocument(ticket) => self.cancel_document(ticket),
            Task::BreakDocument(task) => self.break_document(&task, reply, moment),
            Task::Once { origin, task } => self.serve_once(&origin, *task, reply, moment),
            Task::ReserveTokens { at_least } => {
                self.table.reserve_tokens(at_least);
                let next = self.table.next_token();
                self.batch.answers.push((reply, Answer::NextToken(next)));
            }
            Task::OpenClientSession => self.batch.answers.push((reply, Answer::Noted)),
            Task::EndClientSessions(sessions) => {
                self.sweeping.end(sessions);
                self.batch.answers.push((reply, Answer::Noted));
            }
        }
    }

    /// An acquisition that meets a lease which has run out does not have to wait for its expiry's turn.
    fn acquire(&mut self, acquire: &Command, moment: Moment<'_>) -> Result<Transition, Refusal> {
        let Command::Acquire(wanted) = acquire else { unreachable!("only acquisitions come here") };
        // Where timers are put off for renewals that may be on their way, they are put off here too.
        let expiries_max = if moment.around.with_timers { TIMERS_FIRED_MAX } else { 0 };
        for _ in 0..expiries_max {
            let decision = self.table.decide(moment.now, acquire);
            let met_somebody = match &decision {
                Ok(Transition { outcome: Outcome::Granted(granted), .. }) => granted.rejoined,
                Ok(_) => true,
                Err(refusal) => matches!(refusal, Refusal::Held(_)),
            };
            let overdue =
                met_somebody.then(|| self.table.overdue(&wanted.key, moment.now.instant)).flatten();
            let Some(expire) = overdue else { return decision };
            let expired = self.table.decide(moment.now, &expire)?;
            self.apply(&expired, moment);
        }
        self.table.decide(moment.now, acquire)
    }

    fn settle(&mut self, decision: Result<Transition, Refusal>, reply: Reply, moment: Moment<'_>) {
        let answer = match decision {
            Ok(transition) => {
                self.apply(&transition, moment);
                match transition.outcome {
                    Outcome::Waiting(waiter) => return self.await_turn(waiter, reply, moment),
                    Outcome::Granted(granted) if granted.rejoined => {
                        self.joined.insert(granted.token);
                        Answer::Done(transition.outcome)
                    }
                    outcome => Answer::Done(outcome),
                }
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        self.batch.answers.push((reply, answer));
    }

    /// Keeps the reply of somebody who waits until its turn has come.
    fn await_turn(&mut self, waiter: WaiterId, reply: Reply, moment: Moment<'_>) {
        if let Reply::Caller(slot) = reply
            && slot.queued(Waiting::Lock(waiter))
        {
            self.waiting.insert(waiter, slot);
            return;
        }
        // Nobody is there to be told: the caller gave up just now.
        let cancelled = self.table.decide(moment.now, &Command::Cancel { waiter });
        self.apply(&cancelled.expect("a waiter that was just queued can leave"), moment);
    }

    /// Ends a bounded part of a session; what is left goes on in the next batch.
    fn close_session(&mut self, close: &Command, reply: Reply, moment: Moment<'_>) {
        for _ in 0..SESSION_STEPS_MAX {
            match self.table.decide(moment.now, close) {
                Ok(transition) if transition.outcome == Outcome::SessionClosing => {
                    self.apply(&transition, moment);
                }
                decision => return self.settle(decision, reply, moment),
            }
        }
        self.batch.unfinished.push(Request { task: Task::Command(close.clone()), reply });
    }

    /// Clears away what was dropped, when nothing else is to be done, or has been to be done for a while.
    fn clear_if_idle(&mut self, is_idle: bool, ground: &Ground<'_>) {
        if !self.documents.has_to_clear() {
            return;
        }
        if is_idle || self.clearing_put_off >= CLEARING_PUT_OFF_MAX {
            self.clearing_put_off = 0;
            self.documents.clear(ground);
        } else {
            self.clearing_put_off += 1;
        }
    }

    /// Expires leases and ends waits that are due, up to a bound: the rest is due in the next batch.
    fn serve_timers(&mut self, moment: Moment<'_>) {
        let mut budget = TIMERS_MOVED_MAX;
        for _ in 0..TIMERS_FIRED_MAX {
            let Poll::Due(command) = self.table.poll(moment.now.instant, &mut budget) else {
                return;
            };
            let transition = self.table.decide(moment.now, &command);
            self.apply(&transition.expect("what is due can be done"), moment);
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// How many due timers one batch serves: a thousand leases that end in one moment do not stop the store.
const TIMERS_FIRED_MAX: usize = 1_024;
/// How many timers one batch moves inside the wheel.
const TIMERS_MOVED_MAX: u32 = 65_536;
/// How many locks and waits of an ending session one batch ends.
const SESSION_STEPS_MAX: usize = 256;
/// How many batches in a row may leave what was dropped alone because they have something else to do.
const CLEARING_PUT_OFF_MAX: u32 = 32;
