//! Applying: what was decided comes true. Nothing here can refuse.

use alloc::sync::Arc;

use crate::command::Wait;
use crate::lock::{Grant, Lease};
use crate::queue::Queue;
use crate::session::{Lost, Session};
use crate::table::{Table, Timer, number_of};
use crate::transition::{Change, Transition, Waiter};
use crate::wheel::TimerId;
use crate::{Holder, Instant, Key, Mode, SessionId, Token, WaiterId};

impl Table {
    /// Makes a transition come true. It must have been decided by this table in its present state.
    ///
    /// # Panics
    ///
    /// When it was not: that is a mistake of the caller, and the table is useless afterwards.
    pub fn apply(&mut self, transition: &Transition) {
        let mut touched = None;
        for change in &transition.changes {
            match change {
                Change::Granted { key, mode, grant, waiter } => {
                    assert!(grant.token >= self.next_number, "{} is used twice", grant.token);
                    self.next_number = grant.token.next();
                    self.stop_waiting(key, *waiter);
                    self.insert_grant(key, *mode, grant.clone());
                    touched = Some(key);
                }
                Change::Renewed { key, holder, token, lease, waiter } => {
                    self.stop_waiting(key, *waiter);
                    self.renew_grant(key, holder, *token, *lease);
                    touched = Some(key);
                }
                Change::Ended { key, holder, token, cause: _ } => {
                    self.remove_grant(key, holder, *token);
                    touched = Some(key);
                }
                Change::Queued { key, waiter } => {
                    self.insert_waiter(key, waiter);
                    touched = Some(key);
                }
                Change::Left { key, waiter, cause: _ } => {
                    self.stop_waiting(key, Some(*waiter));
                    touched = Some(key);
                }
                Change::SessionOpened { session } => self.open_session(*session),
                Change::SessionLost { session, ends_at } => self.lose_session(*session, *ends_at),
                Change::SessionTakenUp { session } => self.take_up_session(*session),
                Change::SessionClosing { session } => self.session_mut(*session).closing = true,
                Change::SessionClosed { session } => self.close_session(*session),
            }
        }
        // A transition concerns one key; only now is it known whether anybody holds it still.
        if let Some(key) = touched {
            self.tidy(key);
        }
    }

    /// Adds a grant that fits.
    pub(crate) fn insert_grant(&mut self, key: &Key, mode: Mode, mut grant: Grant) {
        grant.timer = grant.lease.map(|lease| self.start_lease(key, &grant.holder, lease));
        if let Some(session) = grant.session {
            let bound = (key.clone(), grant.holder.clone());
            self.session_mut(session).grants.insert(grant.token, bound);
        }
        let lock = Arc::make_mut(self.locks.get_or_insert(key, mode));
        if lock.is_free() {
            lock.set_mode(mode);
        }
        assert!(
            lock.is_free() || (mode == Mode::Shared && lock.mode() == Mode::Shared),
            "{key:?} is held, and {} is granted beside it in {mode} mode",
            grant.token
        );
        lock.add(grant);
    }

    fn renew_grant(&mut self, key: &Key, holder: &Holder, token: Token, lease: Option<Lease>) {
        let lock = Arc::make_mut(self.locks.get_mut(key).expect("what is renewed is held"));
        let grant = lock.grant_of_mut(holder).expect("what is renewed is held by its holder");
        assert_eq!(grant.token, token, "another grant of {key:?} is renewed");
        grant.lease = lease;
        // The timer is moved where there is one, so that a renewal costs no more than it must.
        match (grant.timer, lease) {
            (Some(timer), Some(lease)) => {
                assert!(self.wheel.reset(timer, lease.expires_at), "{key:?} lost its timer");
            }
            (Some(timer), None) => {
                grant.timer = None;
                self.wheel.cancel(timer);
            }
            (None, Some(lease)) => {
                let timer = Timer::Lease { key: key.clone(), holder: holder.clone() };
                grant.timer = Some(self.wheel.set(lease.expires_at, timer));
            }
            (None, None) => {}
        }
    }

    fn remove_grant(&mut self, key: &Key, holder: &Holder, token: Token) {
        let lock = self.locks.get_mut(key).expect("what ends is held");
        let grant = Arc::make_mut(lock).remove(holder);
        let grant = grant.expect("what ends is held by its holder");
        assert_eq!(grant.token, token, "another grant of {key:?} ends");
        if let Some(timer) = grant.timer {
            self.wheel.cancel(timer);
        }
        if let Some(session) = grant.session {
            self.session_mut(session).grants.remove(&token);
        }
    }

    fn insert_waiter(&mut self, key: &Key, waiter: &Waiter) {
        let id = waiter.id;
        assert!(id >= self.next_waiter, "{id:?} waits twice");
        self.next_waiter = id.next();
        let timer = match waiter.wait {
            Wait::Until(deadline) => Some(self.wheel.set(deadline, Timer::Waiter(id))),
            Wait::No | Wait::Forever => None,
        };
        if let Some(session) = waiter.session {
            self.session_mut(session).waiters.insert(id, key.clone());
        }
        self.waiters.insert(id, key.clone());
        self.queues.entry(key.clone()).or_default().push(waiter.clone(), timer);
    }

    fn stop_waiting(&mut self, key: &Key, waiter: Option<WaiterId>) {
        let Some(id) = waiter else { return };
        self.waiters.remove(&id);
        let queued = self.queues.get_mut(key).and_then(|queue| queue.remove(id));
        let queued = queued.expect("who stops waiting has waited");
        if let Some(timer) = queued.timer {
            self.wheel.cancel(timer);
        }
        if let Some(session) = queued.waiter.session {
            self.session_mut(session).waiters.remove(&id);
        }
    }

    /// Drops what is left of a lock that nobody holds, and the queue that nobody stands in.
    fn tidy(&mut self, key: &Key) {
        let queue = self.queues.get(key);
        let waiters = queue.map_or(0, Queue::acquirers_len);
        if queue.is_some_and(Queue::is_empty) {
            self.queues.remove(key);
        }
        let Some(lock) = self.locks.get_mut(key) else {
            return;
        };
        if lock.waiters() as usize != waiters {
            Arc::make_mut(lock).set_waiters(waiters);
        }
        if lock.is_free() {
            let waited_for = self.queues.contains_key(key);
            assert!(!waited_for, "{key:?} is free, and somebody waits for it");
            self.locks.remove(key);
        }
    }

    fn open_session(&mut self, session: SessionId) {
        let number = number_of(session);
        assert!(number >= self.next_number, "{session:?} is used twice");
        self.next_number = number.next();
        self.sessions.insert(session, Session::default());
    }

    pub(crate) fn lose_session(&mut self, session: SessionId, ends_at: Instant) {
        let state = self.sessions.get_mut(&session).expect("what is lost was open");
        let timer = match state.lost {
            Some(Lost { timer, .. }) => {
                assert!(self.wheel.reset(timer, ends_at), "{session:?} lost its timer");
                timer
            }
            None => self.wheel.set(ends_at, Timer::Session(session)),
        };
        state.lost = Some(Lost { ends_at, timer });
    }

    fn take_up_session(&mut self, session: SessionId) {
        let lost = self.session_mut(session).lost.take().expect("what is taken up was lost");
        self.wheel.cancel(lost.timer);
    }

    fn close_session(&mut self, session: SessionId) {
        let state = self.sessions.remove(&session).expect("what is closed was open");
        if let Some(lost) = state.lost {
            self.wheel.cancel(lost.timer);
        }
        assert_eq!(state.len(), 0, "{session:?} is closed with something bound to it");
    }

    fn session_mut(&mut self, session: SessionId) -> &mut Session {
        self.sessions.get_mut(&session).expect("a session with something bound to it is known")
    }

    fn start_lease(&mut self, key: &Key, holder: &Holder, lease: Lease) -> TimerId {
        let timer = Timer::Lease { key: key.clone(), holder: holder.clone() };
        self.wheel.set(lease.expires_at, timer)
    }
}
