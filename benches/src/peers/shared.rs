//! Locks and documents that processes share, each behind the same three calls.

mod flock;
mod mongod;
mod ours;
mod redis;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use redis::RedisServer;

use crate::Result;
use crate::documents::job::{Mark, Names};

/// Where a process finds what is shared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Address {
    /// The file of a store.
    Lockstore(PathBuf),
    /// The socket of a Redis.
    Redis(PathBuf),
    /// The port of a mongod.
    Mongod(u16),
    /// A folder of files to lock.
    Flock(PathBuf),
}

/// One process's way in.
pub(crate) trait SharedCaller {
    /// Takes the lock of `key`, and waits for it if it must.
    fn acquire(&mut self, key: &str, holder: &str);

    /// Releases what was acquired last.
    fn release(&mut self);

    /// Marks the job with this `db_id`, which is indexed. Only of those that have documents.
    fn update(&mut self, names: &Names, mark: &Mark);
}

impl Address {
    /// A way in for this process.
    pub(crate) fn call(&self) -> Result<Box<dyn SharedCaller>> {
        Ok(match self {
            Self::Lockstore(path) => Box::new(ours::Caller::new(path)?),
            Self::Redis(socket) => Box::new(redis::Caller::new(socket)?),
            Self::Mongod(port) => Box::new(mongod::Caller::new(*port)?),
            Self::Flock(folder) => Box::new(flock::Caller::new(folder)),
        })
    }
}
