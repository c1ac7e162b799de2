//! A lock, as Python holds it.

use std::sync::Arc;
use std::time::Duration;

use lockstore::{Holder, Instant, LockGuard, ReleaseError, Token};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::blocking::block_on;
use crate::call::Call;
use crate::errors::{Class, Error};
use crate::holding::{Attempt, Holding, Known};
use crate::seconds::{Seconds, Timeout};
use crate::shared::{Shared, in_background};
use crate::terms::{Asker, Terms};
use crate::token::Given;

/// A lock of one key, held by this object or not. Made by `Store.lock`.
#[pyclass(frozen, weakref, module = "lockstore")]
#[derive(Debug)]
pub(crate) struct Lock {
    shared: Arc<Shared>,
    terms: Arc<Terms>,
    holding: Holding,
}

impl Lock {
    pub(crate) fn new(shared: Arc<Shared>, terms: Terms) -> Self {
        Self { shared, terms: Arc::new(terms), holding: Holding::default() }
    }

    fn begin(&self) -> Result<Attempt, Error> {
        self.shared.store()?;
        self.holding.begin().ok_or_else(|| {
            let message = format!(
                "this Lock of {:?} is held, or being acquired, already; make another for another guard",
                self.terms.key
            );
            Error::new(Class::AlreadyHeld, message).key(&self.terms.key)
        })
    }

    /// Takes the guard out: this object does not hold the lock any more.
    fn take(&self, py: Python<'_>) -> Result<LockGuard, Error> {
        self.shared.store()?;
        py.detach(|| self.holding.take()).ok_or_else(|| self.not_held())
    }

    /// What is known of it, if this object holds it.
    fn known(&self) -> Result<Option<Known>, Error> {
        self.shared.store()?;
        Ok(self.holding.known())
    }

    fn not_held(&self) -> Error {
        let message = format!("this Lock of {:?} is not held", self.terms.key);
        Error::new(Class::NotHeld, message).key(&self.terms.key)
    }

    /// The error of who released a grant that was over.
    fn lost(&self, error: ReleaseError, holder: &Holder, token: Token) -> Error {
        match error {
            ReleaseError::NotHeld { .. }
            | ReleaseError::OtherToken { .. }
            | ReleaseError::HeldByOther { .. } => {
                let message = format!("the lock was lost before it was released: {error}");
                Error::new(Class::LeaseLost, message)
                    .key(&self.terms.key)
                    .holder(holder.as_str())
                    .token(token)
            }
            error => error.into(),
        }
    }

    /// Releases it, without blocking the thread.
    async fn released(&self) -> Result<(), Error> {
        self.shared.store()?;
        let guard = self.holding.take().ok_or_else(|| self.not_held())?;
        let (holder, token) = (guard.holder().clone(), guard.token());
        guard.release_async().await.map_err(|error| self.lost(error, &holder, token))
    }

    /// When a wait that begins now is over; `None` when it has no end.
    fn until(&self, timeout: Option<Duration>) -> Result<Option<Instant>, Error> {
        let clock = self.shared.store()?.clock();
        Ok(timeout.map(|timeout| clock.now().saturating_add(timeout)))
    }

    /// Takes it, or waits for it on this thread.
    fn wait(&self, py: Python<'_>, until: Option<Instant>) -> PyResult<Result<LockGuard, Error>> {
        block_on(py, self.terms.acquire(&self.shared, until, Asker::Thread))
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
        let until = this.until(timeout.or(this.terms.timeout))?;
        let guard = this.wait(slf.py(), until)??;
        attempt.win(guard, this.terms.keep_alive);
        Ok(slf)
    }

    /// As `acquire`, as a coroutine. No thread waits for it. When it is cancelled, the wait ends, and what was granted meanwhile
    /// goes to the next.
    #[pyo3(signature = (timeout = Timeout::Unset), text_signature = "($self, timeout=...)")]
    fn acquire_async(slf: Bound<'_, Self>, timeout: Timeout) -> PyResult<Bound<'_, PyAny>> {
        let this = slf.get();
        let attempt = this.begin()?;
        let until = this.until(timeout.or(this.terms.timeout))?;
        let (terms, shared) = (Arc::clone(&this.terms), Arc::clone(&this.shared));
        let acquired = async move { terms.acquire(&shared, until, Asker::Coroutine).await };
        let lock = slf.clone().unbind();
        Call::coroutine(slf.py(), acquired, move |_, acquired| {
            attempt.win(acquired?, lock.get().terms.keep_alive);
            Ok(lock)
        })
    }

    /// Acquires the lock if it is free, and returns whether it has.
    ///
    /// Raises what `acquire` raises, except `AcquireTimeout`.
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        let attempt = self.begin()?;
        match self.wait(py, self.until(Some(Duration::ZERO))?)? {
            Ok(guard) => {
                attempt.win(guard, self.terms.keep_alive);
                Ok(true)
            }
            Err(error) if error.class() == Class::AcquireTimeout => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes up a lock that its holder still holds by the grant of `token`, after `leak`, or in a program that was started again, and
    /// returns this object. Its lease begins anew.
    ///
    /// Raises `LeaseLost` when that grant is over, and `InvalidArgument` when this lock was made without a holder.
    fn resume(slf: Bound<'_, Self>, token: Given) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        let attempt = this.begin()?;
        let request = this.terms.request(this.shared.store()?, None);
        let guard = slf.py().detach(|| request.resume(token.0)).map_err(Error::from)?;
        attempt.win(guard, this.terms.keep_alive);
        Ok(slf)
    }

    /// Begins the lease anew, for `ttl` seconds, or for its own TTL. Does nothing for a lock that has no end.
    ///
    /// Raises `LeaseLost` when the grant is over: a renewal revives nothing. `NotHeld` when this object does not hold the lock.
    #[pyo3(signature = (ttl = None))]
    fn renew(&self, py: Python<'_>, ttl: Option<Seconds>) -> PyResult<()> {
        self.shared.store()?;
        let renew = |guard: &mut LockGuard| match ttl {
            Some(ttl) => guard.renew_for(ttl.0),
            None => guard.renew(),
        };
        let renewed = py.detach(|| self.holding.renew(renew)).ok_or_else(|| self.not_held())?;
        Ok(renewed.map_err(Error::from)?)
    }

    /// Releases the lock. When this returns, that is durable.
    ///
    /// Raises `LeaseLost` or another error when the grant was over already: this object does not hold the lock in any case.
    /// `NotHeld` when it did not before.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let guard = self.take(py)?;
        let (holder, token) = (guard.holder().clone(), guard.token());
        py.detach(|| guard.release()).map_err(|error| self.lost(error, &holder, token))?;
        Ok(())
    }

    /// As `release`, as a coroutine. When it is cancelled, that has to wait until the lock is released.
    fn release_async(slf: Bound<'_, Self>) -> PyResult<Bound<'_, PyAny>> {
        let lock = slf.clone().unbind();
        let released = async move { lock.get().released().await };
        Call::short_coroutine(slf.py(), released, |_, released| Ok(released?))
    }

    /// Gives the lock up without releasing it, and returns its token: it is held until its lease ends, or until somebody resumes or
    /// releases it. Renewals end.
    ///
    /// Raises `NotHeld` when this object does not hold the lock.
    fn leak(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.take(py)?.leak().token.get())
    }

    /// Whether the lock is surely held yet: its lease has not run out, and no renewal was refused. Asks nobody; a lock that was broken
    /// is found out by the next renewal.
    fn is_valid(&self) -> Result<bool, Error> {
        let clock = self.shared.store()?.clock();
        Ok(self.known()?.is_some_and(|known| known.is_valid(&**clock)))
    }

    /// What is locked.
    #[getter]
    fn key(&self) -> &str {
        &self.terms.key
    }

    /// Who holds it, or is to: what `Store.lock` was given, or while it is held the one made for this grant. `None` before.
    #[getter]
    fn holder(&self) -> Result<Option<String>, Error> {
        let held_by = self.known()?.map(|known| known.holder.to_string());
        Ok(held_by.or_else(|| self.terms.holder.clone()))
    }

    /// The fencing token while it is held: higher than that of every earlier grant of the store. `None` otherwise.
    #[getter]
    fn token(&self) -> Result<Option<u64>, Error> {
        Ok(self.known()?.map(|known| known.token.get()))
    }

    /// How long it is surely held from now, in seconds; `None` when that has no end, or it is not held.
    #[getter]
    fn remaining(&self) -> Result<Option<f64>, Error> {
        let clock = self.shared.store()?.clock();
        Ok(self.known()?.and_then(|known| known.remaining(&**clock)))
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
        let failed = exception.is_some();
        let lock = slf.clone().unbind();
        let released = async move { lock.get().released().await };
        Call::short_coroutine(slf.py(), released, move |_, released| match released {
            // What went wrong first is told.
            Err(_) if failed => Ok(()),
            released => Ok(released?),
        })
    }

    fn __repr__(&self) -> String {
        let Terms { key, .. } = &*self.terms;
        match self.known() {
            Ok(Some(Known { holder, token, .. })) => {
                format!("<lockstore.Lock {key:?}, held by {holder:?} with token {token}>")
            }
            Ok(None) | Err(_) => format!("<lockstore.Lock {key:?}, not held>"),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.shared.is_inherited() {
            self.holding.forget();
            return;
        }
        let Some(guard) = self.holding.take() else { return };
        // What was had before by others than this object is theirs.
        if self.terms.session && !guard.rejoined() {
            in_background(move || drop(guard));
        } else {
            guard.leak();
        }
    }
}
