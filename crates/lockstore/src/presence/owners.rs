//! Whose each session is, for those who cannot wait for the writer.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use lockcore::SessionId;

use super::Presence;

/// Whose each session is. The writer keeps it; a session is here before its client hears of it.
#[derive(Debug, Default)]
pub(crate) struct SessionOwners {
    known: RwLock<HashMap<SessionId, Presence>>,
}

impl SessionOwners {
    /// Whether it is a session of `client`.
    pub(crate) fn is_of(&self, session: SessionId, client: Presence) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&session).is_some_and(|owner| owner.is_same(client))
    }

    /// Notes whose it is.
    pub(crate) fn insert(&self, session: SessionId, client: Presence) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(session, client);
    }

    /// It has ended.
    pub(crate) fn remove(&self, session: SessionId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }
}
