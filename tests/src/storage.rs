//! The two ways in which a store lies on a simulated disk.

use lockstore::{JournalUse, OpenError, Store, StoreOptions};
use lockstore_testkit::disk::SimDisk;

/// Whether the commits of a store go by a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// They go to its file.
    #[default]
    Plain,
    /// They go by a journal, from the first one on, which is so short that it begins anew every few commits.
    Journalled,
}

impl Storage {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Journalled];

    /// Opens the store on `disk`.
    ///
    /// # Errors
    ///
    /// As [`StoreOptions::open_backend`].
    pub fn open(self, options: StoreOptions, disk: &SimDisk) -> Result<Store, OpenError> {
        match self {
            Self::Plain => options.open_backend(disk.backend()),
            Self::Journalled => {
                let options = options.journal(JournalUse::AfterCommits(0)).journal_bytes(64 << 10);
                options.open_backend_with_journal(disk.backend(), disk.journal())
            }
        }
    }
}
