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
//! # What is spoken
//!
//! MongoDB's wire protocol (`OP_MSG`, and the greeting by `OP_QUERY`), wire version 17: what MongoDB 6.0 speaks. The server is a replica
//! set called `lockstore` of one member, whose address is the path of its socket.
//!
//! | what | how |
//! | --- | --- |
//! | connecting | by `directConnection=true`, which [`uri`] has. By `replicaSet=lockstore` too, where the path has no capital letters: pymongo writes hosts in small ones |
//! | sessions | `lsid` in every command; `startSession`, `refreshSessions`, `endSessions`, `killSessions`, `killAllSessions`. What was written in one is forgotten 30 minutes after its last use. 100,000 of them; then `TooManyLogicalSessions` (261) |
//! | retryable writes | `insert`, `update`, `delete` and `findAndModify` with `txnNumber`; remembered durably with what they do. A result document above 1 MiB is not: then the second reply is `IncompleteTransactionHistory` (217), and nothing is done again |
//! | transactions | `startTransaction`, `commitTransaction`, `abortTransaction`; snapshot isolation. A conflict is found by the commit: `WriteConflict` (112) with the label `TransientTransactionError`. One may be open for 60 s, change 10,000 documents and 16 MiB. Collections are made in one by their first document; `create` and `createIndexes` are refused (263) |
//! | write concern | `w` of 0, 1 or `majority`, `j`: every write is durable before it is answered. More members than one, or tags, are told by a `writeConcernError` (100, 79, 4), and the write is done |
//! | read concern | `local`, `available`, `majority`, `linearizable`; `snapshot` in transactions, and refused elsewhere (72) |
//! | Stable API | `apiVersion: "1"`, `apiStrict` |
//!
//! `hello` has no `topologyVersion`: drivers ask again every few seconds, and need no second connection that waits. There is no
//! `$clusterTime` and no `operationTime`: with one member all that was acknowledged is read. Compression, authentication, change streams, and whatever
//! else is not there are refused with MongoDB's errors, `CommandNotFound` (59) mostly.
//!
//! A server that stops answers `ShutdownInProgress` (91) with the labels by which drivers ask again.
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
mod server;
mod wire;

pub use address::{AddressError, socket_path, uri};
pub use client::{Client, ClientError};
pub use options::ServerOptions;
pub use server::{Server, StartError, Stopper};
pub use wire::describe_message;
