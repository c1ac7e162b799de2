//! Durable keyed locks with leases and fencing tokens, and documents with MongoDB's language, in one redb file.
//!
//! ```
//! use std::time::Duration;
//! use lockstore::Store;
//!
//! let store = Store::in_memory()?; // or Store::open("locks.redb")?
//! let guard = store.lock("nightly-report").ttl(Duration::from_secs(60)).acquire()?;
//! guard.keep_alive(); // renewed in the background while the guard lives
//! println!("fencing token {}", guard.token());
//! guard.release()?; // durable when it returns
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Begin with [`Store`]. What was answered is on the disk: every call that changes something returns after the
//! sync that carries it, and nobody is told of anything before. Locks survive restarts, `kill -9` and power loss;
//! two holders never overlap, unless both are shared; every grant has a [`Token`] higher than all before it.
//!
//! # Documents
//!
//! Beside the locks, in the same file and in the same commits, are documents: [collections](Collection) of BSON, or of any type that serde
//! knows, with MongoDB's language for filters, updates and pipelines, and with indexes.
//!
//! ```
//! use lockstore::bson::{Document, doc};
//! use lockstore::{IndexModel, ReturnDocument, Store};
//!
//! let store = Store::in_memory()?; // or Store::open("jobs.redb")?
//! let jobs = store.database("factory").collection::<Document>("jobs");
//! jobs.create_index(IndexModel::new(doc! { "state": 1, "cost": -1 }))?;
//! jobs.insert_many([doc! { "state": "new", "cost": 5 }, doc! { "state": "new", "cost": 9 }]).run()?;
//! // Takes the dearest job: no other thread gets the same.
//! let job = jobs
//!     .find_one_and_update(doc! { "state": "new" }, doc! { "$set": { "state": "running" } })
//!     .sort(doc! { "cost": -1 })
//!     .return_document(ReturnDocument::After)
//!     .run()?; // durable when it returns
//! assert_eq!(job.expect("there are two").get_i32("cost")?, 9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Collection`] has the requests, [`Database`] the collections, and [`Database::run_command`] takes MongoDB's commands
//! as they are. What is not supported is an error, with MongoDB's code.
//!
//! # Document locks
//!
//! [`Collection::lock_document`] finds a document by a filter, locks it, and updates it in the same step; the [`DocumentLock`] releases it,
//! with another update or a deletion if one was set. The lock stands in the document, in `lock_id` and `lock_time`: filters can ask for
//! it, and an update that sets or clears it locks or unlocks. With a TTL or a session a lock ends when its holder is gone.
//!
//! ```
//! use std::time::Duration;
//! use lockstore::Store;
//! use lockstore::bson::{Document, doc};
//!
//! let store = Store::in_memory()?; // or Store::open("jobs.redb")?
//! let jobs = store.database("factory").collection::<Document>("jobs");
//! jobs.insert_many([doc! { "state": "ready", "cost": 5 }, doc! { "state": "ready", "cost": 9 }]).run()?;
//! let mut lock = jobs
//!     .lock_document(doc! { "state": "ready" })
//!     .sort(doc! { "cost": -1 })
//!     .ttl(Duration::from_secs(60)) // unlocked by then if this program is killed
//!     .acquire()?;
//! lock.keep_alive();
//! if let Some(job) = lock.locked_document() {
//!     assert_eq!(job.get_i32("cost")?, 9);
//!     lock.set_update_on_release(doc! { "$set": { "state": "done" } })?;
//! }
//! lock.release()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Transactions and fences
//!
//! [`Store::transaction`] changes several collections and locks together or not at all. A write that relies on a lock carries a
//! [`Fence`], and is refused in the very commit that would do it when the lock is lost.
//!
//! # Bounds
//!
//! | what | bound |
//! | --- | --- |
//! | a key, a holder, a `lock_id`, the reason of a break | 1,024 bytes of UTF-8; a key does not begin with `"\0document/"` |
//! | a TTL | 1 ms to 3,650 days |
//! | locks, those of documents included; shared holders of one, waiters, sessions and what is bound to one | [`Limits`] |
//! | documents that one call of [`Collection::unlock`] unlocks | 4,096 |
//! | calls in the queue and in one commit, audit records, events in a receiver | [`StoreOptions`] |
//! | subscriptions at once | 1,024 |
//! | locks of one page of a listing | 10,000 |
//! | a document | 16 MiB, 180 levels |
//! | the name of a database; of a collection with that of its database | 63 bytes; 255 bytes |
//! | what a sort without an index, or a stage of a pipeline, holds in memory; what it puts into a temporary file beside the store | 100 MiB; 64 GiB |
//! | collections; indexes of one; keys of one document in one index | 10,000; 64; 100,000 |
//! | the options and index specifications of one collection | 768 KiB |
//! | documents that one commit changes, before more wait for the next | 1,024, or 16 MiB of them |
//! | the lifetime of a transaction; documents that it changes; their bytes, before and after | 5 s; 10,000; 16 MiB: [`TransactionOptions`] |
//! | locks that a transaction changes, and relies on; transactions at once | 1,000 each; 10,000 |
//!
//! A file up to 64 MiB is checked page by page when it is opened; above 2 GiB each commit notes what redb needs to
//! reopen at once after a kill, and costs up to twice as much. A new file can be read and written by its
//! owner only.

mod acquire;
mod backend;
mod background;
mod breaks;
mod call;
mod client_sessions;
mod clock;
mod codec;
pub mod collection;
mod commands;
mod database;
mod disk;
mod document_locks;
mod documents;
mod engine;
mod error;
mod events;
mod fence;
mod format;
mod grants;
mod guard;
mod identity;
mod info;
mod keep_alive;
mod maintenance;
mod manager;
mod numbers;
mod operations;
mod options;
pub mod presence;
pub mod records;
mod recovery;
pub mod remote;
mod request;
mod rows;
mod session;
mod slot;
mod store;
mod tokens;
mod transaction;
mod view;
mod wait;
mod writer;

pub use bson;
pub use docquery::{Error as Refusal, ErrorCode};

pub use acquire::{AcquireFuture, LockRequest};
pub use clock::{BootId, Clock, SystemClock, WallTime};
pub use collection::{
    BulkWriteResult, Collection, Cursor, DeleteResult, DocumentLock, Hint, IndexModel,
    InsertManyResult, InsertOneResult, ReturnDocument, UpdateResult, WriteModel,
};
pub use commands::{Caller, CommandFuture, Started, Waits, refusal_in_session};
pub use database::{CollectionInfo, Database};
pub use disk::{BackupError, DiskError, JournalError, JournalStorage, JournalUse, OpenError};
pub use document_locks::fields::{
    LOCK_EXPIRES_AT_KEY, LOCK_KEY, LOCK_TIME_KEY, LOCK_TOKEN_KEY, get_lock_id, get_lock_time,
};
pub use error::{
    AcquireError, ArgumentError, BreakError, DocumentError, DuplicateKey, FlowLockedError, HeldBy,
    JobLockedError, LockDocumentError, LockLost, LockedDocumentError, PartialWrite, ReadError,
    ReleaseDocumentError, ReleaseError, RenewError, ResumeError, RunnerLockedError, SessionError,
    StoreError, TransactionEnd, TransactionSize, WaitError,
};
pub use events::{Event, EventKind, Subscription};
pub use fence::Fence;
pub use guard::{LeakedGrant, LockGuard, ReleaseFuture};
pub use info::{BreakRecord, HolderInfo, LockInfo, Stats};
pub use lockcore::{
    EndCause, Holder, Instant, Key, LeaveCause, Limit, Limits, Mode, NameError, SessionId, Token,
    Ttl, TtlError, WaiterId,
};
pub use maintenance::{CheckReport, MaintenanceError};
pub use manager::LockManager;
pub use options::StoreOptions;
pub use recovery::Recovery;
pub use remote::{ClientSession, OnReply, Outstanding, Remote};
pub use session::Session;
pub use store::Store;
pub use tokens::ReserveTokensError;
pub use transaction::{Transaction, TransactionLock, TransactionLockRequest, TransactionOptions};
pub use wait::WaitFuture;
