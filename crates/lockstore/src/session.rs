//! Sessions: the presence of a process, or of a part of it.

use lockcore::{Outcome, Refusal, SessionId};

use crate::error::{SessionError, StoreError, unexpected};
use crate::remote::{LockAnswer, LockCall};
use crate::store::Store;

/// A session. Locks and waits that are bound to it end when it ends: by [`Session::end`], when it is dropped,
/// or with the process.
///
/// ```
/// # let store = lockstore::Store::in_memory()?;
/// let session = store.session()?;
/// let guard = store.lock("gpu-0").session(&session).acquire()?;
/// session.end()?;
/// assert!(!store.is_locked("gpu-0")?);
/// # let _ = guard.release();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping the session ends it"]
pub struct Session {
    store: Store,
    id: SessionId,
    ends_when_dropped: bool,
}

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub fn session(&self) -> Result<Session, SessionError> {
        let id = opened(self.backend().call(LockCall::OpenSession))?;
        Ok(Session { store: self.clone(), id, ends_when_dropped: true })
    }

    /// A handle of the session of this number, which there need not be, to bind locks to it: for who serves other
    /// processes ([`crate::presence`]). Dropping it does not end the session.
    pub fn session_with(&self, id: SessionId) -> Session {
        Session { store: self.clone(), id, ends_when_dropped: false }
    }
}

/// The number of a session that was to be opened.
pub(crate) fn opened(answer: LockAnswer) -> Result<SessionId, SessionError> {
    match answer {
        LockAnswer::Done(Outcome::SessionOpened(id)) => Ok(id),
        LockAnswer::Refused(Refusal::LimitReached { max, .. }) => {
            Err(SessionError::LimitReached { max })
        }
        LockAnswer::Failed(error) => Err(error.into()),
        answer => Err(unexpected(&answer).into()),
    }
}

impl Session {
    /// Its number.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Ends it: its waits are over, its locks are released, and when this returns, that is durable.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn end(mut self) -> Result<(), StoreError> {
        self.ends_when_dropped = false;
        self.close()
    }

    /// Gives up the handle, and answers its number: the session ends with the process. [`Store::session_with`] makes another handle.
    pub fn leak(mut self) -> SessionId {
        self.ends_when_dropped = false;
        self.id
    }

    fn close(&self) -> Result<(), StoreError> {
        match self.store.backend().call(LockCall::CloseSession { session: self.id }) {
            LockAnswer::Done(Outcome::SessionClosed) => Ok(()),
            LockAnswer::Failed(error) => Err(error),
            answer => Err(unexpected(&answer)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.ends_when_dropped
            && let Err(error) = self.close()
        {
            tracing::debug!(%error, "a dropped session was not ended");
        }
    }
}
