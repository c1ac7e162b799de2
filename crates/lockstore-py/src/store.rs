//! A store, as Python opens it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict, PyType};

use crate::blocking::block_on;
use crate::call::Call;
use crate::errors::Error;
use crate::events::Events;
use crate::lock::Lock;
use crate::once::Once;
use crate::place::{Pickled, Place};
use crate::records;
use crate::seconds::Seconds;
use crate::shared::Shared;
use crate::terms::Terms;
use crate::token::Given;

/// Locks and documents that processes share: in a file, or on a MongoDB replica set.
///
/// `path`: the file, whose server is joined, or started: a process of its own, which ends when nobody has been connected for `idle_exit`
/// seconds. The file is made if it is not there; its folder must be. Or the address of a replica set, as a str:
/// `"mongodb://a,b,c/?replicaSet=rs0"`, with all that MongoDB's addresses have. User and password are shown nowhere, but are in `uri` and
/// in what is pickled.
///
/// One object serves all threads and event loops of a process. A child that is forked gets `StoreForked` from what it has
/// inherited, and opens the store anew; a pickled store does that by itself.
///
/// Of a file, and refused elsewhere (times in seconds, or a `timedelta`):
///
/// `idle_exit`: how long its server stays when nobody is connected. 60 s.
/// `start_timeout`: how long to wait for a server to start or for its first answer. 10 s.
///
/// Of a replica set, and refused elsewhere (times are longer than 0 and a day at most):
///
/// `database`: in which one the collections of locks are. `"lockstore"`.
/// `session_ttl`: how long locks that are bound to a process outlive its last sign of life. 30 s; at least 1 s.
/// `waiter_ttl`: how long a place in a queue outlives the last sign of life of who waits. 30 s; at least 1 s.
/// `look_again`: how often who waits looks while the server's change stream is down. 1 s.
/// `write_timeout`: how long a write may take to reach most members before its outcome is looked for. 10 s.
/// `connect_timeout`: how long a connection may take to be made. What the address says, or 5 s.
/// `patience`: how long calls without a time-out, and this one, go on while there is no primary. 60 s.
/// `reads`: `"majority"`, what most members have, or `"linearizable"`, after the primary has made sure that it is the primary: about
/// as dear as a write. `"majority"`.
/// `pool_max`: how many connections to each member there may be. What the address says, or 100.
///
/// Raises `ServerUnavailable` (a `ConnectionError`) when there is no way to a server or a primary, and `InvalidArgument` (a `ValueError`)
/// when the path or the address cannot be one, or an option is about the other.
#[pyclass(frozen, weakref, module = "lockstore")]
#[derive(Debug)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (path, **options))]
    #[pyo3(
        text_signature = "(path, *, idle_exit=None, start_timeout=None, database=None, session_ttl=None, waiter_ttl=None, look_again=None, write_timeout=None, connect_timeout=None, patience=None, reads=None, pool_max=None)"
    )]
    fn new(py: Python<'_>, path: PathBuf, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let place = Place::new(&path, options)?;
        // On a thread of its own, so that Ctrl-C is heard meanwhile.
        let connected = Once::default().get(Shared::connecting(py, place)?);
        Ok(Self { shared: block_on(py, connected)?? })
    }

    /// The lock of `key`, not acquired yet: a context manager, for `with` and for `async with`.
    ///
    /// `holder`: who is to hold it. By default one of its own for each grant. A holder that acquires again what it holds gets the same
    /// grant and token.
    /// `ttl`: how many seconds it is held unless it is renewed. By default it has no end.
    /// `shared`: beside other shared holders.
    /// `timeout`: how many seconds to wait for it; 0 tries once. By default for ever.
    /// `session`: whether it ends with this process, however that ends. Otherwise it is held until its TTL is over, or until it is released.
    /// `keep_alive`: whether a lock with a TTL is renewed in the background while it is held, by a native thread.
    ///
    /// A `Lock` that is forgotten while it is held is released if it is bound to this process, and left alone otherwise.
    #[pyo3(signature = (key, holder = None, *, ttl = None, shared = false, timeout = None, session = true, keep_alive = true))]
    #[allow(
        clippy::too_many_arguments,
        clippy::fn_params_excessive_bools,
        reason = "they have names in Python"
    )]
    fn lock(
        &self,
        key: String,
        holder: Option<String>,
        ttl: Option<Seconds>,
        shared: bool,
        timeout: Option<Seconds>,
        session: bool,
        keep_alive: bool,
    ) -> Lock {
        let ttl = ttl.map(|ttl| ttl.0);
        let timeout = timeout.map(|timeout| timeout.0);
        let terms = Terms { key, holder, ttl, shared, timeout, session, keep_alive };
        Lock::new(Arc::clone(&self.shared), terms)
    }

    /// The collection `name` of a `database` in the store, as a `Collection`: documents, with pymongo's calls. With `tz_aware`, dates
    /// that are read are in UTC, and otherwise without a time zone.
    #[pyo3(signature = (name, *, database = "lockstore", tz_aware = false))]
    fn collection<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        database: &str,
        tz_aware: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = slf.py().import("lockstore.collection")?.getattr("Collection")?;
        let how = [("tz_aware", tz_aware)].into_py_dict(slf.py())?;
        class.call((slf, database, name), Some(&how))
    }

    /// Whether anybody holds the lock of `key`.
    fn is_locked(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        let store = self.shared.store()?;
        Ok(py.detach(|| store.is_locked(key)).map_err(Error::from)?)
    }

    /// Whether `holder` holds the lock of `key`.
    fn is_lock_holder(&self, py: Python<'_>, key: &str, holder: &str) -> PyResult<bool> {
        let store = self.shared.store()?;
        Ok(py.detach(|| store.is_lock_holder(key, holder)).map_err(Error::from)?)
    }

    /// Waits until nobody holds the lock of `key`, without taking it, for at most `timeout` seconds (by default for ever), and
    /// returns whether that has come.
    #[pyo3(signature = (key, timeout = None))]
    fn wait_until_free(
        &self,
        py: Python<'_>,
        key: &str,
        timeout: Option<Seconds>,
    ) -> PyResult<bool> {
        let timeout = timeout.map(|timeout| timeout.0);
        let wait = self.shared.store()?.wait_until_free_async(key, timeout);
        Ok(block_on(py, wait)?.map_err(Error::from)?)
    }

    /// As `wait_until_free`, as a coroutine.
    #[pyo3(signature = (key, timeout = None))]
    fn wait_until_free_async<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        timeout: Option<Seconds>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let timeout = timeout.map(|timeout| timeout.0);
        let wait = self.shared.store()?.wait_until_free_async(key, timeout);
        Call::coroutine(py, wait, |_, freed| Ok(freed.map_err(Error::from)?))
    }

    /// Begins the lease of `holder` on `key` anew, for `ttl` seconds or for its own TTL, and returns how many seconds it lasts; `None`
    /// when it has no end. With a `token`, only the grant of that token is renewed. For who has no `Lock`.
    ///
    /// Raises `LeaseLost` when the grant is over.
    #[pyo3(signature = (key, holder, token = None, ttl = None))]
    fn renew(
        &self,
        py: Python<'_>,
        key: &str,
        holder: &str,
        token: Option<Given>,
        ttl: Option<Seconds>,
    ) -> PyResult<Option<f64>> {
        let store = self.shared.store()?;
        let token = token.map(|token| token.0);
        let ttl = ttl.map(|ttl| ttl.0);
        let renewed = py.detach(|| store.renew(key, holder, token, ttl)).map_err(Error::from)?;
        Ok(renewed.map(|lease| lease.as_secs_f64()))
    }

    /// Releases the lock that `holder` holds on `key`; with a `token`, only the grant of that token. For who has no `Lock`.
    ///
    /// Raises `NotHeld` (a `KeyError`) when nobody holds it, `HeldByOther` (a `ValueError`) when somebody else does, and `LeaseLost` when
    /// the holder has it by another grant.
    #[pyo3(signature = (key, holder, token = None))]
    fn release(
        &self,
        py: Python<'_>,
        key: &str,
        holder: &str,
        token: Option<Given>,
    ) -> PyResult<()> {
        let store = self.shared.store()?;
        let token = token.map(|token| token.0);
        Ok(py.detach(|| store.release(key, holder, token)).map_err(Error::from)?)
    }

    /// Who holds the lock of `key`, and until when, as a `LockInfo`; `None` when nobody does.
    fn inspect<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let store = self.shared.store()?;
        let lock = py.detach(|| store.inspect(key)).map_err(Error::from)?;
        lock.map(|lock| records::lock_info(py, &lock)).transpose()
    }

    /// The locks whose keys begin with `prefix`, in the order of their keys, as a list of `LockInfo`: at most `limit`, and at most
    /// 10,000, beginning behind the key `after`. To go on, pass the last key of the page before.
    #[pyo3(signature = (prefix = "", *, after = None, limit = 10_000))]
    fn list<'py>(
        &self,
        py: Python<'py>,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let store = self.shared.store()?;
        let locks = py.detach(|| store.list(prefix, after, limit)).map_err(Error::from)?;
        locks.iter().map(|lock| records::lock_info(py, lock)).collect()
    }

    /// Ends the grant of `token` on `key` by force, whoever holds it, and records that with `reason`: returns the `BreakRecord`. The
    /// token comes from `inspect`, so that a successor is never broken by mistake.
    ///
    /// Raises `NotHeld` when nobody holds it, and `HeldByOther` when another grant does.
    #[pyo3(signature = (key, token, reason = ""))]
    fn break_lock<'py>(
        &self,
        py: Python<'py>,
        key: &str,
        token: Given,
        reason: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let store = self.shared.store()?;
        let record = py.detach(|| store.break_lock(key, token.0, reason)).map_err(Error::from)?;
        records::break_record(py, &record)
    }

    /// The records of breaks, the newest first, as a list of `BreakRecord`: at most `limit`, before the record numbered `before`.
    #[pyo3(signature = (*, before = None, limit = 100))]
    fn audit<'py>(
        &self,
        py: Python<'py>,
        before: Option<u64>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let store = self.shared.store()?;
        let breaks = py.detach(|| store.audit(before, limit)).map_err(Error::from)?;
        breaks.iter().map(|record| records::break_record(py, record)).collect()
    }

    /// What happens from now on to locks whose keys begin with `prefix`, and what concerns no lock: an iterator over `Event`, for
    /// `for` and for `async for`. It ends when the store is closed. An event of kind `"gap"` says that some are missing, where the
    /// reader was too slow (4,096 wait) or the server was started anew.
    #[pyo3(signature = (prefix = ""))]
    fn subscribe(&self, py: Python<'_>, prefix: &str) -> PyResult<Events> {
        Ok(py.detach(|| Events::new(&self.shared, prefix))?)
    }

    /// Figures of the store, as a dict: how many `locks`, `waiters`, `sessions`, `commits`, `requests` and more.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let store = self.shared.store()?;
        let stats = py.detach(|| store.stats()).map_err(Error::from)?;
        let figures = PyDict::new(py);
        let json = serde_json::to_value(&stats).expect("figures are names and numbers");
        for (name, figure) in json.as_object().into_iter().flatten() {
            let figure = match figure.as_u64() {
                Some(figure) => figure.into_bound_py_any(py)?,
                None => figure.to_string().into_bound_py_any(py)?,
            };
            figures.set_item(name, figure)?;
        }
        Ok(figures)
    }

    /// The address for MongoDB's drivers, `mongodb://...`: of the file's socket, whose server runs while this store is open, or of the
    /// replica set as it was given, with its password if it has one.
    #[getter]
    fn uri(&self) -> PyResult<String> {
        Ok(self.shared.place.uri()?)
    }

    /// The file, as an absolute path; `None` on a replica set.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.shared.place.path().map(Path::to_owned)
    }

    /// Releases all locks that are bound to this process by this object, ends its waits with `StoreClosed`, and lets go of the
    /// server. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.shared.close())?)
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: Option<Bound<'_, PyType>>,
        _value: Bound<'_, PyAny>,
        _traceback: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        match self.close(py) {
            // What went wrong first is told.
            Err(_) if exception.is_some() => Ok(()),
            closed => closed,
        }
    }

    /// A copy, a pickled one in another process say, opens the same store with the same options.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Pickled<'py>)> {
        let reopen = slf.py().import("lockstore._reopen")?.getattr("reopen")?;
        Ok((reopen, slf.get().shared.place.pickled(slf.py())?))
    }

    fn __repr__(&self) -> String {
        format!("<lockstore.Store {}>", self.shared.place)
    }
}

impl Store {
    /// The store, which is open.
    pub(crate) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
