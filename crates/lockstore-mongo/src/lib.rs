//! The locks and documents of [lockstore](https://docs.rs/lockstore) on an existing MongoDB replica set: for who outgrows one machine. The program
//! stays as it is.
//!
//! ```no_run
//! let store = lockstore_mongo::connect("mongodb://a,b,c/?replicaSet=rs0")?; // or "jobs.redb"
//! let guard = store.lock("nightly-report").acquire()?;
//! println!("fencing token {}", guard.token());
//! guard.release()?; // on most members when it returns
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it costs to leave the file, and what a replica set promises instead, is compared in [`deployments`].

mod connect;
mod document_locks;
/// The three deployments compared: what each promises, costs, and survives.
#[doc = include_str!("../DEPLOYMENTS.md")]
pub mod deployments {}
mod documents;
mod failure;
mod locks;
pub mod migration;
mod numbered;
mod options;
mod replica_set;
mod runtime;
mod time;

pub use connect::{ConnectError, connect, is_replica_set, without_secrets};
pub use options::{Reads, ReplicaSetOptions};

/// The examples of the README compile: here, for this crate has all that they use.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
