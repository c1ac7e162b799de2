//! What can be wrong with a journal, in sentences that say what to do.

use std::io;

/// Why a store could not be opened with the journal that lies beside it, or without the one that does not. Both files
/// are unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The store's last commits are in its journal, and there is none.
    #[error(
        "the last commits are in it, and it is not there; put it back beside the store, under that name"
    )]
    Missing,
    /// There is a journal where no store is: it may have the last commits of one that was taken away.
    #[error(
        "there is a journal and no store; put its store back, or remove the journal if that is gone for good"
    )]
    WithoutStore,
    /// Something else has the journal's name.
    #[error("it is no journal: it begins with {found:?}; give it another name")]
    NotAJournal {
        /// Its first bytes, as text.
        found: String,
    },
    /// The journal was written by a newer version of this library.
    #[error(
        "it has format {found}, where this version reads up to {supported}; use a newer version"
    )]
    NewerFormat {
        /// The journal's format.
        found: u32,
        /// The newest format that can be read.
        supported: u32,
    },
    /// The journal belongs to another store.
    #[error(
        "it belongs to another store, and may have the last commits of that; put each beside its own"
    )]
    OtherStore,
    /// The journal is one that the store had at another time, or that another copy of it has.
    #[error("it is another one than that which has the last commits; put that one back")]
    OtherJournal,
    /// The journal is not what was written.
    #[error("it is damaged: {what}; restore a backup")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The operating system refused to read or remove it.
    #[error("{0}")]
    Io(#[from] io::Error),
}
