//! A lock, as Python holds it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, LockGuard, LockRequest, Store};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::blocking::block_on;
use crate::errors::{Class, Error};
use crate::seconds::Timeout;
use crate::shared::Shared;

/// A lock of one key, held by this object or not. Made by `Store.lock`.
#[pyclass(frozen, weakref, module = "lockstore")]
#[derive(Debug)]
pub(crate) struct Lock {
    shared: Arc<Shared>,
    terms: Terms,
    state: Arc<Mutex<State>>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) key: String,
    /// One of its own for each grant, if there is none.
    pub(crate) holder: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) shared: bool,
    /// How long to wait; `None` for ever.
    pub(crate) timeout: Option<Duration>,
    /// Whether it ends with this process.
    pub(crate) session: bool,
    pub(crate) keep_alive: bool,
}

#[derive(Debug)]
enum State {
    Free,
    Acquiring,
    Held(LockGuard),
}

/// An acquisition that is under way. Unless it is won, the lock is as it was.
#[derive(Debug)]
struct Attempt(Arc<Mutex<State>>);

impl Lock {
    pub(crate) fn new(shared: Arc<Shared>, terms: Terms) -> Self {
        Self { shared, terms, state: Arc::new(Mutex::new(State::Free)) }
    }

    fn begin(&self) -> Result<Attempt, Error> {
        self.shared.store()?;
        let mut state = lock(&self.state);
        match &*state {
            State::Free => {
                *state = State::Acquiring;
                Ok(Attempt(Arc::clone(&self.state)))
            }
            State::Acquiring | State::Held(_) => {
                let message = format!(
                    "this Lock of {:?} is held, or being acquired, already; make another for another guard",
                    self.terms.key
                );
                Err(Error::new(Class::AlreadyHeld, message).key(&self.terms.key))
            }
        }
    }

    fn take(&self) -> Result<LockGuard, Error> {
        self.shared.store()?;
        let mut state = lock(&self.state);
        match mem::replace(&mut *state, State::Free) {
            State::Held(guard) => Ok(guard),
            other => {
                *state = other;
                Err(self.not_held())
            }
        }
    }

    fn not_held(&self) -> Error {
        let message = format!("this Lock of {:?} is not held", self.terms.key);
        Error::new(Class::NotHeld, message).key(&self.terms.key)
    }

    /// Takes it if it is free, and otherwise waits.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<LockGuard> {
        let store = self.shared.store()?;
        let session = py.detach(|| self.terms.session(&self.shared))?;
        let request = self.terms.request(store);
        let request = match &session {
            Some(session) => request.session(session),
            None => request,
        };
        // The time counts from here.
        let waiting = match timeout {
            Some(timeout) => request.clone().acquire_timeout_async(timeout),
            None => request.clone().acquire_async(),
        };
        // This thread asks first: that is the quickest way to a lock that is free.
        let guard = match py.detach(|| request.try_acquire()) {
            Err(AcquireError::Held { .. }) if timeout != Some(Duration::ZERO) => {
                block_on(py, waiting)?
            }
            tried => tried,
        };
        if let (Err(AcquireError::SessionEnded), Some(session)) = (&guard, &session) {
            self.shared.forget_session(session.id());
        }
        Ok(guard.map_err(Error::from)?)
    }
}

#[pymethods]
impl Lock {
    #[pyo3(signature = (timeout = Timeout::Unset), text_signature = "($self, timeout=...)")]
    fn acquire(slf: Bound<'_, Self>, timeout: Timeout) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        let attempt = this.begin()?;
        let guard = this.wait(slf.py(), timeout.or(this.terms.timeout))?;
        attempt.win(guard, this.terms.keep_alive);
        Ok(slf)
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let guard = self.take()?;
        Ok(py.detach(|| guard.release()).map_err(Error::from)?)
    }

    #[getter]
    fn token(&self) -> Result<Option<u64>, Error> {
        self.shared.store()?;
        Ok(match &*lock(&self.state) {
            State::Held(guard) => Some(guard.token().get()),
            State::Free | State::Acquiring => None,
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        Self::acquire(slf, Timeout::Unset)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: Option<Bound<'_, PyType>>,
        _value: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self.release(py) {
            // What went wrong first is told.
            Err(_) if exception.is_some() => Ok(()),
            released => released,
        }
    }
}

impl Terms {
    fn request<'a>(&'a self, store: &'a Store) -> LockRequest<'a> {
        let mut request = store.lock(&self.key);
        if let Some(holder) = &self.holder {
            request = request.holder(holder);
        }
        if let Some(ttl) = self.ttl {
            request = request.ttl(ttl);
        }
        if self.shared {
            request = request.shared();
        }
        request
    }

    /// The session to bind it to.
    fn session(&self, shared: &Shared) -> Result<Option<lockstore::Session>, Error> {
        if !self.session {
            return Ok(None);
        }
        Ok(Some(shared.store()?.session_with(shared.session()?)))
    }
}

impl Attempt {
    fn win(self, guard: LockGuard, keep_alive: bool) {
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

impl Drop for Lock {
    fn drop(&mut self) {
        if self.shared.is_inherited() {
            // It is the parent's, who goes on holding it.
            mem::forget(Arc::clone(&self.state));
            return;
        }
        let State::Held(guard) = mem::replace(&mut *lock(&self.state), State::Free) else { return };
        if self.terms.session {
            // It is released, and whoever drops an object does not wait for that.
            let released = thread::Builder::new().name("lockstore-release".to_owned());
            let _ = released.spawn(move || drop(guard));
        } else {
            guard.leak();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
