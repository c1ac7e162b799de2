//! The table of locks, waiters and sessions, and the calling order of its methods.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::command::Command;
use crate::lock::{Grant, Lock};
use crate::queue::Queue;
use crate::refusal::Limits;
use crate::session::Session;
use crate::wheel::{self, Wheel};
use crate::{Holder, Instant, Key, Mode, SessionId, Token, WaiterId};

/// The state machine: which locks are held, who waits for them, and which sessions they end with.
///
/// # Calling order
///
/// 1. [`decide`](Table::decide) a command at a time `now`. This changes nothing.
/// 2. Make the transition's changes durable.
/// 3. [`apply`](Table::apply) the transition, which cannot fail, before the next `decide`.
///    (Steps 2 and 3 may be exchanged by a caller who stops for good when step 2 fails.)
/// 4. At [`next_deadline`](Table::next_deadline) at the latest, [`poll`](Table::poll) for the commands that
///    time itself gives, and treat them like any other.
///
/// ```
/// use lockcore::{Acquire, Command, Holder, Instant, Key, Limits, Mode, Outcome, Poll, Table, Ttl, Wait};
///
/// let seed = 7; // of the hash table: random in production, fixed in simulations
/// let mut table = Table::new(Limits::default(), seed, Instant::ZERO);
/// let acquire = Command::Acquire(Acquire {
///     key: Key::new("nightly-report")?,
///     holder: Holder::new("host-1")?,
///     mode: Mode::Exclusive,
///     ttl: Some(Ttl::from_millis(50)?),
///     session: None,
///     wait: Wait::No,
/// });
/// let transition = table.decide(Instant::ZERO, &acquire).expect("the lock is free");
/// assert!(matches!(transition.outcome, Outcome::Granted(_)));
/// table.apply(&transition);
/// assert!(table.lock("nightly-report").is_some());
///
/// let mut now = Instant::ZERO;
/// while table.lock("nightly-report").is_some() {
///     let mut budget = 1_000;
///     match table.poll(now, &mut budget) {
///         Poll::Due(command) => {
///             let transition = table.decide(now, &command).expect("what is due can be done");
///             table.apply(&transition);
///         }
///         Poll::Idle(next) => now = next.expect("a lease is running"), // sleep until then
///         Poll::Unfinished => {}                                       // serve others, then poll on
///     }
/// }
/// assert_eq!(now, Instant::from_millis(50));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Table {
    pub(crate) limits: Limits,
    pub(crate) locks: Locks,
    /// Who waits, where somebody does. Apart from the locks, for most are never waited for.
    pub(crate) queues: BTreeMap<Key, Queue>,
    /// Where each waiter waits.
    pub(crate) waiters: BTreeMap<WaiterId, Key>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) wheel: Wheel<Timer>,
    /// The next fencing token or session number: one counter, never used twice.
    pub(crate) next_number: Token,
    pub(crate) next_waiter: WaiterId,
}

impl Table {
    /// An empty table. `seed` is that of its hash; `now` is where its wheel begins.
    pub fn new(limits: Limits, seed: u64, now: Instant) -> Self {
        Self {
            limits,
            locks: Locks::new(seed),
            queues: BTreeMap::new(),
            waiters: BTreeMap::new(),
            sessions: BTreeMap::new(),
            wheel: Wheel::new(now),
            next_number: Token::FIRST,
            next_waiter: WaiterId::FIRST,
        }
    }

    /// The lock of `key`, if anybody holds it.
    pub fn lock(&self, key: &str) -> Option<&Arc<Lock>> {
        self.locks.get(key)
    }

    /// All locks that are held, in no particular order.
    pub fn locks(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.locks.iter()
    }

    /// How many locks are held.
    pub fn locks_len(&self) -> usize {
        self.locks.len()
    }

    /// How many callers wait.
    pub fn waiters_len(&self) -> usize {
        self.waiters.len()
    }

    /// The session of this number, if it is not closed.
    pub fn session(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session)
    }

    /// All sessions, the earliest first.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// How many sessions there are.
    pub fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether `session` lives: it was opened, and its end has not begun.
    pub fn session_lives(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|session| !session.closing)
    }

    /// The token that the next grant gets. The caller persists a bound above it before a grant is
    /// answered, so that no token is used twice.
    pub fn next_token(&self) -> Token {
        self.next_number
    }

    /// When [`poll`](Table::poll) is to be called next: never later than the first deadline.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// Tells what time has made due at `now`. The command stays due until its transition is applied.
    ///
    /// Moving timers inside the wheel takes 1 from `budget` each; where it is used up, the answer is
    /// [`Poll::Unfinished`] and the next call goes on from there.
    ///
    /// # Panics
    ///
    /// When the wheel and the locks disagree, which [`check_invariants`](Table::check_invariants) rules out.
    pub fn poll(&mut self, now: Instant, budget: &mut u32) -> Poll {
        match self.wheel.poll(now, budget) {
            wheel::Poll::Due { value: Timer::Waiter(waiter), .. } => {
                Poll::Due(Command::TimeOut { waiter: *waiter })
            }
            // It stays due, step by step, until the session is closed.
            wheel::Poll::Due { value: Timer::Session(session), .. } => {
                Poll::Due(Command::CloseSession { session: *session })
            }
            wheel::Poll::Due { value: Timer::Lease { key, holder }, .. } => {
                let token = self
                    .locks
                    .get(key)
                    .and_then(|lock| lock.grant_of(holder))
                    .expect("a lease's timer is cancelled with its grant")
                    .token;
                let (key, holder) = (key.clone(), holder.clone());
                Poll::Due(Command::Expire { key, holder, token })
            }
            wheel::Poll::Idle { next } => Poll::Idle(next),
            wheel::Poll::Unfinished => Poll::Unfinished,
        }
    }

    /// What has run out at `key` and stands in the way at `now`: a lease that is not expired yet, or the deadline of the
    /// first who waits. A caller executes these until there is none before it says that the lock is held,
    /// without waiting for their turn in the wheel.
    pub fn overdue(&self, key: &str, now: Instant) -> Option<Command> {
        let Slot { lock, queue } = self.slot(key)?;
        if let Some(grant) = lock.grants().find(|grant| grant.is_overdue(now)) {
            return Some(Command::Expire {
                key: lock.key().clone(),
                holder: grant.holder.clone(),
                token: grant.token,
            });
        }
        let first = queue?.wishes().next()?.waiter;
        let over = first.wait.is_over(now);
        over.then_some(Command::TimeOut { waiter: first.id })
    }

    /// Puts back a session that was persisted, when a store is opened: before the grants that are bound to it. Nobody
    /// speaks for it yet, so it ends at `ends_at` unless it is taken up.
    ///
    /// # Errors
    ///
    /// [`Conflict`] when it is there already: the records are damaged.
    pub fn restore_session(
        &mut self,
        session: SessionId,
        ends_at: Instant,
    ) -> Result<(), Conflict> {
        if self.sessions.contains_key(&session) {
            return Err(Conflict::SessionTwice { session });
        }
        self.reserve_tokens(number_of(session).next());
        self.sessions.insert(session, Session::default());
        self.lose_session(session, ends_at);
        Ok(())
    }

    /// Puts back a grant that was persisted, when a store is opened: after the session that it is bound to.
    ///
    /// # Errors
    ///
    /// [`Conflict`] when it cannot stand beside what is already restored: the records are damaged.
    pub fn restore(&mut self, key: &Key, mode: Mode, grant: Grant) -> Result<(), Conflict> {
        let token = grant.token;
        if let Some(lock) = self.lock(key) {
            let alone = mode == Mode::Exclusive || lock.mode() == Mode::Exclusive;
            if alone || lock.grant_of(&grant.holder).is_some() {
                return Err(Conflict::Excluded { key: key.clone(), holder: grant.holder, token });
            }
        }
        if let Some(session) = grant.session {
            let state = self.sessions.get_mut(&session);
            let state = state.ok_or(Conflict::UnknownSession { session, token })?;
            state.restored += 1;
        }
        self.reserve_tokens(token.next());
        self.insert_grant(key, mode, grant);
        Ok(())
    }

    pub(crate) fn slot(&self, key: &str) -> Option<Slot<'_>> {
        self.locks.get(key).map(|lock| Slot { lock, queue: self.queues.get(key) })
    }

    /// Makes sure that all later tokens are `at_least` this.
    pub fn reserve_tokens(&mut self, at_least: Token) {
        self.next_number = self.next_number.max(at_least);
    }
}

/// The number of a session, from the counter that it shares with the tokens.
pub(crate) fn number_of(session: SessionId) -> Token {
    Token::new(session.get()).expect("sessions are numbered from 1")
}

/// What time has made due.
#[derive(Clone, Debug)]
pub enum Poll {
    /// This command. It stays due until it is applied.
    Due(Command),
    /// Nothing; come back at this time.
    Idle(Option<Instant>),
    /// The budget is used up before that is known; call again.
    Unfinished,
}

/// Why what was persisted cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// Two grants of one lock exclude each other.
    Excluded {
        /// The lock.
        key: Key,
        /// The holder of the second grant.
        holder: Holder,
        /// The token of the second grant.
        token: Token,
    },
    /// A grant is bound to a session that was not restored before it.
    UnknownSession {
        /// The session.
        session: SessionId,
        /// The token of the grant.
        token: Token,
    },
    /// A session was restored before.
    SessionTwice {
        /// The session.
        session: SessionId,
    },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded { key, holder, token } => write!(
                f,
                "the grant {token} of {key:?} to {holder:?} excludes another one that is held"
            ),
            Self::UnknownSession { session, token } => {
                write!(f, "the grant {token} is bound to session {session}, which there is not")
            }
            Self::SessionTwice { session } => write!(f, "there are two sessions {session}"),
        }
    }
}

impl core::error::Error for Conflict {}

/// What the wheel keeps of a deadline.
#[derive(Clone, Debug)]
pub(crate) enum Timer {
    Lease {
        key: Key,
        holder: Holder,
    },
    Waiter(WaiterId),
    /// The end of a lost session.
    Session(SessionId),
}

/// A held lock, and those who wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) lock: &'a Arc<Lock>,
    pub(crate) queue: Option<&'a Queue>,
}

/// The held locks by key.
#[derive(Debug)]
pub(crate) struct Locks {
    /// Each is shared with whoever publishes it, and copied when it changes.
    locks: HashTable<Arc<Lock>>,
    hasher: FixedState,
}

impl Locks {
    fn new(seed: u64) -> Self {
        Self { locks: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<Lock>> {
        self.locks.find(self.hash(key), |lock| &**lock.key() == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Arc<Lock>> {
        self.locks.find_mut(self.hasher.hash_one(key), |lock| &**lock.key() == key)
    }

    /// The lock of `key`; a new one is free, which it must not stay.
    pub(crate) fn get_or_insert(&mut self, key: &Key, mode: Mode) -> &mut Arc<Lock> {
        let hasher = &self.hasher;
        self.locks
            .entry(
                hasher.hash_one(key.as_str()),
                |lock| lock.key() == key,
                |lock| hasher.hash_one(lock.key().as_str()),
            )
            .or_insert_with(|| Arc::new(Lock::new(key.clone(), mode)))
            .into_mut()
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Arc<Lock>> {
        let hash = self.hash(key);
        let found = self.locks.find_entry(hash, |lock| &**lock.key() == key).ok()?;
        Some(found.remove().0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.locks.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.locks.len()
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}
