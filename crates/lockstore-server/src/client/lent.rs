//! The client session of a call that waits.

use std::sync::Arc;

use bson::Uuid;
use lockstore::remote::{ClientSession, ClientSessions};

/// A client session that a call has for itself, with the number of that. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    sessions: Arc<ClientSessions>,
    session: ClientSession,
}

impl Lent {
    /// One that nobody has: one that was given back, or a new one.
    pub(super) fn of(sessions: &Arc<ClientSessions>) -> Self {
        let new = || ClientSession { id: Uuid::new(), txn_number: 0 };
        let mut session = sessions.take().unwrap_or_else(new);
        session.txn_number += 1;
        Self { sessions: Arc::clone(sessions), session }
    }

    pub(super) fn session(&self) -> &ClientSession {
        &self.session
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.sessions.give_back(self.session.clone());
    }
}
