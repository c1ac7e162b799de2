//! The server: a listening socket, and a thread for each connection.

mod door;
mod socket;

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lockstore::{Store, StoreError};

use crate::address::{AddressError, socket_path, uri_of};
use crate::bell::Bell;
use crate::connection::{self, Ended, Service};
use crate::memory::Memory;
use crate::options::ServerOptions;
use crate::presence::Presences;
use door::Door;

pub use socket::StartError;

/// A running server. Dropping it stops it, as [`Server::stop`] does, and logs what that would answer.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    path: PathBuf,
    bell: Arc<Bell>,
    listening: Option<JoinHandle<()>>,
}

/// Why [`Server::wait_until_idle`] has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody has been connected for long enough.
    Idle,
    /// Somebody asked for it: [`Stopper::stop`].
    Stopped,
    /// The store has stopped, as a commit failed. Nothing is served from it any more; to open it again helps.
    Failed,
}

/// What the threads of a server share.
#[derive(Debug)]
struct Shared {
    store: Store,
    options: ServerOptions,
    memory: Memory,
    /// How many calls wait, on all connections.
    waiting: Arc<AtomicUsize>,
    presences: Presences,
    clients: Mutex<Clients>,
    /// Notified when a connection comes or goes, and when the server is to stop.
    changed: Condvar,
}

#[derive(Debug)]
struct Clients {
    connected: HashMap<i32, UnixStream>,
    last_number: i32,
    /// Since when there has been nobody.
    idle_since: Instant,
    stopping: bool,
    /// A commit failed.
    store_failed: bool,
}

impl Server {
    /// Serves an open store on the socket of its file at `path`: [`socket_path`].
    ///
    /// # Errors
    ///
    /// [`StartError`]. Nothing is served then, and what lies at the socket's place is as it was.
    pub fn start(
        store: Store,
        path: impl AsRef<Path>,
        options: ServerOptions,
    ) -> Result<Self, StartError> {
        let socket = socket_path(path).map_err(StartError::from)?;
        let door = Door::open(&socket)?;
        let memory = Memory::new(options.message_memory_max.max(crate::wire::MESSAGE_BYTES_MAX));
        let presences = Presences::start(store.clone())
            .map_err(|source| StartError::Io { path: socket.clone(), source })?;
        let clients = Clients {
            connected: HashMap::new(),
            last_number: 0,
            idle_since: Instant::now(),
            stopping: false,
            store_failed: false,
        };
        let shared = Arc::new(Shared {
            store,
            options,
            memory,
            waiting: Arc::default(),
            presences,
            clients: Mutex::new(clients),
            changed: Condvar::new(),
        });
        let (path, bell) = (door.path().to_owned(), door.bell());
        let listening = thread::Builder::new()
            .name("lockstore-listen".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.listen(door)
            })
            .map_err(|source| StartError::Io { path: path.clone(), source })?;
        tracing::info!(socket = %path.display(), "serving");
        Ok(Self { shared, path, bell, listening: Some(listening) })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.path
    }

    /// Its address, for MongoDB's drivers.
    pub fn uri(&self) -> String {
        uri_of(self.socket())
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.shared.clients().connected.len()
    }

    /// Waits until nobody has been connected for as long as `idle` (without one: for ever), until somebody asks for the end, or
    /// until the store has stopped, which is found out within a second. The first client gets 2 s to come in any case.
    pub fn wait_until_idle(&self, idle: Option<Duration>) -> End {
        let mut clients = self.shared.clients();
        loop {
            let left = match idle {
                _ if clients.stopping => return End::Stopped,
                _ if clients.store_failed => return End::Failed,
                Some(idle) if clients.connected.is_empty() => {
                    let had_none = clients.last_number == 0;
                    let idle = if had_none { idle.max(FIRST_CLIENT) } else { idle };
                    idle.saturating_sub(clients.idle_since.elapsed())
                }
                _ => Duration::MAX,
            };
            if left.is_zero() {
                return End::Idle;
            }
            let waited = self.shared.changed.wait_timeout(clients, left.min(LOOK_MAX));
            clients = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A handle by which another thread, such as one that waits for signals, ends [`Server::wait_until_idle`].
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }

    /// Stops: takes the socket away, answers what is in flight, hangs up, and closes the store. What takes longer than
    /// [`ServerOptions::stop_patience`] is ended by the closed store, and answered with that error.
    ///
    /// # Errors
    ///
    /// When the store cannot be closed. All that was answered is durable all the same.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), StoreError> {
        self.hang_up();
        self.wait_for_clients(self.shared.options.stop_patience);
        let closed = self.shared.store.clone().close();
        self.wait_for_clients(Duration::MAX);
        closed
    }

    fn hang_up(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        // It takes the socket away: who comes from here on finds none, and starts a server of its own once the file is free.
        self.shared.stop();
        self.bell.ring();
        if listening.join().is_err() {
            tracing::error!("the listening thread panicked");
        }
        self.shared.presences.stop();
        for stream in self.shared.clients().connected.values() {
            // What it has asked is answered still; there is no next message.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }

    /// Waits until all connections have ended, or that has taken `patience`.
    fn wait_for_clients(&self, patience: Duration) {
        let begun = Instant::now();
        let mut clients = self.shared.clients();
        while !clients.connected.is_empty() {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(clients, left.min(LOOK_MAX));
            clients = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.listening.is_none() {
            return;
        }
        if let Err(error) = self.end() {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }
}

/// Ends a server's [`Server::wait_until_idle`].
#[derive(Clone, Debug)]
pub struct Stopper {
    shared: Arc<Shared>,
}

impl Stopper {
    /// Ends the wait, at once.
    pub fn stop(&self) {
        self.shared.stop();
    }
}

impl Shared {
    /// Lets clients in until the server is to stop.
    fn listen(self: &Arc<Self>, mut door: Door) {
        let mut looked = Instant::now();
        while !self.clients().stopping {
            match door.wait(LOOK) {
                Ok(Some(stream)) => self.admit(stream),
                Ok(None) => {}
                Err(error) => {
                    // Too many files are open, most likely. Those who are connected go on.
                    tracing::warn!(%error, "a connection was not accepted");
                    thread::sleep(REST);
                }
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.look_after(&mut door);
            }
        }
    }

    /// Looks whether clients can still find the server, and whether it still has a store.
    fn look_after(&self, door: &mut Door) {
        match door.stay_open() {
            Ok(false) => {}
            Ok(true) => tracing::warn!("the socket had been taken away, and was made again"),
            Err(error) => {
                tracing::warn!(%error, "the socket was taken away, and no client can come");
            }
        }
        if let Err(error @ StoreError::Poisoned { .. }) = self.store.stats() {
            tracing::error!(%error, "nothing can be served");
            self.clients().store_failed = true;
            self.changed.notify_all();
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        if !socket::is_ours(&stream) {
            tracing::warn!("somebody else's process was turned away");
            return;
        }
        let Some(number) = self.enter(&stream) else { return };
        let thread = thread::Builder::new().name(format!("lockstore-{number}"));
        let shared = Arc::clone(self);
        if let Err(error) = thread.spawn(move || shared.serve(&stream, number)) {
            tracing::warn!(%error, "a connection has no thread");
            self.leave(number);
        }
    }

    /// Notes a connection. There may be too many already.
    fn enter(&self, stream: &UnixStream) -> Option<i32> {
        let mut clients = self.clients();
        let connections_max = self.options.connections_max;
        if clients.stopping || clients.connected.len() >= connections_max {
            tracing::warn!(connections_max, "a connection was turned away");
            return None;
        }
        let stream = stream.try_clone().ok()?;
        clients.last_number = clients.last_number.wrapping_add(1);
        let number = clients.last_number;
        clients.connected.insert(number, stream);
        self.changed.notify_all();
        Some(number)
    }

    fn serve(&self, stream: &UnixStream, number: i32) {
        let served = catch_unwind(AssertUnwindSafe(|| {
            let Self { store, memory, presences, options, waiting, .. } = self;
            let service = Service { store, memory, presences, options, waiting };
            connection::serve(service, stream, number)
        }));
        match served {
            Ok(Ok(())) => tracing::debug!(number, "a client has hung up"),
            Ok(Err(ended @ Ended::HungUp)) => tracing::debug!(number, %ended),
            Ok(Err(ended)) => tracing::info!(number, %ended, "a connection has ended"),
            Err(_) => tracing::error!(number, "a connection's thread panicked"),
        }
        self.leave(number);
    }

    fn leave(&self, number: i32) {
        let mut clients = self.clients();
        if let Some(stream) = clients.connected.remove(&number) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        clients.idle_since = Instant::now();
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.clients().stopping = true;
        self.changed.notify_all();
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<AddressError> for StartError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

/// How long the listener rests when the kernel gives it no connection.
const REST: Duration = Duration::from_millis(50);

/// So long a new server is not idle: who started it is on the way.
const FIRST_CLIENT: Duration = Duration::from_secs(2);

/// So often the server looks after its socket and its store.
const LOOK: Duration = Duration::from_secs(1);

/// How long one wait takes at most.
const LOOK_MAX: Duration = Duration::from_secs(3_600);
