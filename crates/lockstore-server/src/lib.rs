//! One lockstore file for many processes: a server process on a Unix socket beside the file, which speaks MongoDB's wire
//! protocol, so that any MongoDB driver is a client.
//!
//! ```
//! use lockstore::Store;
//! use lockstore_server::{Server, ServerOptions};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("jobs.redb");
//! let server = Server::start(Store::open(&path)?, &path, ServerOptions::new())?;
//! assert!(server.uri().starts_with("mongodb://%2F"));
//! server.stop()?; // answers what is in flight, and closes the file
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who gets in
//!
//! Whoever the kernel says runs as the same user. The socket is made readable and writable by its owner only, in a
//! folder that nobody else can write; there is no TCP and no password.
//!
//! # Presence
//!
//! A client that says who it is can have sessions that end with its process, and outlive a restart of the server: `lockHello {pid,
//! startTime, bootId, pidNamespace, instance}` on a connection, then `lockSessionOpen` and `lockSessionClose: <session>` there. What it says is
//! compared with what the kernel knows. `lockSessions` lists all. They end when the process dies, which the kernel tells at once; and
//! [`StoreOptions::session_grace`](lockstore::StoreOptions::session_grace) after the connection has ended, unless the client
//! says `lockHello` with its `instance` again before. A process that is stopped is not dead.
//!
//! # Bounds
//!
//! | what | bound |
//! | --- | --- |
//! | connections at once | [`ServerOptions::connections_max`], 1,000 |
//! | a message | 48,000,000 bytes, as MongoDB's |
//! | large requests in memory at once, together | [`ServerOptions::message_memory_max`], 256 MiB |
//! | how long the rest of a message, or the reading of a reply, may take | [`ServerOptions::patience`], 30 s |

mod address;
mod client;
mod commands;
mod connection;
mod memory;
mod options;
mod presence;
mod server;
mod wire;

pub use address::{AddressError, socket_path, uri};
pub use client::{Client, ClientError};
pub use options::ServerOptions;
pub use server::{Server, StartError, Stopper};
pub use wire::describe_message;
