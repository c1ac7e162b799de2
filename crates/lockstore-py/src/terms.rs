//! What is asked for of a lock.

use std::time::Duration;

use lockstore::{AcquireFuture, LockRequest, Session, Store};

use crate::errors::Error;
use crate::shared::Shared;

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

impl Terms {
    pub(crate) fn request<'a>(
        &'a self,
        store: &'a Store,
        session: Option<&'a Session>,
    ) -> LockRequest<'a> {
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
    pub(crate) fn session(&self, shared: &Shared) -> Result<Option<Session>, Error> {
        if !self.session {
            return Ok(None);
        }
        Ok(Some(shared.store()?.session_with(shared.session()?)))
    }
}

/// Asks for it as a future, for so long.
pub(crate) fn within(request: LockRequest<'_>, timeout: Option<Duration>) -> AcquireFuture {
    match timeout {
        Some(timeout) => request.acquire_timeout_async(timeout),
        None => request.acquire_async(),
    }
}
