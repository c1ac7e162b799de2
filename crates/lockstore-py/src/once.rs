//! What takes a while to be had, and is had once for all who ask.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::errors::{Class, Error};

/// A value that is made when it is first asked for, on a thread of its own: neither a thread of Python's nor an event loop is held up
/// by that, and however many wait, it is one thread. What fails is made anew for whoever asks next.
#[derive(Debug)]
pub(crate) struct Once<T>(Mutex<Option<Arc<Making<T>>>>);

/// Waits for a value that is being made.
pub(crate) struct Made<T>(Arc<Making<T>>);

/// One try to make it.
#[derive(Debug)]
struct Making<T>(Mutex<Stage<T>>);

#[derive(Debug)]
enum Stage<T> {
    Under(Vec<Waker>),
    Over(Result<T, Error>),
}

/// Who makes it. If nothing has come of it when this is gone, that is what those who wait are told.
struct Maker<T: Clone>(Arc<Making<T>>);

impl<T: Clone + Send + 'static> Once<T> {
    /// The value, which `make` makes if nobody has asked before.
    pub(crate) fn get(&self, make: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Made<T> {
        let mut latest = lock(&self.0);
        if let Some(making) = &*latest
            && !making.has_failed()
        {
            return Made(Arc::clone(making));
        }
        let making = Arc::new(Making(Mutex::new(Stage::Under(Vec::new()))));
        *latest = Some(Arc::clone(&making));
        let maker = Maker(Arc::clone(&making));
        // Without a thread the maker is dropped.
        let _ = thread::Builder::new()
            .name("lockstore".to_owned())
            .spawn(move || maker.0.is_over(make()));
        Made(making)
    }

    /// Takes it out if it has been made and `is_over`, so that whoever asks next has another one made.
    pub(crate) fn take_if(&self, is_over: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut latest = lock(&self.0);
        let value = latest.as_ref()?.value().filter(is_over)?;
        *latest = None;
        Some(value)
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Future for Made<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *lock(&self.0.0) {
            Stage::Over(result) => Poll::Ready(result.clone()),
            Stage::Under(wakers) => {
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<T: Clone> Making<T> {
    fn value(&self) -> Option<T> {
        match &*lock(&self.0) {
            Stage::Over(Ok(value)) => Some(value.clone()),
            Stage::Over(Err(_)) | Stage::Under(_) => None,
        }
    }

    fn has_failed(&self) -> bool {
        matches!(*lock(&self.0), Stage::Over(Err(_)))
    }

    /// Tells those who wait what has come of it, unless they have been told.
    fn is_over(&self, result: Result<T, Error>) {
        let mut stage = lock(&self.0);
        if let Stage::Under(wakers) = &mut *stage {
            let wakers = mem::take(wakers);
            *stage = Stage::Over(result);
            drop(stage);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T: Clone> Drop for Maker<T> {
    fn drop(&mut self) {
        let message = "it could not be opened: the thread for that has not started, or has failed";
        self.0.is_over(Err(Error::new(Class::StoreFailed, message)));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
