//! Errors: one enum for each operation, each wrapping the one error of the store itself.

mod document_locks;
mod documents;
mod partial;
mod shell;
mod transactions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockcore::{Holder, Key, Limit, Mode, NameError, Token, TtlError};

use crate::disk::DiskError;
pub use document_locks::{
    FlowLockedError, JobLockedError, LockDocumentError, LockedDocumentError, ReleaseDocumentError,
    RunnerLockedError,
};
pub use documents::{DocumentError, DuplicateKey};
pub use partial::PartialWrite;
pub(crate) use shell::Shell;
pub use transactions::{LockLost, TransactionEnd, TransactionSize};

/// Why the store itself cannot serve. No operation that answers one of these has changed anything
/// that was acknowledged; whether its own change is on disk is not known after [`StoreError::Poisoned`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A commit failed. Nothing is acknowledged any more, reads included; opening the store again reads what
    /// is on disk. In the same process that takes closing it first, or dropping all that belongs to it.
    #[error(
        "the store has stopped: {cause}; close it and open it again to go on from what is on disk"
    )]
    Poisoned {
        /// What happened first.
        cause: Arc<str>,
    },
    /// [`Store::close`](crate::Store::close) was called.
    #[error("the store is closed")]
    Closed,
    /// This process was forked after the store was opened; only its parent may use the store.
    #[error(
        "the store was opened by process {opened_by}, before the fork; open it again in this one"
    )]
    Forked {
        /// The process that opened it.
        opened_by: u32,
    },
    /// Too many calls wait to be served. Nothing was done; try again later.
    #[error("{queue_max} calls wait to be served already; try again later")]
    Busy {
        /// The bound: [`StoreOptions::queue_max`](crate::StoreOptions::queue_max).
        queue_max: usize,
    },
    /// As many subscriptions as there may be at once. Drop one first.
    #[error("there are {subscriptions_max} subscriptions already; drop one first")]
    TooManySubscriptions {
        /// The bound.
        subscriptions_max: usize,
    },
    /// The server of the store has not answered by the deadline of the call, and its process is alive: it was stopped, or
    /// hangs. Whether the call was done is not known.
    #[error("process {pid}, the store's server, does not answer; was it stopped?")]
    ServerUnresponsive {
        /// The process.
        pid: u32,
    },
    /// The server ended in the middle of a call that cannot be sent again without doing it twice. Whether it was done is not
    /// known.
    #[error(
        "the server ended before it answered, and {what} may have been done or not: look before you do it again"
    )]
    OutcomeUnknown {
        /// The call.
        what: Arc<str>,
    },
    /// The store lives in another process, and there is no way to it. Nothing was done by this call that was not done when
    /// it first went out.
    #[error("the store's server at {} cannot be reached: {reason}", socket.display())]
    Unreachable {
        /// Where the server listens.
        socket: Arc<Path>,
        /// Why.
        reason: Arc<str>,
    },
    /// The store met a mistake of its own: please report it.
    #[error("the store made a mistake: {what}; please report it")]
    Internal {
        /// What it was.
        what: Arc<str>,
    },
    /// What the store does elsewhere failed, or makes no sense here.
    #[error("the store could not serve: {what}")]
    Elsewhere {
        /// What happened there.
        what: Arc<str>,
    },
    /// The disk could not be read.
    #[error(transparent)]
    Disk(#[from] Arc<DiskError>),
}

impl StoreError {
    /// Whether the same call may well succeed later, on the same store.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::ServerUnresponsive { .. }
                | Self::OutcomeUnknown { .. }
                | Self::Unreachable { .. }
        )
    }
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        Self::Disk(Arc::new(error))
    }
}

/// What is wrong with an argument. It was refused before anything was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// A key or holder that is empty or too long.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A key that begins with a NUL character and `document/`: the store keeps these for itself.
    #[error("a key must not begin with \"\\0document/\": those keys are the store's own")]
    ReservedKey,
    /// A TTL of 0 or beyond the bound.
    #[error(transparent)]
    Ttl(#[from] TtlError),
    /// A reason for a break that is too long.
    #[error("a reason may have at most {bytes_max} bytes; this one has {bytes}")]
    ReasonTooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        bytes_max: usize,
    },
    /// A transaction changes a lock twice. It may acquire, renew or release each key once.
    #[error("the transaction changes the lock of {key:?} already; it may do so once")]
    ChangedInTransaction {
        /// The lock.
        key: Key,
    },
    /// A holder is needed and was not given.
    #[error("a holder must be named to take up a lock again: it is the one that holds it")]
    HolderMissing,
}

/// Why a question about a lock has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lock was not acquired. The lock is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// Somebody else holds it (or waits for it), and the caller did not want to wait.
    #[error("{key:?} is held: {by}")]
    Held {
        /// The lock.
        key: Key,
        /// Who stands in the way.
        by: HeldBy,
    },
    /// It did not become free in time.
    #[error("{key:?} did not become free in time")]
    TimedOut {
        /// The lock.
        key: Key,
    },
    /// The same holder holds it in another mode. Release it first: a mode is never changed in place.
    #[error("{holder:?} holds {key:?} already, in {held} mode")]
    OtherMode {
        /// The lock.
        key: Key,
        /// The holder.
        holder: Holder,
        /// The mode in which it is held.
        held: Mode,
    },
    /// The same holder holds it already, bound to another session (or to none).
    #[error("{holder:?} holds {key:?} already, bound to another session")]
    OtherSession {
        /// The lock.
        key: Key,
        /// The holder.
        holder: Holder,
    },
    /// The session has ended, and so has this wait; or it is another client's, which only its client may name.
    #[error("the session has ended")]
    SessionEnded,
    /// A documented bound of the store is reached.
    #[error("the store allows at most {max} {limit}")]
    LimitReached {
        /// Which bound.
        limit: Limit,
        /// Its value.
        max: usize,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who holds a lock; of several shared holders, one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// The mode in which it is held.
    pub mode: Mode,
    /// The holder.
    pub holder: Holder,
    /// Its token.
    pub token: Token,
    /// How long its lease lasts yet; `None` when it has no end.
    pub remaining: Option<Duration>,
}

impl std::fmt::Display for HeldBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mode, holder, token, remaining } = self;
        write!(f, "in {mode} mode by {holder:?} with token {token}")?;
        match remaining {
            Some(remaining) => {
                write!(f, ", for {}.{:03} s yet", remaining.as_secs(), remaining.subsec_millis())
            }
            None => f.write_str(", without end"),
        }
    }
}

/// Why a lease was not renewed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The grant is over: expired, released, broken, or ended with its session. A renewal revives nothing.
    #[error("{holder:?} does not hold {key:?} any more")]
    LeaseLost {
        /// The lock.
        key: Key,
        /// Who held it.
        holder: Holder,
        /// Who holds it now, if anybody does.
        now_held_by: Option<HeldBy>,
    },
    /// The grant is over, and the same holder holds the lock by another, later one.
    #[error("{holder:?} holds {key:?} by the later grant {held}")]
    OtherToken {
        /// The lock.
        key: Key,
        /// The holder.
        holder: Holder,
        /// The token that it holds it with.
        held: Token,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lock was not released. The lock is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// Nobody holds it: it was released, expired, or never acquired.
    #[error("no lock for key {key:?}")]
    NotHeld {
        /// The lock.
        key: Key,
    },
    /// The same holder holds it by another, later grant.
    #[error("{holder:?} holds {key:?} by the later grant {held}")]
    OtherToken {
        /// The lock.
        key: Key,
        /// Who wanted to release it.
        holder: Holder,
        /// The token that it holds it with.
        held: Token,
    },
    /// Somebody else holds it.
    #[error("no lock held by {holder:?} for key {key:?}; it is held {by}")]
    HeldByOther {
        /// The lock.
        key: Key,
        /// Who wanted to release it.
        holder: Holder,
        /// Who holds it.
        by: HeldBy,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lock was not taken up again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The holder does not hold the lock by this token any more.
    #[error("{holder:?} does not hold {key:?} with token {token} any more")]
    LeaseLost {
        /// The lock.
        key: Key,
        /// Who held it.
        holder: Holder,
        /// The token it was held with.
        token: Token,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lock was not broken. The lock is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BreakError {
    /// Nobody holds it.
    #[error("nobody holds {key:?}")]
    NotHeld {
        /// The lock.
        key: Key,
    },
    /// It is held by another grant than the one to be broken: a successor is never broken by mistake.
    #[error("{key:?} is not held with token {token}; it is held {by}")]
    OtherToken {
        /// The lock.
        key: Key,
        /// The token that was to be broken.
        token: Token,
        /// Who holds it now.
        by: HeldBy,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a wait for a free key ended without an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// A documented bound of the store is reached.
    #[error("the store allows at most {max} {limit}")]
    LimitReached {
        /// Which bound.
        limit: Limit,
        /// Its value.
        max: usize,
    },
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why no session was opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There are as many sessions as the store allows.
    #[error("the store allows at most {max} sessions")]
    LimitReached {
        /// The bound.
        max: usize,
    },
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An answer that does not belong to the question: a mistake of ours, told as such rather than guessed at.
pub(crate) fn unexpected(answer: &impl std::fmt::Debug) -> StoreError {
    StoreError::Internal { what: format!("an answer that makes no sense, {answer:?}").into() }
}

impl ResumeError {
    pub(crate) fn of(error: RenewError, token: Token) -> Self {
        match error {
            RenewError::LeaseLost { key, holder, .. }
            | RenewError::OtherToken { key, holder, .. } => Self::LeaseLost { key, holder, token },
            RenewError::Argument(error) => error.into(),
            RenewError::Store(error) => error.into(),
        }
    }
}
