//! What all objects of one open store share.

use std::mem;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, Session, SessionId, Store, StoreError};
use lockstore_server::ConnectOptions;
use pyo3::prelude::*;

use crate::errors::Error;
use crate::program::started_by_python;

/// A store that is connected to, the session of this process there, and what it was opened with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    store: Store,
    /// Begun by the first lock that is bound to it.
    session: Mutex<Option<Session>>,
    /// Whether it was closed, or is being closed.
    closed: AtomicBool,
    opened_by: u32,
}

/// What a store is opened with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// The file, as an absolute path.
    pub(crate) path: PathBuf,
    /// See [`ConnectOptions::idle_exit`].
    pub(crate) idle_exit: Duration,
    /// See [`ConnectOptions::start_timeout`].
    pub(crate) start_timeout: Duration,
}

impl Shared {
    pub(crate) fn connect(py: Python<'_>, options: Options) -> PyResult<Self> {
        let connect =
            ConnectOptions::new().idle_exit(options.idle_exit).start_timeout(options.start_timeout);
        let connect = started_by_python(py, connect)?;
        let store = py.detach(|| connect.connect(&options.path)).map_err(Error::from)?;
        Ok(Self {
            options,
            store,
            session: Mutex::default(),
            closed: AtomicBool::new(false),
            opened_by: process::id(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.options.path
    }

    /// The store, unless this process has inherited it.
    pub(crate) fn store(&self) -> Result<&Store, Error> {
        if self.is_inherited() {
            return Err(StoreError::Forked { opened_by: self.opened_by }.into());
        }
        Ok(&self.store)
    }

    /// Whether this process was forked from the one that has opened the store. Then no mutex may be taken: one that another thread
    /// had in that moment stays locked for ever.
    pub(crate) fn is_inherited(&self) -> bool {
        self.opened_by != process::id()
    }

    /// The session of this process, which is begun if need be.
    pub(crate) fn session(&self) -> Result<SessionId, Error> {
        let store = self.store()?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*session {
            return Ok(session.id());
        }
        let begun = store.session()?;
        let id = begun.id();
        *session = Some(begun);
        Ok(id)
    }

    /// Looks whether an acquisition bound to `session` has failed because that is over, as it is for a process that could not reach the
    /// server for long. Then the next lock begins another.
    pub(crate) fn seen<T>(
        &self,
        py: Python<'_>,
        acquired: Result<T, AcquireError>,
        session: Option<&Session>,
    ) -> Result<T, AcquireError> {
        if let (Err(AcquireError::SessionEnded), Some(ended)) = (&acquired, session) {
            py.detach(|| self.forget(ended));
            if self.closed.load(Ordering::Acquire) {
                return Err(StoreError::Closed.into());
            }
        }
        acquired
    }

    /// The session is over: the next lock begins another. Never with Python's lock held: who begins a session has it meanwhile.
    pub(crate) fn forget(&self, ended: &Session) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let_go(session.take_if(|session| session.id() == ended.id()));
    }

    /// Ends the session, with all locks that are bound to it, and closes the store.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let store = self.store()?.clone();
        self.closed.store(true, Ordering::Release);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = session.map_or(Ok(()), Session::end);
        match store.close() {
            Ok(()) => Ok(ended?),
            Err(StoreError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.is_inherited() {
            mem::forget(session);
        } else {
            let_go(session);
        }
    }
}

/// Ends a session that nothing is bound to any more, or that is over. Whoever drops an object does not wait for that.
fn let_go(session: Option<Session>) {
    if let Some(session) = session {
        in_background(move || drop(session));
    }
}

/// Lets go of something that may take a moment.
pub(crate) fn in_background(let_go: impl FnOnce() + Send + 'static) {
    // Without a thread it is done here and now, for what was to be let go of is dropped.
    let _ = thread::Builder::new().name("lockstore-drop".to_owned()).spawn(let_go);
}
