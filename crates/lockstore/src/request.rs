//! What callers put into the writer's queue, and what they get back.

use std::sync::Arc;

use lockcore::{
    Command, Granted, Holder, Instant, Key, LeaveCause, Outcome, Refusal, SessionId, Token,
};

use crate::client_sessions::{Lsid, Origin};
use crate::document_locks::{BreakDocument, GiveBack, LockAnswer, Take, Ticket};
use crate::documents::{DocumentAnswer, DocumentTask, Writes};
use crate::error::StoreError;
use crate::fence::Fence;
use crate::info::BreakRecord;
use crate::keep_alive::KeptLease;
use crate::presence::{Instance as Client, Presence};
use crate::slot::Slot;

/// One call on its way to the writer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) task: Task,
    pub(crate) reply: Reply,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// A command for the table.
    Command(Command),
    /// The release of a grant that its caller gave up before it was told, unless somebody else was told of it.
    HandOn { key: Key, holder: Holder, token: Token },
    /// The end of a grant that nobody was told of, unless somebody has recalled it.
    HandOnUnheard { token: Token, task: Box<Task> },
    /// Whether a remembered grant still stands. If so its holder is told of it now, and it is handed on no more as one that nobody was told of.
    Recall { key: Key, token: Token },
    /// A break, with its audit record in the same commit.
    Break { key: Key, token: Token, reason: Box<str> },
    /// Something with documents, if the fences hold.
    Documents { fences: Vec<Fence>, task: Box<DocumentTask> },
    /// The commit of a transaction.
    Commit(Box<Commit>),
    /// The lock of a document.
    LockDocument(Box<Take>),
    /// Its release.
    UnlockDocument(Box<GiveBack>),
    /// The break of the lock of a document, with its audit record in the same commit.
    BreakDocument(Box<BreakDocument>),
    /// A session that is somebody's presence.
    OpenSession(Presence),
    /// All sessions of a client are to end at a time, unless they are taken up.
    LoseSessions { instance: Client, ends_at: Instant },
    /// All sessions of a client are taken up.
    TakeUpSessions(Presence),
    /// The end of a wait for a document: its caller gave up.
    CancelDocument(Ticket),
    /// A task of a client session: what it comes to is remembered in the commit that does it.
    Once { origin: Arc<Origin>, task: Box<Task> },
    /// All grants from now on are to get tokens that are at least this.
    ReserveTokens { at_least: Token },
    /// Nothing but a row for a client session.
    OpenClientSession,
    /// The end of client sessions: their rows are deleted.
    EndClientSessions(Vec<Lsid>),
}

/// What a transaction wants: all of it is done, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    /// The grants that it relies on.
    pub(crate) fences: Vec<Fence>,
    /// Locks that it acquires without waiting, renews and releases, each of another key.
    pub(crate) locks: Vec<Command>,
    /// The documents that it has changed.
    pub(crate) writes: Writes,
}

/// Where the answer goes.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// To a caller who waits for it.
    Caller(Arc<Slot>),
    /// To a guard that is kept alive.
    KeptLease(Arc<KeptLease>),
    /// Nowhere: the caller has gone on.
    Nobody,
}

/// What a call gets back, after the commit that carries it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// It is done.
    Done(Outcome),
    /// It waited, and the lock is its own now.
    HandedOff(Granted),
    /// The grant is broken, and recorded.
    Broken(Box<BreakRecord>),
    /// What has become of a task with documents, or why a transaction was not committed.
    Documents(Box<DocumentAnswer>),
    /// A transaction is committed. What has become of its locks, in their order.
    Committed(Box<[Outcome]>),
    /// What has become of a document lock.
    DocumentLock(Box<LockAnswer>),
    /// The sessions of a client that were lost or taken up.
    Sessions(Box<[SessionId]>),
    /// The lowest token that a grant can get from now on.
    NextToken(Token),
    /// It was taken note of.
    Noted,
    /// It was refused, and nothing has changed.
    Refused(Refusal),
    /// It waited, and its wait is over.
    Left(LeaveCause),
    /// The store cannot serve.
    Failed(StoreError),
}

impl Task {
    /// By what its answer is remembered, if it is.
    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        match self {
            Self::Once { origin, .. } => Some(origin),
            _ => None,
        }
    }

    /// The same task, whose answer is remembered by `origin` if there is one.
    pub(crate) fn remembered_by(self, origin: Option<Arc<Origin>>) -> Self {
        match origin {
            Some(origin) => Self::Once { origin, task: Box::new(self) },
            None => self,
        }
    }
}

impl Reply {
    /// Tells apart whom the answers of a batch go to: each gets one.
    pub(crate) fn id(&self) -> Option<*const ()> {
        match self {
            Self::Caller(slot) => Some(Arc::as_ptr(slot).cast()),
            Self::KeptLease(lease) => Some(Arc::as_ptr(lease).cast()),
            Self::Nobody => None,
        }
    }
}

impl Request {
    /// Whether it prolongs a lease that may be about to expire: such requests are served first.
    pub(crate) fn is_renewal(&self) -> bool {
        let task = match &self.task {
            Task::Once { task, .. } => task,
            task => task,
        };
        matches!(task, Task::Command(Command::Renew(_)))
    }

    /// The caller who waits for its answer, if one does.
    pub(crate) fn caller(&self) -> Option<&Arc<Slot>> {
        match &self.reply {
            Reply::Caller(slot) => Some(slot),
            Reply::KeptLease(_) | Reply::Nobody => None,
        }
    }

    /// Whether its caller has given up before it was served.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(&self.reply, Reply::Caller(slot) if slot.is_closed())
    }
}
