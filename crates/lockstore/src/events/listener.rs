//! Who waits for events without blocking a thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// One who listens, for as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Listener {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waker: Option<Waker>,
    ended: bool,
}

impl Listener {
    /// Has `waker` woken when there is something to be read. `false` when nothing comes any more.
    pub(super) fn wake_with(&self, waker: &Waker) -> bool {
        let mut next = Some(waker.clone());
        let mut state = self.lock();
        std::mem::swap(&mut state.waker, &mut next);
        let goes_on = !state.ended;
        drop(state);
        // A waker may own anything.
        drop(next);
        goes_on
    }

    /// Whom to wake, now that there is something to be read.
    pub(super) fn told(&self) -> Option<Waker> {
        self.lock().waker.take()
    }

    /// Whom to wake, now that nothing comes any more.
    pub(super) fn ended(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.ended = true;
        state.waker.take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who are to be woken.
#[derive(Debug, Default)]
pub(super) struct Told {
    wakers: Mutex<Vec<Waker>>,
    /// Whether there are any, so that those who have nobody to wake take no lock.
    any: AtomicBool,
}

impl Told {
    pub(super) fn extend(&self, wakers: impl Iterator<Item = Waker>) {
        let mut all = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(wakers);
        self.any.store(!all.is_empty(), Ordering::Release);
    }

    pub(super) fn wake(&self) {
        if !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let wakers =
            std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in wakers {
            // A waker is other people's code, and there are more to be woken, whatever becomes of it.
            if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
                tracing::error!("a waker panicked; its task may never be polled again");
            }
        }
    }
}
