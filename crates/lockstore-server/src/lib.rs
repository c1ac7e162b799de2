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
//! # Start and join
//!
//! Nobody administers that process. [`Store::connect(path)`](Connect::connect) joins the server of a file, or starts it:
//! `lockstore serve --detach`, in a session of its own, which ends when nobody has been connected for a minute. Any number of
//! processes may do so at once: the lock of the store's file decides whose server serves. When the server is killed, the next
//! call of anybody starts another, and all go on there, with the deadlines that they had.
//!
//! What was sent and not answered is sent again only if that cannot do it twice: it reads, or the server remembers its
//! answer under the client session and number that it carries. Anything else ends as `OutcomeUnknown`.
//!
//! A server that was stopped, by SIGSTOP say, keeps nobody beyond a deadline: the call ends as `ServerUnresponsive`, which names
//! the process. Calls without a deadline go on waiting, and say so in the log.
//!
//! When a commit fails, as on a disk that is full, whoever has a write or a wait outstanding is told `Poisoned`, and nobody knows whether that was
//! done. `lockstore serve` opens the store again then, once, and ends the next time, so that a client starts another; while no server can
//! open the file, calls end as `Unreachable`. What only reads is asked again by itself. What was acknowledged is there, locks
//! are held as they were, and everybody goes on when there is room.
//!
//! # Files beside the store
//!
//! Of the store `jobs.redb`, in its folder:
//!
//! | file | what |
//! | --- | --- |
//! | `jobs.redb` | the store. Who has it locked owns all the others |
//! | `jobs.redb-journal` | the last commits, while the store is open: [`StoreOptions::journal`](lockstore::StoreOptions::journal). After a kill it belongs to the store, and the next server takes it over |
//! | `jobs.redb.sock` | the socket: [`socket_path`] |
//! | `jobs.redb.log`, `jobs.redb.log.1` | the log of servers in the background, 1 MiB each: [`log_path`] |
//!
//! # Our own commands
//!
//! Beside MongoDB's there are those [about locks](lockstore::remote#lock-commands), and these about connections:
//!
//! | command | what |
//! | --- | --- |
//! | `lockJoin` | whose connection this is: commands on it may name the [sessions](#presence) of that client |
//! | `lockHello` | the same for a *control connection*: calls are answered in any order from here on, by `responseTo` |
//! | `lockGoodbye: 1` | the client is done: its sessions end, on whichever of its connections it says so |
//! | `lockKill: <request id>` | gives up a call that waits on the same connection. It is answered when that call is over; a reply that the call has got comes before |
//! | `lockSessionOpen: 1`, `lockSessionClose: <session>` | on a control connection: a [session](#presence) of the client |
//!
//! On any other connection a call that waits keeps that connection, and ends when the client hangs up. A server that stops
//! answers it with `InterruptedAtShutdown` (11600), and a command that works for longer than
//! [`ServerOptions::stop_patience`] then with `ShutdownInProgress` (91); control connections are closed, and their clients ask the next server.
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
//! compared with what the kernel knows. `lockSessions` lists all. They end when the process dies, which the kernel tells at once; when the
//! client says `lockGoodbye`, as a store that is closed does; and
//! [`StoreOptions::session_grace`](lockstore::StoreOptions::session_grace) after the control connection has ended, unless the client
//! says `lockHello` with its `instance` again before. A process that is stopped is not dead.
//!
//! A session is its client's: `lockAcquire`, `lockWait` and `lockDocument` may name it on connections that have said `lockHello`, or `lockJoin`
//! with the same fields. To everybody else there is no such session (`LockSessionUnknown`).
//!
//! What a client has subscribed to ends with the last of its connections. Whoever has not said who it is has its subscriptions until
//! nobody has read them for 10 minutes.
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
//! | `maxTimeMS` | of a command bounds its work until its reply; of `find` and `aggregate` the work of all batches together, without the time between them; then `MaxTimeMSExpired` (50). One of `getMore` is not looked at |
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
//! | large messages in memory at once, together | [`ServerOptions::message_memory_max`], 256 MiB |
//! | how long the rest of a message, or the reading of a reply, may take | [`ServerOptions::patience`], 30 s; 1 s while memory is short |
//! | calls that wait: of all clients; of one connection | [`ServerOptions::waiting_max`], 100,000; [`ServerOptions::waiting_per_connection_max`], 10,000 |
//! | a client's connections for calls that are answered soon | [`ConnectOptions::connections_max`], 64, of which 8 are kept |
//! | a client's calls outstanding on its control connection | [`ConnectOptions::outstanding_max`], 10,000 |
//! | how often one call is sent again | 16 times |
//! | servers that one call starts | 3 |

mod address;
mod bell;
mod client;
mod commands;
mod connection;
mod memory;
mod options;
mod presence;
mod server;
mod wire;

pub use address::{AddressError, log_path, socket_path, uri};
pub use client::{Client, ClientError, Connect, ConnectError, ConnectOptions, Transport, connect};
pub use options::ServerOptions;
pub use server::{End, Server, StartError, Stopper};
pub use wire::describe_message;

/// The exit code of `lockstore serve` when another process has the file open, a server of it most likely.
pub const EXIT_CODE_IN_USE: u8 = 5;
