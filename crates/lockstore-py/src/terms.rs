//! What is asked for of a lock.

use std::time::Duration;

use lockstore::{AcquireError, Instant, LockGuard, LockRequest, Session, Store};

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

    /// Acquires it, or waits `until` then; for ever if there is no end. A session that has ended, as it does when this process could not
    /// reach the server for long, is followed by another, once.
    pub(crate) async fn acquire(
        &self,
        shared: &Shared,
        until: Option<Instant>,
        asker: Asker,
    ) -> Result<LockGuard, Error> {
        let session = self.session(shared).await?;
        let acquired = self.ask(shared.store()?, session.as_ref(), until, asker).await;
        let (Err(AcquireError::SessionEnded), Some(ended)) = (&acquired, session) else {
            return Ok(acquired?);
        };
        shared.forget(&ended)?;
        let session = self.session(shared).await?;
        Ok(self.ask(shared.store()?, session.as_ref(), until, asker).await?)
    }

    async fn ask(
        &self,
        store: &Store,
        session: Option<&Session>,
        until: Option<Instant>,
        asker: Asker,
    ) -> Result<LockGuard, AcquireError> {
        let request = self.request(store, session);
        let left = until.map(|until| until.saturating_since(store.clock().now()));
        if asker == Asker::Thread {
            match request.clone().try_acquire() {
                Err(AcquireError::Held { .. }) if left != Some(Duration::ZERO) => {}
                tried => return tried,
            }
        }
        let waiting = match left {
            Some(left) => request.acquire_timeout_async(left),
            None => request.acquire_async(),
        };
        waiting.await
    }

    /// The session to bind it to.
    async fn session(&self, shared: &Shared) -> Result<Option<Session>, Error> {
        Ok(if self.session { Some(shared.session().await?) } else { None })
    }
}

/// Who asks for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// One who may be blocked for a moment. It asks first, before it waits: that is the quickest way to a lock that is free.
    Thread,
    /// One who may not.
    Coroutine,
}
