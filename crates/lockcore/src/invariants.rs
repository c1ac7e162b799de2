//! What must always hold, in code.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::table::{Slot, Table, Timer};
use crate::{Instant, Mode};

impl Table {
    /// Panics, with both values, unless everything holds that must hold after every applied transition:
    ///
    /// - holders exclude each other: an exclusive lock has one grant, a shared one has one a holder;
    /// - tokens are each used once, and the next one is higher than all;
    /// - no head of a queue is left waiting that could be granted;
    /// - the wheel has exactly the deadlines of the leases and waiters;
    /// - what sessions know of their locks and waiters is what the locks know of their sessions;
    /// - no bound is exceeded.
    ///
    /// It looks at everything, so it is for tests, fuzzing and checks, not for each step of a live store.
    ///
    /// # Panics
    ///
    /// When one of these does not hold.
    pub fn check_invariants(&self) {
        self.wheel.check_invariants();
        let mut deadlines = BTreeMap::new();
        for (_, deadline, timer) in self.wheel.iter() {
            let what = match timer {
                Timer::Lease { key, holder } => (Some((key.clone(), holder.clone())), None),
                Timer::Waiter(waiter) => (None, Some(*waiter)),
            };
            let before = deadlines.insert(what, deadline);
            assert_eq!(before, None, "two timers for {timer:?}");
        }
        let mut tokens = BTreeSet::new();
        let mut waiters = 0;
        let mut bound = 0;
        for slot in self.locks.iter() {
            let lock = &slot.lock;
            let key = lock.key();
            assert!(!lock.is_free(), "{key:?} is in the table, and nobody holds it");
            if lock.mode() == Mode::Exclusive {
                assert_eq!(lock.grants().len(), 1, "grants of the exclusive lock {key:?}");
            }
            let standing = lock.grants().len();
            assert!(standing <= self.limits.holders_per_lock_max, "{standing} holders of {key:?}");
            for grant in lock.grants() {
                assert!(tokens.insert(grant.token), "{} is used twice", grant.token);
                assert!(grant.token < self.next_number, "{} is yet to come", grant.token);
                let timer = (Some((key.clone(), grant.holder.clone())), None);
                let expires_at = grant.lease.map(|lease| lease.expires_at);
                assert_eq!(deadlines.remove(&timer), expires_at, "the timer of {grant:?}");
                if let Some(session) = grant.session {
                    let known =
                        self.sessions.get(&session).and_then(|s| s.grants.get(&grant.token));
                    let here = (key.clone(), grant.holder.clone());
                    assert_eq!(known, Some(&here), "what {session:?} knows of {grant:?}");
                    bound += 1;
                }
            }
            for queued in slot.queue.iter().flat_map(|queue| queue.iter()) {
                let waiter = &queued.waiter;
                assert!(waiter.id < self.next_waiter, "{:?} is yet to come", waiter.id);
                assert_eq!(self.waiters.get(&waiter.id), Some(key), "where {:?} waits", waiter.id);
                let deadline = match waiter.wait {
                    crate::Wait::Until(deadline) => {
                        Some(Instant::from_millis(deadline.millis_ceil()))
                    }
                    crate::Wait::Forever => None,
                    crate::Wait::No => panic!("{waiter:?} did not want to wait"),
                };
                assert_eq!(deadlines.remove(&(None, Some(waiter.id))), deadline, "{waiter:?}");
                if let Some(session) = waiter.session {
                    let known = self.sessions.get(&session).and_then(|s| s.waiters.get(&waiter.id));
                    assert_eq!(known, Some(key), "what {session:?} knows of {:?}", waiter.id);
                    bound += 1;
                }
                waiters += 1;
            }
            let acquirers = slot.queue.as_ref().map_or(0, |queue| queue.acquirers_len());
            assert_eq!(lock.waiters() as usize, acquirers, "the waiters shown of {key:?}");
            assert!(acquirers <= self.limits.waiters_per_lock_max, "{acquirers} wait for {key:?}");
            self.check_head_must_wait(slot);
        }
        assert!(deadlines.is_empty(), "timers for nothing: {deadlines:?}");
        assert_eq!(self.waiters.len(), waiters, "waiters in the index and in the queues");
        assert!(waiters <= self.limits.waiters_max, "{waiters} waiters");
        let in_sessions: usize = self.sessions.values().map(super::table::Session::len).sum();
        assert_eq!(in_sessions, bound, "what sessions know and what is bound to them");
        for (session, state) in &self.sessions {
            assert!(session.get() < self.next_number.get(), "{session:?} is yet to come");
            assert!(state.len() <= self.limits.locks_per_session_max, "{session:?} has too much");
        }
    }

    fn check_head_must_wait(&self, slot: &Slot) {
        let lock = &slot.lock;
        let Some(head) = slot.queue.as_ref().and_then(|queue| queue.wishes().next()) else {
            return;
        };
        let fits = match lock.grant_of(head.holder) {
            Some(grant) => lock.mode() == head.mode && grant.session == head.waiter.session,
            None => self.fits_beside(lock.mode(), lock.grants().len(), head.mode),
        };
        assert!(!fits, "{head:?} waits although {lock:?} has room for it");
    }
}
