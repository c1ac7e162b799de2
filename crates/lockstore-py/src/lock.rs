//! A lock, as Python holds it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lockstore::{
    AcquireError, AcquireFuture, LockGuard, LockRequest, ReleaseError, Session, Store, Token,
};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::blocking::block_on;
use crate::call::Call;
use crate::errors::{Class, Error};
use crate::seconds::{Seconds, Timeout};
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

    /// The error of who released a grant that was over.
    fn lost(&self, error: ReleaseError, token: Token) -> Error {
        match error {
            ReleaseError::NotHeld { .. }
            | ReleaseError::OtherToken { .. }
            | ReleaseError::HeldByOther { .. } => {
                let message = format!("the lock was lost before it was released: {error}");
                Error::new(Class::LeaseLost, message).key(&self.terms.key).token(token)
            }
            error => error.into(),
        }
    }

    /// Takes it if it is free, and otherwise waits.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<LockGuard> {
        let store = self.shared.store()?;
        let session = py.detach(|| self.terms.session(&self.shared))?;
        let request = self.terms.request(store, session.as_ref());
        // The time counts from here.
        let waiting = within(request.clone(), timeout);
        // This thread asks first: that is the quickest way to a lock that is free.
        let acquired = match py.detach(|| request.try_acquire()) {
            Err(AcquireError::Held { .. }) if timeout != Some(Duration::ZERO) => {
                block_on(py, waiting)?
            }
            tried => tried,
        };
        Ok(self.shared.seen(acquired, session.as_ref()).map_err(Error::from)?)
    }

    /// The guard of a lock that is held.
    fn with_guard<T>(&self, look: impl FnOnce(&mut LockGuard) -> T) -> Result<T, Error> {
        self.shared.store()?;
        match &mut *lock(&self.state) {
            State::Held(guard) => Ok(look(guard)),
            State::Free | State::Acquiring => Err(self.not_held()),
        }
    }
}

#[pymethods]
impl Lock {
    /// Acquires the lock, and returns this object.
    ///
    /// `timeout`: how long to wait at most, in seconds; 0 tries once, `None` waits for ever. By default what `Store.lock` was given.
    /// Waiters are served in the order in which they came. Other threads run meanwhile, and Ctrl-C ends the wait.
    ///
    /// Raises `AcquireTimeout` (a `TimeoutError`) when it did not become free in time, `AlreadyHeld` when this object holds it,
    /// `HeldOtherwise` when the holder has it in another mode, and other `LockStoreError`s. The lock is as it was then.
    #[pyo3(signature = (timeout = Timeout::Unset), text_signature = "($self, timeout=...)")]
    fn acquire(slf: Bound<'_, Self>, timeout: Timeout) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        let attempt = this.begin()?;
        let guard = this.wait(slf.py(), timeout.or(this.terms.timeout))?;
        attempt.win(guard, this.terms.keep_alive);
        Ok(slf)
    }

    /// As `acquire`, as a coroutine. No thread waits for it. When it is cancelled, the wait ends, and what was granted meanwhile
    /// goes to the next.
    #[pyo3(signature = (timeout = Timeout::Unset), text_signature = "($self, timeout=...)")]
    fn acquire_async(slf: Bound<'_, Self>, timeout: Timeout) -> PyResult<Bound<'_, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let attempt = this.begin()?;
        // Once in a process it is begun, which takes as long as a commit.
        let session = py.detach(|| this.terms.session(&this.shared))?;
        let request = this.terms.request(this.shared.store()?, session.as_ref());
        let waiting = within(request, timeout.or(this.terms.timeout));
        let lock = slf.clone().unbind();
        Call::coroutine(py, waiting, move |_, acquired| {
            let this = lock.get();
            let guard = this.shared.seen(acquired, session.as_ref()).map_err(Error::from)?;
            attempt.win(guard, this.terms.keep_alive);
            Ok(lock)
        })
    }

    /// Acquires the lock if it is free, and returns whether it has.
    ///
    /// Raises what `acquire` raises, except `AcquireTimeout`.
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        let attempt = self.begin()?;
        let session = py.detach(|| self.terms.session(&self.shared))?;
        let request = self.terms.request(self.shared.store()?, session.as_ref());
        let acquired = py.detach(|| request.try_acquire());
        match self.shared.seen(acquired, session.as_ref()) {
            Ok(guard) => {
                attempt.win(guard, self.terms.keep_alive);
                Ok(true)
            }
            Err(AcquireError::Held { .. }) => Ok(false),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Takes up a lock that its holder still holds by the grant of `token`, after `leak`, or in a program that was started again, and
    /// returns this object. Its lease begins anew.
    ///
    /// Raises `LeaseLost` when that grant is over, and `InvalidArgument` when this lock was made without a holder.
    fn resume(slf: Bound<'_, Self>, token: u64) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        let attempt = this.begin()?;
        let token = parse_token(token)?;
        let request = this.terms.request(this.shared.store()?, None);
        let guard = slf.py().detach(|| request.resume(token)).map_err(Error::from)?;
        attempt.win(guard, this.terms.keep_alive);
        Ok(slf)
    }

    /// Begins the lease anew, for `ttl` seconds, or for its own TTL. Does nothing for a lock that has no end.
    ///
    /// Raises `LeaseLost` when the grant is over: a renewal revives nothing. `NotHeld` when this object does not hold the lock.
    #[pyo3(signature = (ttl = None))]
    fn renew(&self, py: Python<'_>, ttl: Option<Seconds>) -> PyResult<()> {
        let mut renewing = self.take()?;
        let renewed = py.detach(|| match ttl {
            Some(ttl) => renewing.renew_for(ttl.0),
            None => renewing.renew(),
        });
        *lock(&self.state) = State::Held(renewing);
        Ok(renewed.map_err(Error::from)?)
    }

    /// Releases the lock. When this returns, that is durable.
    ///
    /// Raises `LeaseLost` or another error when the grant was over already: this object does not hold the lock in any case.
    /// `NotHeld` when it did not before.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let guard = self.take()?;
        let token = guard.token();
        py.detach(|| guard.release()).map_err(|error| self.lost(error, token))?;
        Ok(())
    }

    /// As `release`, as a coroutine. When it is cancelled, that has to wait until the lock is released.
    fn release_async(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let guard = slf.get().take()?;
        let token = guard.token();
        let lock = slf.clone().unbind();
        Call::short_coroutine(slf.py(), guard.release_async(), move |_, released| {
            Ok(released.map_err(|error| lock.get().lost(error, token))?)
        })
    }

    /// Gives the lock up without releasing it, and returns its token: it is held until its lease ends, or until somebody resumes or
    /// releases it. Renewals end.
    ///
    /// Raises `NotHeld` when this object does not hold the lock.
    fn leak(&self) -> PyResult<u64> {
        Ok(self.take()?.leak().token.get())
    }

    /// Whether the lock is surely held yet: its lease has not run out, and no renewal was refused. Asks nobody; a lock that was broken
    /// is found out by the next renewal.
    fn is_valid(&self) -> PyResult<bool> {
        self.shared.store()?;
        Ok(self.with_guard(|guard| !guard.is_lost()).unwrap_or(false))
    }

    /// What is locked.
    #[getter]
    fn key(&self) -> &str {
        &self.terms.key
    }

    /// Who holds it, or is to: what `Store.lock` was given, or while it is held the one made for this grant. `None` before.
    #[getter]
    fn holder(&self) -> Result<Option<String>, Error> {
        self.shared.store()?;
        let held = self.with_guard(|guard| guard.holder().to_string());
        Ok(held.ok().or_else(|| self.terms.holder.clone()))
    }

    /// The fencing token while it is held: higher than that of every earlier grant of the store. `None` otherwise.
    #[getter]
    fn token(&self) -> Result<Option<u64>, Error> {
        self.shared.store()?;
        Ok(self.with_guard(|guard| guard.token().get()).ok())
    }

    /// How long it is surely held from now, in seconds; `None` when that has no end, or it is not held.
    #[getter]
    fn remaining(&self) -> Result<Option<f64>, Error> {
        self.shared.store()?;
        let remaining = self.with_guard(|guard| guard.remaining()).ok().flatten();
        Ok(remaining.map(|remaining| remaining.as_secs_f64()))
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

    fn __aenter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        Self::acquire_async(slf, Timeout::Unset)
    }

    fn __aexit__<'py>(
        slf: Bound<'py, Self>,
        exception: Option<Bound<'py, PyType>>,
        _value: Bound<'py, PyAny>,
        _traceback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let guard = match slf.get().take() {
            Ok(guard) => Some(guard),
            Err(_) if exception.is_some() => None,
            Err(error) => return Err(error.into()),
        };
        let token = guard.as_ref().map(LockGuard::token);
        let failed = exception.is_some();
        let lock = slf.clone().unbind();
        let released = async move {
            match guard {
                Some(guard) => guard.release_async().await,
                None => Ok(()),
            }
        };
        Call::short_coroutine(py, released, move |_, released| match (released, token) {
            (Err(error), Some(token)) if !failed => Err(lock.get().lost(error, token).into()),
            _ => Ok(()),
        })
    }

    fn __repr__(&self) -> String {
        let Terms { key, .. } = &self.terms;
        match self.with_guard(|guard| (guard.holder().to_string(), guard.token())) {
            Ok((holder, token)) => {
                format!("<lockstore.Lock {key:?}, held by {holder:?} with token {token}>")
            }
            Err(_) => format!("<lockstore.Lock {key:?}, not held>"),
        }
    }
}

/// A token, from its number.
pub(crate) fn parse_token(token: u64) -> Result<Token, Error> {
    Token::new(token).ok_or_else(|| {
        Error::new(Class::InvalidArgument, "a token is 1 or more; this one is 0".to_owned())
    })
}

fn within(request: LockRequest<'_>, timeout: Option<Duration>) -> AcquireFuture {
    match timeout {
        Some(timeout) => request.acquire_timeout_async(timeout),
        None => request.acquire_async(),
    }
}

impl Terms {
    fn request<'a>(&'a self, store: &'a Store, session: Option<&'a Session>) -> LockRequest<'a> {
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
        if let Some(session) = session {
            request = request.session(session);
        }
        request
    }

    /// The session to bind it to.
    fn session(&self, shared: &Shared) -> Result<Option<Session>, Error> {
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
