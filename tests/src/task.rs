//! An executor for one future, by hand: it shows each wake-up and polls only when it is told to.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::patience::PATIENCE;

/// A future, and the waker that it is polled with.
pub struct Task<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

/// Counts how often it was rung.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    ringing: Condvar,
}

impl<F: Future> Task<F> {
    /// A task that was not polled yet.
    pub fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: Arc::default() }
    }

    /// A task that was polled once, and is not ready.
    ///
    /// # Panics
    ///
    /// When it is ready.
    #[track_caller]
    pub fn pending(future: F) -> Self {
        let mut task = Self::new(future);
        assert!(task.poll().is_pending(), "it was ready at once");
        task
    }

    /// Polls it once.
    pub fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.bell));
        self.poll_with(&waker)
    }

    /// Polls it once, with another waker than its own.
    pub fn poll_with(&mut self, waker: &Waker) -> Poll<F::Output> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls it whenever it is woken, until it is ready.
    ///
    /// # Panics
    ///
    /// When it is not woken.
    #[track_caller]
    pub fn outcome(mut self) -> F::Output {
        loop {
            let seen = self.bell.rung();
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
            self.bell.wait(seen);
        }
    }

    /// What its waker rings.
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }
}

impl<F> fmt::Debug for Task<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("bell", &self.bell).finish_non_exhaustive()
    }
}

impl Bell {
    /// How often it was rung.
    pub fn rung(&self) -> u64 {
        *self.lock()
    }

    /// Waits until it has been rung more than `seen` times.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn wait(&self, seen: u64) {
        let rung = self.ringing.wait_timeout_while(self.lock(), PATIENCE, |rung| *rung <= seen);
        let (_rung, waited) = rung.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the task was never woken");
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.lock() += 1;
        self.ringing.notify_all();
    }
}
