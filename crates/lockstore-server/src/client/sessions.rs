//! The client sessions of a process that belong to no connection: each is had by one transaction, or one call that waits, at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bson::Uuid;
use lockstore::remote::ClientSession;

/// Those that nobody has now.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    idle: Arc<Mutex<Vec<ClientSession>>>,
}

/// One for a call, with the number of that. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    sessions: Sessions,
    session: ClientSession,
}

impl Sessions {
    /// One that nobody has: one that was given back, or a new one.
    pub(super) fn take(&self) -> ClientSession {
        let idle = self.lock().pop();
        idle.unwrap_or_else(|| ClientSession { id: Uuid::new(), txn_number: 0 })
    }

    pub(super) fn give_back(&self, session: ClientSession) {
        self.lock().push(session);
    }

    /// One for a call, with the next number.
    pub(super) fn lend(&self) -> Lent {
        let mut session = self.take();
        session.txn_number += 1;
        Lent { sessions: self.clone(), session }
    }

    /// Takes all.
    pub(super) fn empty(&self) -> Vec<ClientSession> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ClientSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    pub(super) fn session(&self) -> &ClientSession {
        &self.session
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.sessions.give_back(self.session.clone());
    }
}
