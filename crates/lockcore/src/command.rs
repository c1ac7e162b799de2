//! What can be asked of the table.

use crate::{Holder, Instant, Key, Mode, SessionId, Token, Ttl, WaiterId};

/// One request to the table. Expiry is a command like any other.
#[derive(Clone, Debug)]
pub enum Command {
    /// Hold a lock, at once or after a wait.
    Acquire(Acquire),
    /// Be told when nobody holds a key any more, without taking it.
    WaitUntilFree(WaitUntilFree),
    /// Stop waiting. The caller gave up.
    Cancel {
        /// The wait to end.
        waiter: WaiterId,
    },
    /// Begin a lease anew.
    Renew(Renew),
    /// End a grant: its holder is done.
    Release(Release),
    /// End a grant by force, whoever holds it.
    Break {
        /// The lock.
        key: Key,
        /// The grant to end: its successor is never hit by mistake.
        token: Token,
    },
    /// End a grant whose lease has run out. [`Table::poll`](crate::Table::poll) makes these.
    Expire {
        /// The lock.
        key: Key,
        /// Whose grant it is.
        holder: Holder,
        /// The grant to end.
        token: Token,
    },
    /// End a wait whose deadline has passed. [`Table::poll`](crate::Table::poll) makes these.
    TimeOut {
        /// The wait to end.
        waiter: WaiterId,
    },
    /// Begin a session.
    OpenSession,
    /// Nobody speaks for a session any more: it ends at `ends_at`, or when it was to end already if that is earlier, unless
    /// it is taken up before. [`Table::poll`](crate::Table::poll) tells when that time has come.
    LoseSession {
        /// The session.
        session: SessionId,
        /// When it ends. What is past ends it with the next polls.
        ends_at: Instant,
    },
    /// Somebody speaks for a lost session again, as if nothing had happened.
    TakeUpSession {
        /// The session. Its end must not have begun.
        session: SessionId,
    },
    /// End one lock or wait of a session; to be repeated until the outcome is
    /// [`Outcome::SessionClosed`](crate::Outcome::SessionClosed), so that one call's work is bounded.
    /// [`Table::poll`](crate::Table::poll) makes these of lost sessions.
    CloseSession {
        /// The session that ends. From the first of these on it is granted nothing more.
        session: SessionId,
    },
}

/// Who wants what, and for how long.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The lock.
    pub key: Key,
    /// Who is to hold it.
    pub holder: Holder,
    /// Alone or beside others.
    pub mode: Mode,
    /// How long the lease lasts; `None` holds without end.
    pub ttl: Option<Ttl>,
    /// The session that the grant is to end with.
    pub session: Option<SessionId>,
    /// How long to wait when it is not free.
    pub wait: Wait,
}

/// Who watches which key.
#[derive(Clone, Debug)]
pub struct WaitUntilFree {
    /// The key to watch.
    pub key: Key,
    /// How long to watch it.
    pub wait: Wait,
    /// The session that the wait ends with.
    pub session: Option<SessionId>,
}

/// Whose lease begins anew.
#[derive(Clone, Debug)]
pub struct Renew {
    /// The lock.
    pub key: Key,
    /// Must hold it.
    pub holder: Holder,
    /// Must be the grant's token, where given.
    pub token: Option<Token>,
    /// The new TTL; `None` keeps the grant's own.
    pub ttl: Option<Ttl>,
}

/// Whose grant ends.
#[derive(Clone, Debug)]
pub struct Release {
    /// The lock.
    pub key: Key,
    /// Must hold it.
    pub holder: Holder,
    /// Must be the grant's token, where given.
    pub token: Option<Token>,
}

/// How long a caller is ready to wait. Fixed when the call is made: losing a race never starts it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until this time.
    Until(Instant),
    /// For ever.
    Forever,
}

impl Wait {
    /// Whether the wait is over at `now`.
    pub fn is_over(self, now: Instant) -> bool {
        match self {
            Self::No => true,
            Self::Until(deadline) => deadline <= now,
            Self::Forever => false,
        }
    }
}
