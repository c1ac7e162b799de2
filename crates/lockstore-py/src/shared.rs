//! What all objects of one open store share.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockstore::{Session, SessionId, Store, StoreError};
use pyo3::prelude::*;

use crate::errors::Error;
use crate::once::Once;
use crate::place::Place;

/// A store that is connected to, the session of this process there, and where it is.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    store: Store,
    /// Begun by the first lock that is bound to it.
    session: Once<SessionId>,
    /// Whether it was closed, or is being closed.
    closed: AtomicBool,
    opened_by: u32,
}

impl Shared {
    /// What connects to a store, on any thread, and may take as long as that takes.
    pub(crate) fn connecting(
        py: Python<'_>,
        place: Place,
    ) -> PyResult<impl FnOnce() -> Result<Arc<Self>, Error> + Send + use<>> {
        let connect = place.connecting(py)?;
        Ok(move || {
            let store = connect()?;
            let closed = AtomicBool::new(false);
            let opened_by = process::id();
            Ok(Arc::new(Self { place, store, session: Once::default(), closed, opened_by }))
        })
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

    /// A handle of the session of this process, which is begun if need be.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        let store = self.store()?;
        let begins_in = store.clone();
        let id = self.session.get(move || Ok(begins_in.session()?.leak())).await?;
        Ok(store.session_with(id))
    }

    /// The session has ended, as it does for a process that could not reach the server for long: the next lock begins another.
    ///
    /// # Errors
    ///
    /// When the store was closed: then there is none.
    pub(crate) fn forget(&self, ended: &Session) -> Result<(), Error> {
        let _ = self.session.take_if(|session| *session == ended.id());
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed.into());
        }
        Ok(())
    }

    /// Ends the session, with all locks that are bound to it, and closes the store.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let store = self.store()?.clone();
        self.closed.store(true, Ordering::Release);
        let session = self.session.take_if(|_| true);
        let ended = session.map_or(Ok(()), |session| store.session_with(session).end());
        match store.close() {
            Ok(()) => Ok(ended?),
            Err(StoreError::Closed) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.is_inherited() {
            return;
        }
        // Whoever drops an object does not wait for that.
        if let Some(session) = self.session.take_if(|_| true) {
            let session = self.store.session_with(session);
            in_background(move || drop(session.end()));
        }
    }
}

/// Lets go of something that may take a moment.
pub(crate) fn in_background(let_go: impl FnOnce() + Send + 'static) {
    // Without a thread it is done here and now, for what was to be let go of is dropped.
    let _ = thread::Builder::new().name("lockstore-drop".to_owned()).spawn(let_go);
}
