//! What can be asked of a store about itself and its locks.

use super::Engine;
use crate::error::StoreError;
use crate::info::{LockInfo, Stats};

impl Engine {
    /// Whether `holder`, or anybody, holds the lock of `key`.
    pub(crate) fn is_held(&self, key: &str, holder: Option<&str>) -> bool {
        let view = self.published.view();
        view.lock(key).is_some_and(|lock| holder.is_none_or(|it| lock.grant_of(it).is_some()))
    }

    /// Who holds the lock of `key`.
    pub(crate) fn inspect(&self, key: &str) -> Option<LockInfo> {
        let view = self.published.view();
        view.lock(key).map(|lock| LockInfo::new(lock, &*self.clock))
    }

    /// At most `limit` locks whose keys begin with `prefix`, in the order of their keys, behind `after`.
    pub(crate) fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> impl Iterator<Item = LockInfo> {
        let locks = self.published.list(prefix, after, limit);
        locks.into_iter().map(|lock| LockInfo::new(&lock, &*self.clock))
    }

    /// Figures of the store.
    pub(crate) fn stats(&self) -> Result<Stats, StoreError> {
        let disk = self.with_disk(|disk| Ok::<_, StoreError>(disk.stats()?))?;
        Ok(self.in_seat(|seat| {
            let (table, figures) = (seat.writer.table(), seat.writer.figures);
            let catalog = seat.writer.documents().catalog();
            Stats {
                locks: table.locks_len() - seat.writer.document_locks_len(),
                document_locks: seat.writer.document_locks_len(),
                waiters: table.waiters_len() + seat.writer.document_waiters_len(),
                sessions: table.sessions_len(),
                client_sessions: self.client_sessions.len(),
                commits: figures.commits,
                requests: figures.requests,
                batch_max: figures.batch_max,
                file_bytes: disk.file_bytes,
                cached_bytes: disk.cached_bytes,
                audit_records: disk.audit,
                collections: catalog.len(),
                indexes: catalog.iter().map(|collection| collection.indexes().len()).sum(),
                documents: disk.documents,
                index_entries: disk.index_entries,
            }
        }))
    }
}
