//! Whether a lock object holds its lock.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstore::{Clock, Holder, Instant, LockGuard, RenewError, Token};

/// The guard of a lock object, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    state: Arc<Mutex<State>>,
    /// Held while the lease is renewed: who releases the lock waits for that.
    renewal: Mutex<()>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Free,
    Acquiring,
    Held(LockGuard),
    /// The guard is with who renews it.
    Renewing(Known),
}

/// What is known of a lock that is held.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) holder: Holder,
    pub(crate) token: Token,
    /// Until when it is surely held; `None` without end.
    valid_until: Option<Instant>,
    is_lost: bool,
}

/// An acquisition that is under way. Unless it is won, the lock is as it was.
#[derive(Debug)]
pub(crate) struct Attempt(Arc<Mutex<State>>);

impl Holding {
    /// Begins to acquire it. `None` when it is held, or being acquired.
    pub(crate) fn begin(&self) -> Option<Attempt> {
        let mut state = lock(&self.state);
        match &*state {
            State::Free => {
                *state = State::Acquiring;
                Some(Attempt(Arc::clone(&self.state)))
            }
            State::Acquiring | State::Held(_) | State::Renewing(_) => None,
        }
    }

    /// Takes the guard out, if there is one. Waits for a renewal.
    pub(crate) fn take(&self) -> Option<LockGuard> {
        let _renewal = lock(&self.renewal);
        self.replace_guard(|_| State::Free)
    }

    /// Has `renew` begin the lease anew, if there is one. Others see meanwhile what was known before.
    pub(crate) fn renew(
        &self,
        renew: impl FnOnce(&mut LockGuard) -> Result<(), RenewError>,
    ) -> Option<Result<(), RenewError>> {
        let _renewal = lock(&self.renewal);
        let mut guard = self.replace_guard(|guard| State::Renewing(Known::of(guard)))?;
        let renewed = renew(&mut guard);
        *lock(&self.state) = State::Held(guard);
        Some(renewed)
    }

    /// What is known of the lock, if it is held.
    pub(crate) fn known(&self) -> Option<Known> {
        match &*lock(&self.state) {
            State::Held(guard) => Some(Known::of(guard)),
            State::Renewing(known) => Some(known.clone()),
            State::Free | State::Acquiring => None,
        }
    }

    /// Leaves everything as it is, for ever: it is the parent's of this process.
    pub(crate) fn forget(&self) {
        mem::forget(Arc::clone(&self.state));
    }

    fn replace_guard(&self, by: impl FnOnce(&LockGuard) -> State) -> Option<LockGuard> {
        let mut state = lock(&self.state);
        match mem::take(&mut *state) {
            State::Held(guard) => {
                *state = by(&guard);
                Some(guard)
            }
            other => {
                *state = other;
                None
            }
        }
    }
}

impl Known {
    fn of(guard: &LockGuard) -> Self {
        Self {
            holder: guard.holder().clone(),
            token: guard.token(),
            valid_until: guard.valid_until(),
            is_lost: guard.is_lost(),
        }
    }

    /// How long it is surely held from now, in seconds; `None` when that has no end.
    pub(crate) fn remaining(&self, clock: &dyn Clock) -> Option<f64> {
        self.valid_until.map(|until| until.saturating_since(clock.now()).as_secs_f64())
    }

    /// Whether it is surely held yet.
    pub(crate) fn is_valid(&self, clock: &dyn Clock) -> bool {
        !self.is_lost && self.valid_until.is_none_or(|until| clock.now() < until)
    }
}

impl Attempt {
    /// The lock has been acquired.
    pub(crate) fn win(self, guard: LockGuard, keep_alive: bool) {
        if keep_alive {
            guard.keep_alive();
        }
        *lock(&self.0) = State::Held(guard);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if matches!(*state, State::Acquiring) {
            *state = State::Free;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
