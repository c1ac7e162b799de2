//! Arbitrary commands to a table of locks, and a driver that compares each answer with the [`Model`](crate::model::Model).
//!
//! An [`Op`] is a command in a small alphabet: three keys, three holders, and references such as "the
//! newest waiter", so that cancels, breaks and releases hit something. It is
//! [`Arbitrary`], one byte a choice; the byte 0 is the plainest choice, so that inputs shrink towards what is
//! easily read. A [`Case`] is a whole run: limits, a first moment, and ops.
//!
//! A fuzz target is one line, `Case::from_bytes(bytes).run()`, and so is a property: any list of
//! [`Op::BYTES`]-byte arrays, put together, is a case.
//!
//! ```
//! use lockstore_testkit::commands::{Case, Op, Patience, TokenRef};
//! use lockcore::{Instant, Limits, Mode};
//!
//! let acquire = |holder| Op::Acquire {
//!     key: "a",
//!     holder,
//!     mode: Mode::Exclusive,
//!     ttl_ms: None,
//!     session: None,
//!     wait: Patience::Forever,
//! };
//! let release = Op::Release { key: "a", holder: "h1", token: TokenRef::Unnamed };
//! let ops = vec![acquire("h1"), acquire("h2"), release];
//! let driver = Case { limits: Limits::default(), start: Instant::ZERO, ops }.run();
//! assert!(driver.table().lock("a").unwrap().grant_of("h2").is_some());
//! ```
mod driver;
mod marks;

pub use driver::{Driver, Polled};
pub use marks::Marks;

use arbitrary::{Arbitrary, Unstructured};
use lockcore::{Instant, Limits, Mode, Ttl};

/// One step of a run: a command, or the passing of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Expires what is overdue, as a caller does, and then acquires.
    Acquire {
        /// The lock.
        key: &'static str,
        /// Who is to hold it.
        holder: &'static str,
        /// Alone or beside others.
        mode: Mode,
        /// The length of the lease.
        ttl_ms: Option<u64>,
        /// The session it is bound to: the n-th newest that is open, or beyond those the last that was.
        session: Option<u8>,
        /// How long to wait.
        wait: Patience,
    },
    /// Waits until a lock is free.
    Watch {
        /// The lock.
        key: &'static str,
        /// The session it is bound to: the n-th newest that is open, or beyond those the last that was.
        session: Option<u8>,
        /// How long to wait.
        wait: Patience,
    },
    /// Ends a wait.
    Cancel {
        /// The n-th newest that waits, or beyond those the last that did.
        waiter: u8,
    },
    /// Asks for a timeout, which may not be due.
    TimeOut {
        /// The n-th newest that waits, or beyond those the last that did.
        waiter: u8,
    },
    /// Begins a lease anew.
    Renew {
        /// The lock.
        key: &'static str,
        /// Its holder, perhaps.
        holder: &'static str,
        /// The grant that is named.
        token: TokenRef,
        /// The new length of the lease.
        ttl_ms: Option<u64>,
    },
    /// Ends a grant.
    Release {
        /// The lock.
        key: &'static str,
        /// Its holder, perhaps.
        holder: &'static str,
        /// The grant that is named.
        token: TokenRef,
    },
    /// Ends a grant by force.
    Break {
        /// The lock.
        key: &'static str,
        /// The grant that is named.
        token: TokenRef,
    },
    /// Asks for an expiry, which may not be due.
    Expire {
        /// The lock.
        key: &'static str,
        /// Its holder, perhaps.
        holder: &'static str,
        /// The grant that is named.
        token: TokenRef,
    },
    /// Begins a session.
    OpenSession,
    /// Has a session end some time from now unless it is taken up.
    LoseSession {
        /// The n-th newest that is open, or beyond those the last that was.
        session: u8,
        /// How long it has, in nanoseconds.
        nanos: u64,
    },
    /// Takes up a session that was lost, perhaps.
    TakeUpSession {
        /// The n-th newest that is open, or beyond those the last that was.
        session: u8,
    },
    /// Takes steps towards the end of a session.
    CloseSession {
        /// The n-th newest that is open, or beyond those the last that was.
        session: u8,
        /// How many steps, at most.
        steps: u8,
    },
    /// Lets time pass, without a poll.
    Advance(Step),
    /// Polls, and executes what is due.
    Poll {
        /// How often, at most.
        calls: u8,
        /// How many timers each call may move.
        budget: u32,
    },
    /// Polls until nothing is due, moving few timers at a time.
    Settle,
}

/// How long an [`Op`] waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    No,
    /// Until so many nanoseconds from now.
    Nanos(u64),
    /// For ever.
    Forever,
}

/// The token that an [`Op`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRef {
    /// None, or where one is needed, the number of no grant.
    Unnamed,
    /// The one that holds the lock, that holder's where it holds.
    Held,
    /// As `Held`, and the grant's own holder is named with it, whoever was given.
    HeldByItsHolder,
    /// The n-th newest of all.
    Newest(u8),
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// By so many nanoseconds, at most to [`Instant::MAX`].
    Nanos(u64),
    /// To when the table wants to be polled, if that is to come.
    ToNextDeadline,
}

/// A run from its beginning.
#[derive(Clone, Debug)]
pub struct Case {
    /// The bounds of the table.
    pub limits: Limits,
    /// When the table begins.
    pub start: Instant,
    /// What happens, in order.
    pub ops: Vec<Op>,
}

impl Case {
    /// Any bytes are a case: [`Op::BYTES`] for the limits and the start, then as many for each op.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut records = bytes.chunks(Op::BYTES);
        let header = records.next().unwrap_or_default();
        let plain = (Limits::default(), Instant::ZERO);
        let (limits, start) = header_of(&mut Unstructured::new(header)).unwrap_or(plain);
        let op = |record| Op::arbitrary(&mut Unstructured::new(record)).unwrap_or(Op::Settle);
        Self { limits, start, ops: records.map(op).collect() }
    }

    /// Runs it against a table and the model at once, on a hash of seed 0.
    ///
    /// # Panics
    ///
    /// When they differ, or an invariant of the table is broken.
    pub fn run(&self) -> Driver {
        self.run_with_seed(0)
    }

    /// As [`run`](Self::run), on a hash of another seed: nothing that is seen may depend on it.
    ///
    /// # Panics
    ///
    /// When table and model differ, or an invariant of the table is broken.
    pub fn run_with_seed(&self, seed: u64) -> Driver {
        let mut driver = Driver::new(self.limits, seed, self.start);
        for op in &self.ops {
            driver.step(op);
        }
        driver
    }
}

impl Op {
    /// How many bytes the largest op is made of.
    pub const BYTES: usize = 8;
}

impl<'a> Arbitrary<'a> for Op {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.int_in_range(0..=19)? {
            0..=5 => Self::Acquire {
                key: pick(u, &KEYS)?,
                holder: pick(u, &HOLDERS)?,
                mode: pick(u, &[Mode::Exclusive, Mode::Shared])?,
                ttl_ms: pick(u, &TTLS_MS)?,
                session: pick(u, &SESSIONS)?,
                wait: pick(u, &WAITS)?,
            },
            6 => Self::Watch {
                key: pick(u, &KEYS)?,
                session: pick(u, &SESSIONS)?,
                wait: pick(u, &WAITS)?,
            },
            7 => Self::Cancel { waiter: u.int_in_range(0..=7)? },
            8 => Self::TimeOut { waiter: u.int_in_range(0..=7)? },
            9 => Self::Renew {
                key: pick(u, &KEYS)?,
                holder: pick(u, &HOLDERS)?,
                token: pick(u, &TOKENS)?,
                ttl_ms: pick(u, &TTLS_MS)?,
            },
            10..=11 => Self::Release {
                key: pick(u, &KEYS)?,
                holder: pick(u, &HOLDERS)?,
                token: pick(u, &TOKENS)?,
            },
            12 => Self::Break { key: pick(u, &KEYS)?, token: pick(u, &TOKENS)? },
            13 => Self::Expire {
                key: pick(u, &KEYS)?,
                holder: pick(u, &HOLDERS)?,
                token: pick(u, &TOKENS)?,
            },
            14 => Self::OpenSession,
            15 => {
                let (session, steps) = (u.int_in_range(0..=2)?, 1 + u.int_in_range(0..=3)?);
                match u.int_in_range(0..=3)? {
                    0..=1 => Self::CloseSession { session, steps },
                    2 => Self::LoseSession { session, nanos: pick(u, &GRACES)? },
                    _ => Self::TakeUpSession { session },
                }
            }
            16..=17 => Self::Advance(pick(u, &STEPS)?),
            18 => {
                Self::Poll { calls: 1 + u.int_in_range(0..=7)?, budget: 1 + u.int_in_range(0..=3)? }
            }
            _ => Self::Settle,
        })
    }
}

/// Limits so small that they are reached, or those of a real table; and a first moment.
fn header_of(u: &mut Unstructured<'_>) -> arbitrary::Result<(Limits, Instant)> {
    let mut limits = Limits::default();
    if u.int_in_range(0..=1)? == 1 {
        limits.locks_max = 1 + u.int_in_range(0..=2)?;
        limits.holders_per_lock_max = 1 + u.int_in_range(0..=2)?;
        limits.waiters_per_lock_max = u.int_in_range(0..=3)?;
        limits.waiters_max = u.int_in_range(0..=4)?;
        limits.sessions_max = 1 + u.int_in_range(0..=1)?;
        limits.locks_per_session_max = 1 + u.int_in_range(0..=2)?;
    }
    let start = pick(u, &[0, 1, 999_999, 255 * MS, 1_000 * DAY + 7])?;
    Ok((limits, Instant::from_nanos(start)))
}

/// One of a few, by one byte; the first by the byte 0.
fn pick<T: Copy>(u: &mut Unstructured<'_>, choices: &[T]) -> arbitrary::Result<T> {
    u.choose(choices).copied()
}

const MS: u64 = 1_000_000;
const DAY: u64 = 24 * 60 * 60 * 1_000 * MS;
const YEAR: u64 = 365 * DAY;

const KEYS: [&str; 4] = ["a", "a", "b", "c"];
const HOLDERS: [&str; 3] = ["h1", "h2", "h3"];
const SESSIONS: [Option<u8>; 6] = [None, None, None, Some(0), Some(0), Some(1)];
const TOKENS: [TokenRef; 8] = [
    TokenRef::Unnamed,
    TokenRef::HeldByItsHolder,
    TokenRef::HeldByItsHolder,
    TokenRef::HeldByItsHolder,
    TokenRef::Held,
    TokenRef::Newest(0),
    TokenRef::Newest(1),
    TokenRef::Newest(2),
];
const TTLS_MS: [Option<u64>; 12] = [
    None,
    Some(1),
    Some(2),
    Some(5),
    Some(5),
    Some(10),
    Some(255),
    Some(256),
    Some(257),
    Some(70_000),
    Some(86_400_000),
    Some(Ttl::MAX.as_millis()),
];
const WAITS: [Patience; 13] = [
    Patience::No,
    Patience::Forever,
    Patience::Forever,
    Patience::Forever,
    Patience::Nanos(0),
    Patience::Nanos(1),
    Patience::Nanos(3 * MS / 2),
    Patience::Nanos(3 * MS),
    Patience::Nanos(5 * MS),
    Patience::Nanos(10 * MS),
    Patience::Nanos(300 * MS),
    Patience::Nanos(YEAR),
    Patience::Nanos(u64::MAX),
];
const GRACES: [u64; 6] = [5 * MS, 0, 1, 3 * MS / 2, 10 * MS, u64::MAX];
const STEPS: [Step; 18] = [
    Step::Nanos(MS),
    Step::ToNextDeadline,
    Step::ToNextDeadline,
    Step::ToNextDeadline,
    Step::Nanos(1),
    Step::Nanos(MS / 2),
    Step::Nanos(MS - 1),
    Step::Nanos(2 * MS),
    Step::Nanos(4 * MS),
    Step::Nanos(5 * MS),
    Step::Nanos(10 * MS),
    Step::Nanos(255 * MS),
    Step::Nanos(256 * MS),
    Step::Nanos(70_000 * MS),
    Step::Nanos(DAY),
    Step::Nanos(YEAR),
    Step::Nanos(20 * YEAR),
    Step::Nanos(u64::MAX),
];
