//! Why a command changes nothing.

use core::cmp::Reverse;
use core::fmt;

use crate::lock::{Grant, Lock};
use crate::{Holder, Instant, Mode, Token};

/// Why a command was refused. A refusal changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The lock is not free for this caller, and it does not want to wait (any longer).
    Held(HeldBy),
    /// The holder holds the lock already, in this other mode.
    OtherMode {
        /// The mode it holds it in.
        held: Mode,
        /// Its token.
        token: Token,
    },
    /// The holder holds the lock already, bound to another session (or to none).
    OtherSession {
        /// Its token.
        token: Token,
    },
    /// Nobody holds the lock.
    NotHeld,
    /// The lock is held, but not by this holder (or, for a break, not by this token).
    HeldByOther(HeldBy),
    /// The holder holds the lock by another, later grant than the one named.
    OtherToken {
        /// The token that holds now.
        token: Token,
    },
    /// No such wait: it has ended, by a grant perhaps.
    UnknownWaiter,
    /// No such session: it has ended or never was.
    UnknownSession,
    /// The lease has not run out, so there is nothing to expire.
    NotDue,
    /// A bound is reached.
    LimitReached {
        /// Which.
        limit: Limit,
        /// Its value.
        max: usize,
    },
}

/// Who stands in the way: of several shared holders, the one whose lease ends last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    /// The mode of the lock.
    pub mode: Mode,
    /// A holder.
    pub holder: Holder,
    /// Its token.
    pub token: Token,
    /// When its lease runs out; `None` when it has no end.
    pub expires_at: Option<Instant>,
}

impl HeldBy {
    /// Who holds `lock`.
    ///
    /// # Panics
    ///
    /// Nobody does, which is so for no lock of a table.
    pub fn of(lock: &Lock) -> Self {
        // The longest lease last, an endless one after all others; of equals, the earliest grant.
        let ends = |grant: &&Grant| {
            let expires_at = grant.lease.map(|lease| lease.expires_at);
            (expires_at.is_none(), expires_at, Reverse(grant.token))
        };
        let grant = lock.grants().max_by_key(ends).expect("a lock in the table is held");
        Self {
            mode: lock.mode(),
            holder: grant.holder.clone(),
            token: grant.token,
            expires_at: grant.lease.map(|lease| lease.expires_at),
        }
    }
}

/// The bounds of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Locks held at once. Default 10,000,000.
    pub locks_max: usize,
    /// Shared holders of one lock; for one more it is held, and it waits its turn. Default 10,000.
    pub holders_per_lock_max: usize,
    /// Waiters of one lock. Default 10,000.
    pub waiters_per_lock_max: usize,
    /// Waiters in all. Default 100,000.
    pub waiters_max: usize,
    /// Sessions at once. Default 10,000.
    pub sessions_max: usize,
    /// Locks and waits of one session. Default 10,000.
    pub locks_per_session_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            locks_max: 10_000_000,
            holders_per_lock_max: 10_000,
            waiters_per_lock_max: 10_000,
            waiters_max: 100_000,
            sessions_max: 10_000,
            locks_per_session_max: 10_000,
        }
    }
}

/// Names one of [`Limits`] that refuse what goes beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::locks_max`].
    Locks,
    /// [`Limits::waiters_per_lock_max`].
    WaitersPerLock,
    /// [`Limits::waiters_max`].
    Waiters,
    /// [`Limits::sessions_max`].
    Sessions,
    /// [`Limits::locks_per_session_max`].
    LocksPerSession,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locks => "locks",
            Self::WaitersPerLock => "waiters at one lock",
            Self::Waiters => "waiters",
            Self::Sessions => "sessions",
            Self::LocksPerSession => "locks and waits of one session",
        })
    }
}
