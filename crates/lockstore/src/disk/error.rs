//! What can go wrong with a file, in sentences that say what to do.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::JournalError;
use crate::records::RecordError;

/// Why a store's file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The operating system refused to read, write or sync. Of a commit it is unknown whether it is
    /// on disk.
    #[error("could not {doing} the store's file: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the operating system said: no space left, among others.
        source: io::Error,
    },
    /// The file is not what was written to it.
    #[error(
        "the store's file is damaged: {what} (found in trying to {doing} it); restore a backup"
    )]
    Corrupted {
        /// What was being done.
        doing: &'static str,
        /// What was found.
        what: String,
    },
    /// One row is not what was written.
    #[error("the store's file is damaged: {0}; restore a backup")]
    Record(#[source] Box<RecordError>),
    /// A row is not there that every store has.
    #[error("the store's file is damaged: table {table} has no row {key}; restore a backup")]
    MissingRow {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
    },
    /// An earlier error made the file unusable until it is opened again.
    #[error("could not {doing} the store's file after an earlier error ({what}); open it again")]
    Stopped {
        /// What was being done.
        doing: &'static str,
        /// What redb remembers of the earlier error.
        what: String,
    },
    /// The file is open in another process, which says this.
    #[error("{what}")]
    Elsewhere {
        /// Its own [`DiskError`], as a sentence.
        what: Arc<str>,
    },
    /// Somebody still reads: the file can be compacted or checked only alone.
    #[error("could not {doing} the store's file while it is being read; try again")]
    Busy {
        /// What was being done.
        doing: &'static str,
    },
}

impl DiskError {
    pub(super) fn from_redb(doing: &'static str, error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::Io(source) if is_damage(&source) => {
                Self::Corrupted { doing, what: source.to_string() }
            }
            E::Io(source) => Self::Io { doing, source },
            E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) | E::TransactionPoisoned => {
                Self::Stopped { doing, what: error.to_string() }
            }
            E::TransactionInProgress | E::ReadTransactionStillInUse(_) | E::WouldBlock => {
                Self::Busy { doing }
            }
            E::Corrupted(what) => Self::Corrupted { doing, what },
            // The tables of a store are always there, and always of one type.
            error => Self::Corrupted { doing, what: error.to_string() },
        }
    }
}

impl From<RecordError> for DiskError {
    fn from(error: RecordError) -> Self {
        Self::Record(Box::new(error))
    }
}

/// redb reads only what its own pages point at: outside the file, it is the pages that are wrong.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    )
}

/// Why a store could not be opened, or made. In each case what stands at the path is unchanged.
///
/// A store in an injected storage backend has the path `(storage backend)`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no file, and none was to be made.
    #[error("there is no store at {}", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The folder that the file is to lie in does not exist.
    #[error("{} cannot be made: its folder {} does not exist; make the folder first", path.display(), folder.display())]
    MissingFolder {
        /// The path.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The path names a folder, a device, a pipe or a socket.
    #[error("{} is {found}, where a file was expected", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The operating system does not let this user read and write the file or its folder, or the file
    /// system is read-only.
    #[error("{} cannot be opened for reading and writing: {source}", path.display())]
    Denied {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another opener has the file: a store is open once, in one process.
    #[error(
        "{} is open in {}; a store can be open only once at a time, and processes share one through a server: \
         `Store::connect`",
        path.display(), opener(*pid, program.as_deref())
    )]
    Locked {
        /// The path.
        path: PathBuf,
        /// The process that opened it, where that can be told. When that process has ended, a child
        /// that it forked still keeps the file.
        pid: Option<u32>,
        /// The name of that process's program: `lockstore` is most likely the server of this file.
        program: Option<String>,
    },
    /// The file is empty. A store never is, so this one has lost its content, or was made by something else.
    #[error("{} is empty, which a store never is; if nothing was lost, remove it and open again", path.display())]
    Empty {
        /// The path.
        path: PathBuf,
    },
    /// The file is of another kind.
    #[error("{} is no store: it begins with {found:?}, where {expected:?} was expected", path.display())]
    NotRedb {
        /// The path.
        path: PathBuf,
        /// Its first bytes, as text.
        found: String,
        /// The first bytes of every redb file.
        expected: String,
    },
    /// The file was made with redb, but not by us.
    #[error("{} is a redb file, but no store: {what}", path.display())]
    NotAStore {
        /// The path.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The file was written by a newer version of this library.
    #[error("{} has format {found}, where this version reads up to {supported}; use a newer version", path.display())]
    NewerFormat {
        /// The path.
        path: PathBuf,
        /// The file's format.
        found: u32,
        /// The newest format that can be read.
        supported: u32,
    },
    /// The journal at the store's side is not the one that belongs there.
    #[error("{} cannot be opened, for its journal {}: {source}", path.display(), journal.display())]
    Journal {
        /// The store's path.
        path: PathBuf,
        /// The journal's path.
        journal: PathBuf,
        /// What is wrong with the journal.
        source: JournalError,
    },
    /// The machine's clocks could not be read.
    #[error("{} cannot be opened without the machine's clock and boot id: {source}", path.display())]
    Clock {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The thread that serves timers could not be started.
    #[error("{} cannot be opened: its background thread does not start: {source}", path.display())]
    Thread {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is damaged, or could not be read.
    #[error("{} cannot be opened: {source}", path.display())]
    Disk {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: DiskError,
    },
}

fn opener(pid: Option<u32>, program: Option<&str>) -> String {
    match (pid, program) {
        (Some(pid), _) if pid == std::process::id() => format!("this process ({pid})"),
        (Some(pid), Some(program)) => format!("process {pid} ({program})"),
        (Some(pid), None) => format!("process {pid}"),
        (None, _) => "another process".to_owned(),
    }
}

/// Why a backup was not made. In each case there is no file at its destination that was not there before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is at the destination already; a backup never overwrites.
    #[error("{} exists already; name a file that does not", path.display())]
    Exists {
        /// The destination.
        path: PathBuf,
    },
    /// The folder of the destination does not exist.
    #[error("{} cannot be made: its folder {} does not exist; make the folder first", path.display(), folder.display())]
    MissingFolder {
        /// The destination.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The destination could not be written: no space is left, among others.
    #[error("{} cannot be written: {source}", path.display())]
    Destination {
        /// The destination.
        path: PathBuf,
        /// What went wrong.
        source: DiskError,
    },
    /// The store could not be read.
    #[error("the store could not be read for a backup: {0}")]
    Store(#[from] DiskError),
}
