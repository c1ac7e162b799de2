//! What concurrent clients asked of a store, when, and what they were told.
//!
//! A [`Recorder`] writes the history down while threads work; [`linearizability`](crate::linearizability)
//! judges it. Histories can also be put together by hand, or from what other processes wrote into a
//! [crash ledger](crate::crash).
//!
//! ```
//! use lockstore::{Holder, Key, Mode, Token};
//! use lockstore_testkit::clock::ManualClock;
//! use lockstore_testkit::history::{Call, Outcome, Recorder, Wait};
//! use lockstore_testkit::linearizability::check;
//!
//! let recorder = Recorder::new(ManualClock::new());
//! let mut client = recorder.client();
//! let (key, holder) = (Key::new("k")?, Holder::new("h")?);
//!
//! let call = Call::Acquire { mode: Mode::Exclusive, ttl: None, wait: Wait::No };
//! let asked = client.invoked(&key, &holder, call);
//! // ... here the store is asked ...
//! client.returned(asked, Outcome::Granted { token: Token::FIRST, valid_until: None });
//!
//! assert_eq!(check(&recorder.history())?.operations, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod recorder;

use std::fmt;
use std::time::Duration;

use lockstore::{Holder, Instant, Key, Mode, Token};

pub use recorder::{Asked, Client, Recorder};

/// The operations of all clients of one store, within one boot of its machine, from when it was empty.
///
/// Locks that are held at the start belong into it too, as acquires.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order.
    pub operations: Vec<Operation>,
    /// When the recording ended: those who were waiting had waited until then.
    pub ended: Moment,
}

impl History {
    /// A history that ended with the last thing that happened in it.
    pub fn new(operations: Vec<Operation>) -> Self {
        let ended = operations
            .iter()
            .map(|operation| operation.returned.unwrap_or(operation.invoked))
            .max()
            .unwrap_or_default();
        Self { operations, ended }
    }
}

/// When something happened: in what order, and at what time of the store's clock.
///
/// Two operations whose moments do not tell which came first count as concurrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Rises with real time.
    pub order: u64,
    /// What the store's clock showed: read before an operation is invoked, and after it returned.
    pub at: Instant,
}

impl Moment {
    /// A moment of a clock that never stands still, which then gives the order too: the boot-time
    /// clock of a machine, read by several processes.
    pub const fn on_clock(at: Instant) -> Self {
        Self { order: at.as_nanos(), at }
    }
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked; any number that tells clients apart.
    pub client: u32,
    /// What the operation is about.
    pub key: Key,
    /// On whose behalf. Means nothing to [`Call::IsLocked`], [`Call::Inspect`] and [`Call::Break`].
    pub holder: Holder,
    /// What was asked.
    pub call: Call,
    /// Not later than when it was asked.
    pub invoked: Moment,
    /// Not earlier than when it was answered; none when it never was.
    pub returned: Option<Moment>,
    /// What was answered.
    pub outcome: Outcome,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// For the lock.
    Acquire {
        /// Alone or beside others.
        mode: Mode,
        /// How long the lease lasts; none: until it is released.
        ttl: Option<Duration>,
        /// How long to wait for it.
        wait: Wait,
    },
    /// To end the holder's grant. A guard's drop is one too. So is the death of a process whose
    /// session held the lock: a release that is invoked with the kill and never returns.
    Release {
        /// Of which grant; none where only the holder is named.
        token: Option<Token>,
    },
    /// To prolong the holder's grant.
    Renew {
        /// Of which grant; none where only the holder is named.
        token: Option<Token>,
        /// How long from now; none: without end.
        ttl: Option<Duration>,
    },
    /// To end a grant by force.
    Break {
        /// Which.
        token: Token,
    },
    /// Whether anybody holds the lock. A wait until it is free that succeeded is one that saw it free.
    IsLocked,
    /// Whether the holder holds the lock.
    IsHolder,
    /// Who holds the lock.
    Inspect,
    /// What an event tells. It is invoked with the subscription and returns when the event arrives.
    Watch,
}

/// How long an acquire waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most this long.
    For(Duration),
    /// Until it is granted.
    Forever,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// To an acquire: it is yours. A holder that acquires again gets the same token again.
    Granted {
        /// The fencing token.
        token: Token,
        /// Until when at least; none: until it is released.
        valid_until: Option<Instant>,
    },
    /// To an acquire that does not wait: somebody else holds it.
    Refused,
    /// To an acquire that waits: it was not granted in time.
    TimedOut,
    /// To a release: your grant held until now, and this ended it.
    Released,
    /// To a renewal: your grant holds.
    Renewed {
        /// Until when at least; none: until it is released.
        valid_until: Option<Instant>,
    },
    /// To a break: the grant held until now, and this ended it.
    Broken,
    /// To a release, a renewal or a break: no such grant holds. Also where that is no error.
    NotHeld,
    /// To [`Call::IsLocked`].
    Locked(bool),
    /// To [`Call::IsHolder`].
    Holding(bool),
    /// To [`Call::Inspect`]: exactly these hold it.
    Holders(Vec<(Holder, Token)>),
    /// By an event: this was granted.
    Began {
        /// Which grant.
        token: Token,
    },
    /// By an event: this has ended, by expiry or otherwise.
    Ended {
        /// Which grant.
        token: Token,
    },
    /// An error after which nothing can have happened, such as an invalid argument.
    Failed,
    /// None: the client crashed, or the error leaves open what happened. It may take effect at any
    /// later time, or never.
    Unknown,
    /// None yet: the client still waited when the recording ended.
    Waiting,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, key, holder, call, outcome, .. } = self;
        write!(f, "[{:>6} ", self.invoked.order)?;
        match self.returned {
            Some(returned) => write!(f, "{:>6}]", returned.order)?,
            None => write!(f, "  ...)")?,
        }
        write!(f, " client {client}: {call:?} of {key:?} by {holder:?} -> {outcome:?}, from ")?;
        write!(f, "{} ns", self.invoked.at.as_nanos())?;
        match self.returned {
            Some(returned) => write!(f, " to {} ns", returned.at.as_nanos()),
            None => Ok(()),
        }
    }
}
