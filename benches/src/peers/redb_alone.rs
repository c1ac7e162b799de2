//! redb, with one transaction for each call: what a lock store is without group commit.
//!
//! It works on a copy of a lockstore file, so it has the same tables, rows and pages, and writes rows of the
//! same size under the same keys: an acquisition puts one, a release deletes it. It does not compare, count
//! tokens on disk, or know who waits. Threads queue for redb's own write lock.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Caller, LockTable};
use crate::Result;

/// A database whose grants this is.
#[derive(Debug)]
pub(crate) struct RedbAlone {
    db: Database,
    next_token: AtomicU64,
    /// What a lock's row holds.
    value: Vec<u8>,
}

struct RedbCaller<'a> {
    table: &'a RedbAlone,
    token: u64,
}

impl RedbAlone {
    /// Opens a copy of a store's file, with a cache of `cache_bytes`.
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self> {
        let db = Database::builder().set_cache_size(cache_bytes).open(path)?;
        let (last, value) = {
            let grants = db.begin_read()?.open_table(GRANTS)?;
            let (key, value) = grants.last()?.ok_or("the store has no locks")?;
            (u64::from_be_bytes(key.value().try_into()?), value.value().to_vec())
        };
        Ok(Self { db, next_token: AtomicU64::new(last + 1), value })
    }

    /// One commit of one new row; gives its token.
    pub(crate) fn put(&self) -> Result<u64> {
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let transaction = self.db.begin_write()?;
        transaction
            .open_table(GRANTS)?
            .insert(token.to_be_bytes().as_slice(), self.value.as_slice())?;
        // redb's default is to sync the file.
        transaction.commit()?;
        Ok(token)
    }

    /// One commit that deletes a row.
    pub(crate) fn delete(&self, token: u64) -> Result {
        let transaction = self.db.begin_write()?;
        transaction.open_table(GRANTS)?.remove(token.to_be_bytes().as_slice())?;
        transaction.commit()?;
        Ok(())
    }
}

impl LockTable for RedbAlone {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(RedbCaller { table: self, token: 0 })
    }
}

impl Caller for RedbCaller<'_> {
    fn acquire(&mut self, _key: &str, _holder: &str) {
        self.token = self.table.put().expect("redb commits");
    }

    fn release(&mut self) {
        self.table.delete(self.token).expect("redb commits");
    }
}

const GRANTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("grants");
