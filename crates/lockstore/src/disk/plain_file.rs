//! A file of the operating system's, as redb and the journal use it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use redb::StorageBackend;

/// A file without a lock of its own: nobody else can find it, or only who has its store's file locked opens it.
#[derive(Debug)]
pub(super) struct PlainFile {
    file: File,
    syncs: Syncs,
}

/// What becomes of a sync that is asked for.
#[derive(Clone, Copy, Debug)]
enum Syncs {
    /// What was written before is durable when it returns.
    Done,
    /// It is left to who has the file published: nothing of it matters before that.
    Left,
}

impl PlainFile {
    /// One that is synced whenever that is asked for.
    pub(super) fn synced(file: File) -> Self {
        Self { file, syncs: Syncs::Done }
    }

    /// One that is synced when it is complete, by who publishes it.
    pub(super) fn staged(file: File) -> Self {
        Self { file, syncs: Syncs::Left }
    }
}

impl StorageBackend for PlainFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.syncs {
            Syncs::Done => self.file.sync_data(),
            Syncs::Left => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}
