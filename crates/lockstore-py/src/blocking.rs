//! Waiting on a thread of Python's: without the interpreter's lock, and such that Ctrl-C is heard.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{read, write};

use crate::errors::{Class, Error};

/// Waits for `future`, which gives up its place in no queue until it is over or a signal's handler raises: `KeyboardInterrupt`
/// on Ctrl-C. Then it is given up, and what it was granted meanwhile is handed on.
pub(crate) fn block_on<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut future = pin!(future);
    let (bell, waker) = Bell::hung()?;
    loop {
        let mut poll_once = || future.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(output) = py.detach(&mut poll_once) {
            return Ok(output);
        }
        py.detach(|| bell.wait());
        py.check_signals()?;
    }
}

/// What wakes the thread that waits. A signal does too, for it interrupts the system's call.
struct Bell(OwnedFd);

impl Bell {
    fn hung() -> Result<(Arc<Self>, Waker), Error> {
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bell = Arc::new(Self(made.map_err(|error| {
            Error::new(Class::StoreFailed, format!("there is no event descriptor: {error}"))
        })?));
        let waker = Waker::from(Arc::clone(&bell));
        Ok((bell, waker))
    }

    /// Waits until it has rung, or a moment.
    fn wait(&self) {
        let moment = MOMENT.try_into().expect("it is short");
        // Whatever comes of it, the future is polled next.
        let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&moment));
        let _ = read(&self.0, &mut [0; 8]);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only when it has rung very often and nobody has come: that is loud enough.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// A signal that another thread has got is looked for so often.
const MOMENT: Duration = Duration::from_millis(250);
