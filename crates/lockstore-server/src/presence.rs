//! The presence of clients: what happens when a process says who it is, and when it is gone.
//!
//! A client that has said so (`lockHello`) may open sessions. They are lost when its connection ends, and the store knows what
//! becomes of them then: they end at once if its process is dead, and else after a grace, in which it may come back. The end of a process is
//! told by the kernel, as long as the server can have a descriptor of it: at once when it dies, also
//! when a child that it has forked keeps its connection open, or when it dies in the grace. (A connection ends before its
//! process is dead, so that its end alone would tell nothing.)
//!
//! Connections that the server itself ends, when it stops, lose nothing: the next one finds the sessions as they are.

mod hello;
mod joined;
mod watch;

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstore::presence::{self, Instance, Life, SessionOwner, TakeUpError};
use lockstore::{SessionError, SessionId, Store, StoreError};

pub(crate) use hello::{Hello, HelloError};
use joined::Connections;
pub(crate) use joined::Joined;
use watch::{Watch, Watched};

/// The clients of a server that have said who they are.
#[derive(Debug)]
pub(crate) struct Presences {
    clients: Arc<Clients>,
    watch: Watch,
}

/// What the connections and the watch share.
#[derive(Debug)]
struct Clients {
    store: Store,
    watched: Watched,
    /// By their control connections.
    connected: Mutex<HashMap<Instance, Connected>>,
    /// By any.
    connections: Connections,
    stopping: AtomicBool,
}

/// The connection by which a client is there.
#[derive(Debug)]
struct Connected {
    connection: i32,
    presence: presence::Presence,
    stream: UnixStream,
}

/// The presence of the client of one connection. It is lost when this is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    clients: Arc<Clients>,
    client: presence::Presence,
    connection: i32,
    taken_up: Vec<SessionId>,
}

/// Why a client is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    TakeUp(#[from] TakeUpError),
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

impl Presences {
    /// Watches the processes whose sessions the store has found. Nobody is connected yet.
    pub(crate) fn start(store: Store) -> io::Result<Self> {
        let clients = Arc::new(Clients {
            store,
            watched: Watched::new()?,
            connected: Mutex::default(),
            connections: Connections::default(),
            stopping: AtomicBool::new(false),
        });
        let found = clients.store.sessions().unwrap_or_default();
        for session in found {
            if let SessionOwner::Client { presence, .. } = session.owner {
                clients.watch(presence);
            }
        }
        let watch = Watch::start(&clients)?;
        Ok(Self { clients, watch })
    }

    /// A client says that a connection is its.
    pub(crate) fn join(&self, hello: &Hello, peer: &UnixStream) -> Result<Joined, HelloError> {
        Ok(Joined::new(&self.clients, hello.check(peer)?))
    }

    /// A client is there from now on, by one of its connections. The sessions that it had before go on.
    pub(crate) fn begin(
        &self,
        client: presence::Presence,
        peer: &UnixStream,
        connection: i32,
    ) -> Result<Presence, BeginError> {
        let stream = peer.try_clone()?;
        let connected = Connected { connection, presence: client, stream };
        // Before its sessions are taken up: from here on an older connection of it has nothing to lose.
        let before = self.clients.connected().insert(client.instance, connected);
        let taken_up = match self.clients.store.session_taken_up(client) {
            Ok(taken_up) => taken_up,
            Err(error) => {
                let mut connected = self.clients.connected();
                match before {
                    Some(before) => connected.insert(client.instance, before),
                    None => connected.remove(&client.instance),
                };
                return Err(error.into());
            }
        };
        self.clients.watch(client);
        Ok(Presence { clients: Arc::clone(&self.clients), client, connection, taken_up })
    }

    /// From here on connections that end are ended by the server, which loses nothing.
    pub(crate) fn stop(&self) {
        self.clients.stopping.store(true, Ordering::Release);
        self.watch.stop();
    }
}

impl Drop for Presences {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Presence {
    /// The sessions that it had before.
    pub(crate) fn taken_up(&self) -> &[SessionId] {
        &self.taken_up
    }

    /// Opens a session that is this client's presence.
    pub(crate) fn open_session(&self) -> Result<SessionId, SessionError> {
        self.clients.store.open_session(self.client)
    }

    /// Ends a session of this client. Answers whether it was one.
    pub(crate) fn close_session(&self, session: SessionId) -> Result<bool, StoreError> {
        self.clients.store.close_session(self.client.instance, session)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.clients.end(self.client.instance, self.connection);
    }
}

impl Clients {
    /// A connection has ended.
    fn end(&self, instance: Instance, connection: i32) {
        let mut connected = self.connected();
        if connected.get(&instance).is_none_or(|client| client.connection != connection) {
            return; // It is there by another one already.
        }
        connected.remove(&instance);
        drop(connected);
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        self.lose(instance);
        // It may have come back just now, and been taken up before it was lost.
        let back = self.connected().get(&instance).map(|client| client.presence);
        if let Some(client) = back
            && let Err(error) = self.store.session_taken_up(client)
        {
            tracing::warn!(%error, %instance, "a client's sessions were not taken up");
        }
    }

    /// A process has died. What it has left open is hung up on.
    fn died(&self, instance: Instance) {
        if let Some(client) = self.connected().get(&instance) {
            let _ = client.stream.shutdown(Shutdown::Both);
        }
        self.store.client_gone(instance);
        self.lose(instance);
    }

    fn lose(&self, instance: Instance) {
        match self.store.session_lost(instance) {
            Ok(Some(life)) => tracing::info!(%instance, ?life, "a client with sessions is gone"),
            Ok(None) => self.unwatch(instance),
            Err(error) => tracing::warn!(%error, %instance, "a client's sessions were not ended"),
        }
    }

    /// Has the end of a client's process told, if the kernel does.
    fn watch(&self, client: presence::Presence) {
        let presence::Presence { instance, process } = client;
        match self.watched.add(client) {
            // It has died since the store looked, or came only for a moment.
            Ok(false) if process.life(process.boot_id) == Life::Dead => self.lose(instance),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, %instance, "a process cannot be watched"),
        }
    }

    /// Watches a process no longer whose client is not there, and has nothing that could end with it.
    fn unwatch(&self, instance: Instance) {
        let connected = self.connected();
        if !connected.contains_key(&instance) {
            self.watched.remove(instance);
        }
    }

    /// Forgets the processes of clients that were lost and whose sessions are over.
    fn tidy(&self) {
        for instance in self.watched.instances() {
            let is_connected = self.connected().contains_key(&instance);
            if !is_connected && matches!(self.store.presence_of(instance), Ok(None)) {
                self.unwatch(instance);
            }
        }
    }

    fn connected(&self) -> MutexGuard<'_, HashMap<Instance, Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
