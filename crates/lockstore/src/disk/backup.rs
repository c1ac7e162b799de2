//! Copies of a store, made while it is in use.

use std::io;
use std::path::Path;

use redb::Database;

use super::guard::guarded;
use super::journal::unmark;
use super::open::builder;
use super::staging::{Staged, folder_of};
use super::{BackupError, Disk, DiskError, Snapshot, definition};
use crate::rows::{ChangedRow, TableId};

impl Disk {
    /// Copies the store as it is now into a new file at `destination`, which is durable when this
    /// returns. Nothing is ever overwritten, and nobody sees an unfinished copy.
    ///
    /// Commits go on meanwhile; the file cannot reuse pages until the copy is made, and grows by what is
    /// written in that time.
    pub(crate) fn backup(&self, destination: &Path) -> Result<(), BackupError> {
        let snapshot = self.snapshot()?;
        let staged = Staged::new(destination).map_err(|error| refused(destination, error))?;
        copy(&snapshot, &staged).map_err(|failed| match failed {
            Failed::Reading(error) => BackupError::Store(error),
            Failed::Writing(source) => {
                BackupError::Destination { path: destination.to_owned(), source }
            }
        })?;
        drop(snapshot);
        staged.publish().map_err(|error| refused(destination, error))
    }
}

/// Copies row by row, in the order of the keys: the copy is as small as it can be, however much room
/// the file has to spare.
fn copy(snapshot: &Snapshot, staged: &Staged) -> Result<(), Failed> {
    let backend = staged.backend().map_err(writing)?;
    let db = guarded("write", || builder(CACHE_BYTES).create_with_backend(backend))
        .map_err(Failed::Writing)?;
    copy_rows(snapshot, &db)?;
    guarded("close", || db.close()).map_err(Failed::Writing)
}

fn copy_rows(snapshot: &Snapshot, db: &Database) -> Result<(), Failed> {
    let transaction = guarded("write", || db.begin_write()).map_err(Failed::Writing)?;
    for table in TableId::ALL {
        let mut rows = guarded("write", || transaction.open_table(definition(table)))
            .map_err(Failed::Writing)?;
        snapshot.for_each_row(table, |key, value| {
            guarded("write", || rows.insert(key, value).map(drop)).map_err(Failed::Writing)
        })?;
    }
    // The copy has every row itself, also where the store has them in its journal.
    let mut meta = guarded("write", || transaction.open_table(definition(TableId::Meta)))
        .map_err(Failed::Writing)?;
    for change in unmark(snapshot.format()?) {
        let ChangedRow { key, value, .. } = change.borrowed();
        guarded("write", || match value {
            Some(value) => meta.insert(key, value).map(drop),
            None => meta.remove(key).map(drop),
        })
        .map_err(Failed::Writing)?;
    }
    drop(meta);
    guarded("write", || transaction.commit()).map_err(Failed::Writing)
}

enum Failed {
    Reading(DiskError),
    Writing(DiskError),
}

impl From<DiskError> for Failed {
    fn from(error: DiskError) -> Self {
        Self::Reading(error)
    }
}

fn writing(source: io::Error) -> Failed {
    let doing = "write";
    Failed::Writing(DiskError::Io { doing, source })
}

fn refused(destination: &Path, error: io::Error) -> BackupError {
    let path = destination.to_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path },
        io::ErrorKind::NotFound => {
            BackupError::MissingFolder { folder: folder_of(destination).to_owned(), path }
        }
        _ => BackupError::Destination {
            path,
            source: DiskError::Io { doing: "make", source: error },
        },
    }
}

/// A copy is written once from left to right; it needs little cache.
const CACHE_BYTES: usize = 16 << 20;
