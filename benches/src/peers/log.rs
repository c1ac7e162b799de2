//! A plain log: one write into a file that was filled before, and one fdatasync, for each call. Nothing
//! that is durable call by call is faster on this disk; it cannot even be read back by key.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::{Caller, LockTable};

/// A log file whose blocks are all written, so that a sync has no metadata to write.
#[derive(Debug)]
pub(crate) struct SyncedLog {
    file: File,
    /// Where the next record goes.
    offset: Mutex<u64>,
}

struct LogCaller<'a>(&'a SyncedLog);

impl SyncedLog {
    /// A new log at `path`.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, offset: Mutex::new(0) })
    }

    /// Appends one record; at its end the log begins anew.
    pub(crate) fn append(&self) -> io::Result<()> {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&RECORD, *offset)?;
        self.file.sync_data()?;
        *offset = (*offset + RECORD.len() as u64) % FILE_BYTES;
        Ok(())
    }
}

impl LockTable for SyncedLog {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(LogCaller(self))
    }
}

impl Caller for LogCaller<'_> {
    fn acquire(&mut self, _key: &str, _holder: &str) {
        self.0.append().expect("the log is written");
    }

    fn release(&mut self) {
        self.0.append().expect("the log is written");
    }
}

/// A power of two about as long as a lock's row.
const RECORD: [u8; 128] = [b'x'; 128];

const FILE_BYTES: u64 = 16 << 20;
