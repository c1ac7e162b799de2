//! What must always hold, in code.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::lock::{Grant, Lock};
use crate::queue::{Queue, Queued};
use crate::session::Session;
use crate::table::{Slot, Table, Timer, number_of};
use crate::{Holder, Instant, Key, Mode, SessionId, Token, Wait, WaiterId};

impl Table {
    /// Panics, with both values, unless everything holds that must hold after every applied transition:
    ///
    /// - holders exclude each other: an exclusive lock has one grant, a shared one has one a holder;
    /// - tokens are each used once, and the next one is higher than all;
    /// - no head of a queue is left waiting that could be granted;
    /// - the wheel has exactly the deadlines of the leases, the waiters and the lost sessions;
    /// - what sessions know of their locks and waiters is what the locks know of their sessions;
    /// - no more wait than the limits allow.
    ///
    /// It looks at everything, so it is for tests, fuzzing and checks, not for each step of a live store.
    ///
    /// # Panics
    ///
    /// When one of these does not hold.
    pub fn check_invariants(&self) {
        self.wheel.check_invariants();
        let mut seen = Seen { deadlines: self.deadlines(), ..Seen::default() };
        for lock in self.locks.iter() {
            let slot = Slot { lock, queue: self.queues.get(lock.key()) };
            self.check_holders(lock, &mut seen);
            self.check_queue(slot, &mut seen);
            self.check_head_must_wait(slot);
        }
        for (session, state) in &self.sessions {
            self.check_session(*session, state, &mut seen);
        }
        let Seen { deadlines, waiters, bound, .. } = seen;
        assert!(deadlines.is_empty(), "timers for nothing: {deadlines:?}");
        assert_eq!(self.waiters.len(), waiters, "waiters in the index and in the queues");
        for (key, queue) in &self.queues {
            assert!(!queue.is_empty(), "nobody stands in the queue of {key:?}");
            assert!(self.lock(key).is_some(), "{key:?} is waited for, and nobody holds it");
        }
        assert!(waiters <= self.limits.waiters_max, "{waiters} waiters");
        let in_sessions: usize = self.sessions.values().map(Session::len).sum();
        assert_eq!(in_sessions, bound, "what sessions know and what is bound to them");
    }

    /// Every deadline in the wheel, by what it is for.
    fn deadlines(&self) -> BTreeMap<Due, Instant> {
        let mut deadlines = BTreeMap::new();
        for (_, deadline, timer) in self.wheel.iter() {
            let due = match timer {
                Timer::Lease { key, holder } => Due::Lease(key.clone(), holder.clone()),
                Timer::Waiter(waiter) => Due::Waiter(*waiter),
                Timer::Session(session) => Due::Session(*session),
            };
            let before = deadlines.insert(due, deadline);
            assert_eq!(before, None, "two timers for {timer:?}");
        }
        deadlines
    }

    fn check_holders(&self, lock: &Lock, seen: &mut Seen) {
        let key = lock.key();
        let standing = lock.grants().len();
        assert!(standing > 0, "{key:?} is in the table, and nobody holds it");
        if lock.mode() == Mode::Exclusive {
            assert_eq!(standing, 1, "grants of the exclusive lock {key:?}");
        }
        for grant in lock.grants() {
            let Grant { holder, token, session, lease, .. } = grant;
            assert!(seen.tokens.insert(*token), "{token} is used twice");
            assert!(*token < self.next_number, "{token} is yet to come");
            let due = Due::Lease(key.clone(), holder.clone());
            let deadline = lease.map(|lease| lease.expires_at);
            assert_eq!(seen.deadlines.remove(&due), deadline, "the timer of {grant:?}");
            if let Some(session) = session {
                let known = self.sessions.get(session).and_then(|known| known.grants.get(token));
                let here = (key.clone(), holder.clone());
                assert_eq!(known, Some(&here), "what {session:?} knows of {grant:?}");
                seen.bound += 1;
            }
        }
    }

    fn check_queue(&self, Slot { lock, queue }: Slot<'_>, seen: &mut Seen) {
        let key = lock.key();
        let acquirers = queue.map_or(0, Queue::acquirers_len);
        assert_eq!(lock.waiters() as usize, acquirers, "the waiters shown of {key:?}");
        assert!(acquirers <= self.limits.waiters_per_lock_max, "{acquirers} wait for {key:?}");
        for Queued { waiter, .. } in queue.into_iter().flat_map(Queue::iter) {
            let id = waiter.id;
            assert!(id < self.next_waiter, "{id:?} is yet to come");
            assert_eq!(self.waiters.get(&id), Some(key), "where {id:?} waits");
            let deadline = match waiter.wait {
                Wait::Until(deadline) => Some(Instant::from_millis(deadline.millis_ceil())),
                Wait::Forever => None,
                Wait::No => panic!("{waiter:?} did not want to wait"),
            };
            let timer = seen.deadlines.remove(&Due::Waiter(id));
            assert_eq!(timer, deadline, "the timer of {waiter:?}");
            if let Some(session) = waiter.session {
                let known = self.sessions.get(&session).and_then(|known| known.waiters.get(&id));
                assert_eq!(known, Some(key), "what {session:?} knows of {id:?}");
                seen.bound += 1;
            }
            seen.waiters += 1;
        }
    }

    fn check_session(&self, session: SessionId, state: &Session, seen: &mut Seen) {
        assert!(session.get() < self.next_number.get(), "{session:?} is yet to come");
        assert!(
            !seen.tokens.contains(&number_of(session)),
            "a grant has the number of {session:?}"
        );
        let bound_max = self.limits.locks_per_session_max.max(state.restored);
        assert!(state.len() <= bound_max, "{session:?} has too much: {}", state.len());
        let ends_at = state.lost.map(|lost| Instant::from_millis(lost.ends_at.millis_ceil()));
        let due = Due::Session(session);
        assert_eq!(seen.deadlines.remove(&due), ends_at, "the timer of {session:?}");
    }

    fn check_head_must_wait(&self, Slot { lock, queue }: Slot<'_>) {
        let Some(head) = queue.and_then(|queue| queue.wishes().next()) else {
            return;
        };
        let fits = match lock.grant_of(head.holder) {
            Some(grant) => lock.mode() == head.mode && grant.session == head.waiter.session,
            None => self.fits_beside(lock.mode(), lock.grants().len(), head.mode),
        };
        assert!(!fits, "{head:?} waits although {lock:?} has room for it");
    }
}

/// What a check has come across.
#[derive(Default)]
struct Seen {
    /// Deadlines in the wheel that nothing was found for yet.
    deadlines: BTreeMap<Due, Instant>,
    tokens: BTreeSet<Token>,
    waiters: usize,
    /// Grants and waits that are bound to a session.
    bound: usize,
}

/// What a deadline is for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Lease(Key, Holder),
    Waiter(WaiterId),
    Session(SessionId),
}
