//! Waiting on a thread of Python's: without the interpreter's lock, and such that Ctrl-C is heard.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pyo3::prelude::*;

use crate::bell::Bell;

/// Waits for `future`. It is polled again and again and keeps its place in the queue, until it is over or the handler of a signal
/// raises, as Ctrl-C's does: then it is given up, and what it was granted meanwhile is handed on.
pub(crate) fn block_on<F>(py: Python<'_>, future: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    let mut future = pin!(future);
    // What is there already needs no bell.
    let mut at_once = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(output) = py.detach(&mut at_once) {
        return Ok(output);
    }
    let bell = Bell::hang()?;
    let waker = bell.rope(0);
    let mut poll = || future.as_mut().poll(&mut Context::from_waker(&waker));
    let mut polled = py.detach(&mut poll);
    loop {
        if let Poll::Ready(output) = polled {
            return Ok(output);
        }
        py.check_signals()?;
        // From the bell to the answer without a stop: the interpreter's lock may be long in coming.
        polled = py.detach(|| {
            bell.wait(MOMENT);
            bell.look();
            poll()
        });
    }
}

/// A signal interrupts the wait of the thread that gets it. When that was another, it is seen after so long.
const MOMENT: Duration = Duration::from_millis(250);
