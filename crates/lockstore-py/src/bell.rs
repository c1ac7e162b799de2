//! What tells an event loop that a call has an answer. Whoever rings it does not touch Python.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use pyo3::prelude::*;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{read, write};

use crate::errors::{Class, Error};

/// A bell that many calls can ring: the descriptor is readable until somebody has looked who did.
#[pyclass(frozen, module = "lockstore._native")]
#[derive(Clone, Debug)]
pub(crate) struct Bell(Arc<Hung>);

#[derive(Debug)]
struct Hung {
    descriptor: OwnedFd,
    /// The numbers of those who have rung since somebody looked.
    rung: Mutex<Vec<u64>>,
}

/// The rope of one call.
struct Rope {
    bell: Arc<Hung>,
    number: u64,
}

impl Bell {
    pub(crate) fn hang() -> Result<Self, Error> {
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let descriptor = made.map_err(|error| {
            Error::new(Class::StoreFailed, format!("there is no event descriptor: {error}"))
        })?;
        Ok(Self(Arc::new(Hung { descriptor, rung: Mutex::default() })))
    }

    /// What rings it for the call of this number.
    pub(crate) fn rope(&self, number: u64) -> Waker {
        Arc::new(Rope { bell: Arc::clone(&self.0), number }).into()
    }

    /// Waits until it has rung, a signal comes, or for `time`.
    pub(crate) fn wait(&self, time: Duration) {
        let time = time.try_into().expect("it is short");
        // Whatever comes of it, the caller looks what is there.
        let _ = poll(&mut [PollFd::new(&self.0.descriptor, PollFlags::IN)], Some(&time));
    }

    /// Silences it, and tells who has rung.
    pub(crate) fn look(&self) -> Vec<u64> {
        // First the descriptor: who rings from here on makes it readable again.
        let _ = read(&self.0.descriptor, &mut [0; 8]);
        mem::take(&mut *self.0.rung())
    }
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> Result<Self, Error> {
        Self::hang()
    }

    /// The descriptor, to be watched for reading.
    fn fileno(&self) -> i32 {
        self.0.descriptor.as_raw_fd()
    }

    /// Silences it, and returns the numbers of the calls that have rung.
    fn rung(&self) -> Vec<u64> {
        self.look()
    }
}

impl Hung {
    fn rung(&self) -> MutexGuard<'_, Vec<u64>> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.rung().push(self.number);
        // It fails only when it has rung very often and nobody has come: that is loud enough.
        let _ = write(&self.bell.descriptor, &1_u64.to_ne_bytes());
    }
}
