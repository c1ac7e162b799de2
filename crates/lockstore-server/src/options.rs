//! Options of a server.

use std::time::Duration;

/// How a server behaves. The defaults are meant for one machine's processes.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a server is started with them"]
pub struct ServerOptions {
    pub(crate) connections_max: usize,
    pub(crate) message_memory_max: usize,
    pub(crate) patience: Duration,
    pub(crate) stop_patience: Duration,
    pub(crate) waiting_max: usize,
    pub(crate) waiting_per_connection_max: usize,
}

impl ServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connections_max: 1_000,
            message_memory_max: 256 << 20,
            patience: Duration::from_secs(30),
            stop_patience: Duration::from_secs(5),
            waiting_max: 100_000,
            waiting_per_connection_max: 10_000,
        }
    }

    /// How many connections there may be at once; 1,000 by default. Whoever comes then is turned away.
    pub fn connections_max(self, connections_max: usize) -> Self {
        Self { connections_max, ..self }
    }

    /// How many bytes all messages above 64 KiB may have together, requests until they are answered and replies until they
    /// are read; 256 MiB by default, and never less than one request may have. Who brings a request for which there is no room
    /// waits. While replies have taken more than there is, a client that stops reading is hung up on after a second.
    pub fn message_memory_max(self, message_memory_max: usize) -> Self {
        Self { message_memory_max, ..self }
    }

    /// How long a client may take to send the rest of a message that it has begun, or to read a reply; 30 s by default. A
    /// slower one is hung up on.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How long a server that stops lets what is in flight come to its end by itself; 5 s by default. Then it closes the store, which ends what is
    /// still at work, such as a pipeline over very many documents, with `ShutdownInProgress` (91).
    pub fn stop_patience(self, stop_patience: Duration) -> Self {
        Self { stop_patience, ..self }
    }

    /// How many calls of all clients may wait at once (for a lock, say); 100,000 by default. One more is refused as
    /// `LockBusy` (46).
    pub fn waiting_max(self, waiting_max: usize) -> Self {
        Self { waiting_max, ..self }
    }

    /// How many calls of one connection may wait at once; 10,000 by default. One more is refused as `LockBusy` (46).
    pub fn waiting_per_connection_max(self, waiting_per_connection_max: usize) -> Self {
        Self { waiting_per_connection_max, ..self }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self::new()
    }
}
