//! What locks could be built on instead, each behind the same two calls, and lockstore behind them too; and the same for
//! documents, behind calls of their own.

use std::time::Duration;

mod documents;
mod log;
mod ours;
mod redb_alone;
mod shared;
mod sqlite;
mod timers;

pub(crate) use documents::{
    JobCaller, JobLocker, JobStore, JobWriter, JobsOfMongod, JobsOfRedb, JobsOfSqlite, OurJobs,
    Pipeline,
};
pub(crate) use log::SyncedLog;
pub(crate) use ours::Ours;
pub(crate) use redb_alone::RedbAlone;
pub(crate) use shared::{Address, RedisServer, SharedCaller};
pub(crate) use sqlite::Sqlite;
pub(crate) use timers::{DelayQueueTimers, OrderedSet, OurWheel, Timers};

/// How long the lock clients of redis and mongod sleep before they look again.
const POLL: Duration = Duration::from_millis(100);

/// Something that keeps locks and shares them among threads.
pub(crate) trait LockTable: Sync {
    /// A way in for one thread.
    fn caller(&self) -> Box<dyn Caller + '_>;
}

/// One thread's way to a table of locks. What a call has done is durable when it returns.
pub(crate) trait Caller {
    /// Takes the lock of `key`, which is free.
    fn acquire(&mut self, key: &str, holder: &str);

    /// Releases what was acquired last.
    fn release(&mut self);
}
