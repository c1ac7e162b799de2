//! The place of a journal beside the file of a store.

use std::io;
use std::path::PathBuf;

use lockstore::JournalStorage;
use redb::StorageBackend;

use super::backend::SimBackend;
use super::fault::Failure;
use super::files::FileId;
use super::{DiskOp, SimDisk};

/// Where a store on a [`SimDisk`] has its journal. All that is done to the journal is counted, fails and is lost together
/// with what is done to the store's file.
#[derive(Debug)]
pub struct SimJournal {
    disk: SimDisk,
}

impl SimJournal {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self { disk }
    }

    /// Changes what the name stands for. When the power is lost in that, it may have happened.
    fn name(&self, file: Option<FileId>) -> io::Result<()> {
        let mut state = self.disk.state();
        let begun = state.begin(DiskOp::Name);
        if matches!(begun, Ok(()) | Err(Failure::Cut(_))) {
            state.files.name(file);
        }
        begun.map_err(Failure::into_error)
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.disk.sync(super::files::Files::sync_folder, |_, _| {})
    }
}

impl JournalStorage for SimJournal {
    fn path(&self) -> PathBuf {
        "(simulated journal)".into()
    }

    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        let mut state = self.disk.state();
        state.begin(DiskOp::Read).map_err(Failure::into_error)?;
        let journal = state.files.journal();
        drop(state);
        Ok(journal.map(|file| Box::new(SimBackend::of(self.disk.clone(), file)) as _))
    }

    fn make(&self, start: &[u8], bytes: u64) -> io::Result<Box<dyn StorageBackend>> {
        let mut content = start.to_vec();
        content.resize(usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?, 0);
        let mut state = self.disk.state();
        state.begin(DiskOp::Write).map_err(Failure::into_error)?;
        if state.files.journal().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        drop(state);
        // A file without a name is lost with the power, whatever of it was synced.
        self.disk.sync(|_| {}, |_, _| {})?;
        let file = self.disk.state().files.add_journal(content);
        self.name(Some(file))?;
        self.sync_folder()?;
        Ok(Box::new(SimBackend::of(self.disk.clone(), file)))
    }

    fn remove(&self) -> io::Result<()> {
        if self.disk.state().files.journal().is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.name(None)?;
        self.sync_folder()
    }
}
