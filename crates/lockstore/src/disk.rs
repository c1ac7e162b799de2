//! The one seam to the disk: a batch of row changes goes in and is durable when [`Disk::commit`]
//! returns; rows are read back from snapshots.
//!
//! No other module names a redb table or holds a redb transaction, so the way a batch becomes durable
//! can change without anything above noticing.

mod backup;
mod commit;
mod error;
mod gate;
mod guard;
mod journal;
mod open;
mod own_pages;
mod owner;
mod plain_file;
mod proofs;
mod read;
mod recover;
mod staging;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};

pub use error::{BackupError, DiskError, OpenError};
pub use journal::{JournalError, JournalStorage};
pub(crate) use read::{
    Direction, Documents, Entries, Entry, ScannedDocument, Snapshot, StoredDocument,
};

use crate::records::{FormatRecordV1, IdsRecordV1, TokenRecordV1, WallRecordV1};
use crate::rows::TableId;
use commit::Journaling;
use gate::Gate;
use guard::{guarded, guarded_drop};
use open::Verify;
use proofs::Proofs;

/// How a store's file is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskOptions {
    /// How much memory redb may use to cache the file, in bytes.
    pub(crate) cache_bytes: usize,
    /// Whether every page is checked before the file is used. Files of at most
    /// [`VERIFIED_BYTES_MAX`] always are.
    pub(crate) verify: bool,
    /// What a new store is given where there is none; `None` opens only what exists.
    pub(crate) create: Option<Birth>,
    /// Whether commits go by a journal.
    pub(crate) journal: JournalUse,
    /// How long a journal is, in bytes. What is too short or too long is made the shortest or longest one.
    pub(crate) journal_bytes: usize,
}

/// Whether commits go by a journal, for [`StoreOptions::journal`](crate::StoreOptions::journal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalUse {
    /// Each commit goes to the store's own file. What an earlier opening has left in a journal is still read.
    Never,
    /// After so many commits of this opening a journal is made, so that who opens a store for a call or two does not
    /// wait for that.
    AfterCommits(u64),
}

/// What a new store is given when it is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth {
    /// Tells it from every other store: 16 random bytes.
    pub(crate) store_id: [u8; 16],
    /// The time, by the wall clock.
    pub(crate) wall_ms: u64,
}

/// The meta rows, which every store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The format of the file and the identity of the store.
    pub(crate) format: FormatRecordV1,
    /// How far tokens are reserved.
    pub(crate) token: TokenRecordV1,
    /// The wall clock's high-water mark.
    pub(crate) wall: WallRecordV1,
    /// The ids of collections and indexes; the first ones in a file whose format has none.
    pub(crate) ids: IdsRecordV1,
}

/// An open store's file.
///
/// After an error from [`Disk::commit`] the batch may or may not be on disk. Nothing may be
/// concluded from what is read after that: drop this and open the file again.
///
/// A forked child must not drop this, see [`Disk::forget`].
#[derive(Debug)]
pub(crate) struct Disk {
    /// `None` only while it is being closed.
    db: Option<Database>,
    gate: Gate,
    proofs: Arc<Proofs>,
    journaling: Mutex<Journaling>,
    /// How many snapshots were taken.
    snapshots: Mutex<u64>,
}

impl Disk {
    /// Opens the store at `path`, or makes one there when there is none and `options` say how.
    ///
    /// The file is locked against every other opener, in this process and others, until this is
    /// dropped. What is no store of ours, or a damaged one, is left as it is, byte for byte. Commits that were left in its
    /// journal are in the file when this returns.
    pub(crate) fn open(path: &Path, options: &DiskOptions) -> Result<Self, OpenError> {
        open::at_path(path, options)
    }

    /// Opens the store in `backend`, or makes one there when it is empty, or holds only what a
    /// creation left that was cut short. Its journal is in `journal`, if it can have one.
    pub(crate) fn open_backend(
        backend: impl StorageBackend,
        journal: Option<Box<dyn JournalStorage>>,
        options: &DiskOptions,
    ) -> Result<Self, OpenError> {
        open::in_backend(Box::new(backend), journal, options, Verify::AsAsked)
    }

    /// The rows as the last commit left them. While a snapshot is held the file cannot reuse the
    /// pages it sees, and grows: take one, read, and drop it.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, DiskError> {
        // One after the other, so that a later number never stands for an older commit.
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = guarded("read", || self.db().begin_read())?;
        *snapshots += 1;
        Ok(Snapshot::new(transaction).with_proofs(*snapshots, Arc::clone(&self.proofs)))
    }

    /// Moves the rows together and gives the rest of the file back. Takes as long as copying them.
    /// Returns whether anything was moved.
    pub(crate) fn compact(&mut self) -> Result<bool, DiskError> {
        self.checkpoint()?;
        self.open_gate("compact")?;
        let db = self.db_mut();
        guarded("compact", || db.compact())
    }

    /// Reads every page and compares it with its checksum; rebuilds what can be rebuilt.
    pub(crate) fn check_integrity(&mut self) -> Result<Integrity, DiskError> {
        self.checkpoint()?;
        self.open_gate("check")?;
        let db = self.db_mut();
        let sound = guarded("check", || db.check_integrity())?;
        Ok(if sound { Integrity::Sound } else { Integrity::Repaired })
    }

    /// How large the file and its tables are.
    pub(crate) fn stats(&self) -> Result<DiskStats, DiskError> {
        let snapshot = self.snapshot()?;
        Ok(DiskStats {
            file_bytes: self.file_bytes(),
            cached_bytes: self.db().cache_stats().used_bytes(),
            grants: snapshot.count(TableId::Grants)?,
            audit: snapshot.count(TableId::Audit)?,
            documents: snapshot.count(TableId::Documents)?,
            index_entries: snapshot.count(TableId::IndexEntries)?,
        })
    }

    /// The length of the file in bytes. Asks no one: the length is known from its last change.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.gate.bytes()
    }

    /// Closes the file, so that it opens again without a look at every page and without a journal. Dropping does the
    /// same, and says nothing of errors: what was committed is durable either way.
    pub(crate) fn close(mut self) -> Result<(), DiskError> {
        self.settle()?;
        match self.db.take() {
            Some(db) => guarded("close", || db.close()),
            None => Ok(()),
        }
    }

    /// Lets go of a store that a forked child inherited, and touches nothing.
    ///
    /// The child has a copy of its parent's memory but shares its open file: dropping the database
    /// here would write the child's idea of the file into it and then release the parent's lock. So
    /// nothing is dropped; the memory and the descriptor are the child's until it exits or executes
    /// another program, and until then the file stays locked even when the parent has ended.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }

    /// Lets changes through to the file from now on.
    fn open_gate(&self, doing: &'static str) -> Result<(), DiskError> {
        self.gate.open().map_err(|source| DiskError::Io { doing, source })
    }

    fn db(&self) -> &Database {
        self.db.as_ref().expect(OPEN)
    }

    fn db_mut(&mut self) -> &mut Database {
        self.db.as_mut().expect(OPEN)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // While the file is locked still: once it is not, the journal may be another opener's.
        if self.db.is_some()
            && let Err(error) = self.settle()
        {
            tracing::warn!(%error, "the store's file was not closed cleanly");
        }
        guarded_drop(self.db.take());
    }
}

/// What [`Disk::check_integrity`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integrity {
    /// Every page is what was written.
    Sound,
    /// Something was wrong and was rebuilt from the rows, or the last commit was found torn and the one
    /// before it was restored: the rows may be older than they were.
    Repaired,
}

/// The size of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskStats {
    /// The length of the file in bytes.
    pub(crate) file_bytes: u64,
    /// How much of it is cached in memory, in bytes.
    pub(crate) cached_bytes: usize,
    /// How many grants there are.
    pub(crate) grants: u64,
    /// How many audit entries there are.
    pub(crate) audit: u64,
    /// How many documents there are, those of dropped collections that are not cleared away yet included.
    pub(crate) documents: u64,
    /// How many index entries there are, those of dropped indexes that are not cleared away yet included.
    pub(crate) index_entries: u64,
}

type RowTableDefinition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const TABLES: usize = TableId::ALL.len();

/// The redb table that holds `table`.
const fn definition(table: TableId) -> RowTableDefinition {
    TableDefinition::new(table.name())
}

/// Above this length a durable commit of redb also records what redb needs to reopen the file at once after a kill, which
/// makes it up to twice as dear, as it syncs twice. Below, what is in use is read through instead: half a second a GiB
/// when it is in memory, two when it is not. redb doubles a file that is full: one that has just
/// come above this length has half of it in use.
pub(crate) const QUICK_REPAIR_ABOVE_BYTES: u64 = 2 << 30;

/// Files up to this length are checked page by page whenever they are opened, so that damage is found
/// then and not later. It takes 10 ms for a small one, most of them for syncs, and 0.1 s for this many
/// bytes.
pub(crate) const VERIFIED_BYTES_MAX: u64 = 64 << 20;

/// Why [`Disk::db`] does not fail.
const OPEN: &str = "the database is there until it is closed, and closing consumes the disk";

#[cfg(test)]
mod tests;
