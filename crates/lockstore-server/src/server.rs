//! The server: a listening socket, and a thread for each connection.

mod socket;

use std::collections::HashMap;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lockstore::{Store, StoreError};

use crate::address::{AddressError, socket_path, uri_of};
use crate::connection::Connection;
use crate::memory::Memory;
use crate::options::ServerOptions;
use crate::presence::Presences;
use socket::SocketFile;

pub use socket::StartError;

/// A running server. Dropping it stops it, as [`Server::stop`] does, and logs what that would answer.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    socket: Option<SocketFile>,
    listening: Option<JoinHandle<()>>,
}

/// What the threads of a server share.
#[derive(Debug)]
struct Shared {
    store: Store,
    listener: UnixListener,
    options: ServerOptions,
    memory: Memory,
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
        let (socket, listener) = SocketFile::bind(socket)?;
        let memory = Memory::new(options.message_memory_max.max(crate::wire::MESSAGE_BYTES_MAX));
        let presences = Presences::start(store.clone())
            .map_err(|source| StartError::Io { path: socket.path().to_owned(), source })?;
        let clients = Clients {
            connected: HashMap::new(),
            last_number: 0,
            idle_since: Instant::now(),
            stopping: false,
        };
        let shared = Arc::new(Shared {
            store,
            listener,
            options,
            memory,
            presences,
            clients: Mutex::new(clients),
            changed: Condvar::new(),
        });
        let listening = thread::Builder::new()
            .name("lockstore-listen".into())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.listen()
            })
            .map_err(|source| StartError::Io { path: socket.path().to_owned(), source })?;
        tracing::info!(socket = %socket.path().display(), "serving");
        Ok(Self { shared, socket: Some(socket), listening: Some(listening) })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        self.socket.as_ref().map_or(Path::new(""), SocketFile::path)
    }

    /// Its address, for MongoDB's drivers.
    pub fn uri(&self) -> String {
        uri_of(self.socket())
    }

    /// How many clients are connected.
    pub fn connections(&self) -> usize {
        self.shared.clients().connected.len()
    }

    /// Waits until nobody has been connected for as long as `idle`, or for ever, or until the store has stopped.
    pub fn wait_until_idle(&self, idle: Option<Duration>) {
        let mut clients = self.shared.clients();
        loop {
            let left = match idle {
                _ if clients.stopping => return,
                Some(idle) if clients.connected.is_empty() => {
                    idle.saturating_sub(clients.idle_since.elapsed())
                }
                _ => Duration::MAX,
            };
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(clients, left.min(LOOK_MAX));
            clients = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A handle by which another thread, such as one that waits for signals, ends [`Server::wait_until_idle`].
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }

    /// Stops: takes the socket away, answers what is in flight, hangs up, and closes the store.
    ///
    /// # Errors
    ///
    /// When the store cannot be closed. All that was answered is durable all the same.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.hang_up();
        self.shared.store.clone().close()
    }

    fn hang_up(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        // Who comes from here on finds no socket, and starts a server of its own once the file is free.
        drop(self.socket.take());
        self.shared.stop();
        // It wakes up: the socket does not listen any more.
        let _ = rustix::net::shutdown(&self.shared.listener, rustix::net::Shutdown::Both);
        if listening.join().is_err() {
            tracing::error!("the listening thread panicked");
        }
        self.shared.presences.stop();
        let mut clients = self.shared.clients();
        for stream in clients.connected.values() {
            // What it has asked is answered still; there is no next message.
            let _ = stream.shutdown(Shutdown::Read);
        }
        while !clients.connected.is_empty() {
            clients = self.shared.changed.wait(clients).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.listening.is_none() {
            return;
        }
        self.hang_up();
        if let Err(error) = self.shared.store.clone().close() {
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
    fn listen(self: &Arc<Self>) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(_) if self.clients().stopping => return,
                Err(error) => {
                    // Too many files are open, most likely. Those who are connected go on.
                    tracing::warn!(%error, "a connection was not accepted");
                    thread::sleep(REST);
                }
            }
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
        if let Err(error) = thread.spawn(move || shared.serve(stream, number)) {
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

    fn serve(&self, stream: UnixStream, number: i32) {
        let served = catch_unwind(AssertUnwindSafe(|| {
            Connection::new(
                stream,
                number,
                &self.store,
                &self.presences,
                &self.memory,
                &self.options,
            )?
            .serve()
        }));
        match served {
            Ok(Ok(())) => tracing::debug!(number, "a client has hung up"),
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

/// How long one wait takes at most.
const LOOK_MAX: Duration = Duration::from_secs(3_600);
