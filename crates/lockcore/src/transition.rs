//! What a command changes: decided first, persisted by the caller, then applied.

use alloc::vec::Vec;
use core::fmt;

use crate::lock::{Grant, Lease};
use crate::{Holder, Instant, Key, Mode, SessionId, Token, Ttl, Wait, WaiterId};

/// The whole effect of one command. It concerns at most one key.
#[derive(Clone, Debug)]
pub struct Transition {
    /// What the caller of the command is told.
    pub outcome: Outcome,
    /// What changes, in order: what to persist, whom to wake and what to publish.
    pub changes: Vec<Change>,
}

/// What the caller of a command is told, once the changes are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The lock is held.
    Granted(Granted),
    /// The caller waits; a later transition names this waiter.
    Waiting(WaiterId),
    /// Nobody holds the key.
    Free,
    /// The wait has ended.
    Cancelled,
    /// The lease runs until then; `None` when the grant has no end.
    Renewed(Granted),
    /// The grant has ended.
    Ended,
    /// The session has begun.
    SessionOpened(SessionId),
    /// The session ends at its time, unless it is taken up.
    SessionLost,
    /// The session goes on.
    SessionTakenUp,
    /// The session has more to end: ask again.
    SessionClosing,
    /// The session is gone, and all that was bound to it.
    SessionClosed,
}

/// A grant as its holder is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The fencing token.
    pub token: Token,
    /// When it ends by itself.
    pub lease: Option<Lease>,
    /// Whether the holder held it already and joined its own grant.
    pub rejoined: bool,
}

/// One step of a transition.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new grant; to a waiter when `waiter` is given (a hand-off).
    Granted {
        /// The lock.
        key: Key,
        /// Its mode from now on.
        mode: Mode,
        /// The grant.
        grant: Grant,
        /// The wait that this ends.
        waiter: Option<WaiterId>,
    },
    /// A grant keeps its token and gets a new lease: renewed, or acquired again by its holder.
    Renewed {
        /// The lock.
        key: Key,
        /// Whose grant.
        holder: Holder,
        /// Which grant.
        token: Token,
        /// The new lease; `None` makes it endless.
        lease: Option<Lease>,
        /// The wait that this ends.
        waiter: Option<WaiterId>,
    },
    /// A grant is over.
    Ended {
        /// The lock.
        key: Key,
        /// Whose grant it was.
        holder: Holder,
        /// Which grant.
        token: Token,
        /// Why.
        cause: EndCause,
    },
    /// Somebody waits.
    Queued {
        /// The lock.
        key: Key,
        /// Who, for what and how long.
        waiter: Waiter,
    },
    /// Somebody waits no longer, and got no grant.
    Left {
        /// The lock.
        key: Key,
        /// The wait that is over.
        waiter: WaiterId,
        /// Why.
        cause: LeaveCause,
    },
    /// A session has begun.
    SessionOpened {
        /// Its number.
        session: SessionId,
    },
    /// Nobody speaks for a session any more.
    SessionLost {
        /// Its number.
        session: SessionId,
        /// When it ends unless it is taken up.
        ends_at: Instant,
    },
    /// Somebody speaks for a lost session again.
    SessionTakenUp {
        /// Its number.
        session: SessionId,
    },
    /// A session is granted nothing more.
    SessionClosing {
        /// Its number.
        session: SessionId,
    },
    /// A session is gone.
    SessionClosed {
        /// Its number.
        session: SessionId,
    },
}

/// Why a grant is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// Its holder released it.
    Released,
    /// Its lease ran out.
    Expired,
    /// Somebody broke it.
    Broken,
    /// Its session ended.
    SessionEnded,
}

/// Why a wait is over without a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaveCause {
    /// The key is free, which is all the waiter asked for.
    Free,
    /// Its deadline passed.
    TimedOut,
    /// Its caller gave up.
    Cancelled,
    /// Its session ended.
    SessionEnded,
}

/// Somebody who waits at a lock.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// The number of the wait; lower ones are served first.
    pub id: WaiterId,
    /// The session that the wait ends with.
    pub session: Option<SessionId>,
    /// How long; never [`Wait::No`].
    pub wait: Wait,
    /// What for.
    pub want: Want,
}

/// What somebody waits for.
#[derive(Clone, Debug)]
pub enum Want {
    /// To hold the lock.
    Grant {
        /// As whom.
        holder: Holder,
        /// Alone or beside others.
        mode: Mode,
        /// For how long.
        ttl: Option<Ttl>,
    },
    /// That nobody holds it.
    Free,
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Broken => "broken",
            Self::SessionEnded => "session ended",
        })
    }
}
