//! Where else a program could keep its jobs, each behind the same calls, and lockstore behind them too.
//!
//! `polodb_core` 5.3 is not among them: it has no call that updates a document and gives it back, so it cannot take a
//! job, it builds all of `RocksDB` and needs libclang for that, and it brings licences that `deny.toml` does not allow (ISC,
//! BSD-3-Clause) and second versions of `bson`, `thiserror`, `getrandom` and `shlex`.

mod mongod;
mod ours;
mod redb;
mod sqlite;
mod wire;

pub(crate) use mongod::JobsOfMongod;
pub(crate) use ours::OurJobs;
pub(super) use ours::marking;
pub(crate) use redb::JobsOfRedb;
pub(crate) use sqlite::JobsOfSqlite;
pub(super) use wire::Connection;

use bson::RawArray;

use crate::documents::job::{Mark, Names};

/// What a pipeline is, to those who know stages and to those who know SQL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pipeline<'p> {
    pub(crate) stages: &'p RawArray,
    pub(crate) sql: &'p str,
}

/// Something that jobs can be updated in, by many threads.
pub(crate) trait JobWriter: Sync {
    /// A way in for one thread.
    fn caller(&self) -> Box<dyn WriteCaller + '_>;
}

/// One thread's way to update. What a call has done is durable when it returns, and a document is given back, or as much
/// as there is of one.
pub(crate) trait WriteCaller {
    /// Marks the job with this `db_id`, which is indexed.
    fn update(&mut self, names: &Names, mark: &Mark);

    /// Tells which of how many threads this is, for those who do not look for what they take.
    fn enter(&mut self, _thread: usize, _threads: usize) {}

    /// Takes the job at the head of the queue, and marks it.
    fn take(&mut self, mark: &Mark);

    /// Puts what was taken back into the queue, at `index`.
    fn put_back(&mut self, mark: &Mark, index: i64);
}

/// Something that keeps jobs, and finds them.
pub(crate) trait JobStore: JobWriter {
    /// A way in for one thread.
    fn jobs(&self) -> Box<dyn JobCaller + '_>;
}

/// One thread's way to find jobs. A call gives how many it has found.
pub(crate) trait JobCaller: WriteCaller {
    /// Marks the job with this `uuid`, which has no index.
    fn update_by_uuid(&mut self, names: &Names, mark: &Mark);

    fn by_id(&mut self, names: &Names) -> usize;

    /// By `db_id`.
    fn by_index(&mut self, names: &Names) -> usize;

    /// The last jobs of the queue, at most `limit`, by the index on state and index.
    fn last_queued(&mut self, limit: usize) -> usize;

    /// The jobs with the highest priority, at most `limit`; it has no index.
    fn most_urgent(&mut self, limit: usize) -> usize;

    /// All with this `uuid`, which has no index.
    fn by_uuid(&mut self, names: &Names) -> usize;

    /// What comes out of a pipeline over the jobs.
    fn pipeline(&mut self, pipeline: Pipeline<'_>) -> usize;
}

/// Something that jobs can be locked in, by many threads: found, locked, and released again.
pub(crate) trait JobLocker: Sync {
    /// A way in for one thread.
    fn locker(&self) -> Box<dyn LockCaller + '_>;
}

/// One thread's way to lock. What a call has done is durable when it returns; it is two steps, a lock that gives the document
/// and a release.
pub(crate) trait LockCaller {
    /// Locks the job with this `db_id`, which is indexed, and releases it.
    fn by_index(&mut self, names: &Names, mark: &Mark);

    /// Locks the first job of the queue that is free, and puts it to the end as it is released.
    fn next_of_queue(&mut self, mark: &Mark, index: i64);
}
