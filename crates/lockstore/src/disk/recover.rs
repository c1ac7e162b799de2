//! What an opening makes of the journal that it finds: the commits in it go into the file, and it is removed.

use std::path::Path;

use redb::Durability;

use super::journal::{Found, unmark};
use super::open::{disk_error, journal_error};
use super::{Disk, DiskError, JournalError, JournalStorage, OpenError};
use crate::rows::RowChange;

/// Has everything in the file of `disk`, the store at `path`, before anything is read of it.
///
/// All of the journal is read and understood before the file is touched. Then one commit writes its rows and says that there
/// is no journal any more. Whenever this is cut short, the next opening does the same, or finds a journal that
/// is of no use to anybody.
pub(super) fn recover(
    path: &Path,
    disk: &Disk,
    storage: Option<&dyn JournalStorage>,
) -> Result<(), OpenError> {
    let failed = |source| disk_error(path, source);
    let snapshot = disk.snapshot().map_err(failed)?;
    let format = snapshot.format().map_err(failed)?;
    let mark = snapshot.journal_mark().map_err(failed)?;
    drop(snapshot);
    let Some(storage) = storage else {
        return mark.map_or(Ok(()), |_| Err(missing(path)));
    };
    let journal_failed = |source| journal_error(path, storage, source);
    let file = storage.open().map_err(|error| journal_failed(error.into()))?;
    let found = file.map(|file| Found::read(&*file, format.store_id)).transpose();
    match (found.map_err(journal_failed)?, mark) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(journal_failed(JournalError::Missing)),
        // It was made and never asked for, or was to be removed: the file has everything.
        (Some(_), None) => {}
        (Some(found), Some(mark)) => {
            let rows = found.rows_behind(&mark).map_err(journal_failed)?;
            let unmark = unmark(format);
            let rows = rows.into_iter().chain(unmark.iter().map(RowChange::borrowed));
            disk.open_gate("recover")
                .and_then(|()| disk.write_rows(Durability::Immediate, rows))
                .map_err(failed)?;
        }
    }
    storage.remove().map_err(|source| failed(DiskError::Io { doing: REMOVE, source }))
}

/// For a store that has no place for a journal, and needs one.
fn missing(path: &Path) -> OpenError {
    let (path, journal) = (path.to_owned(), "(no journal storage)".into());
    OpenError::Journal { path, journal, source: JournalError::Missing }
}

/// What an error says was being done.
const REMOVE: &str = "remove the journal of";
