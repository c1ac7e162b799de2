//! The connections of a client: when the last of them ends, nobody is there who could read what it has subscribed to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstore::presence::{Instance, Presence, TakeUpError};

use super::Clients;

/// How many connections each client has.
#[derive(Debug, Default)]
pub(super) struct Connections {
    of: Mutex<HashMap<Instance, usize>>,
}

/// A connection of a client that has said who it is.
#[derive(Debug)]
pub(crate) struct Joined {
    clients: Arc<Clients>,
    client: Presence,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, HashMap<Instance, usize>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joined {
    pub(super) fn new(clients: &Arc<Clients>, client: Presence) -> Self {
        *clients.connections.lock().entry(client.instance).or_default() += 1;
        Self { clients: Arc::clone(clients), client }
    }

    /// Whose connection it is.
    pub(crate) fn client(&self) -> Presence {
        self.client
    }

    /// The client is done: its sessions end.
    pub(crate) fn end_sessions(&self) -> Result<(), TakeUpError> {
        self.clients.store.end_sessions(self.client)
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        let instance = self.client.instance;
        let mut connections = self.clients.connections.lock();
        let left = connections.get_mut(&instance).map(|left| {
            *left -= 1;
            *left
        });
        if left == Some(0) {
            connections.remove(&instance);
            // Under the lock: whoever comes back just now subscribes behind this.
            self.clients.store.client_gone(instance);
        }
    }
}
