//! The side of a disk that a database sees.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::fault::{FailedSync, Failure};
use super::files::{FileId, Files};
use super::{DiskOp, SimDisk};

/// A file on a [`SimDisk`], as redb's storage.
#[derive(Debug)]
pub struct SimBackend {
    disk: SimDisk,
    id: u64,
    file: FileId,
}

impl SimBackend {
    pub(super) fn of(disk: SimDisk, file: FileId) -> Self {
        let mut state = disk.state();
        state.backends += 1;
        let id = state.backends;
        drop(state);
        Self { disk, id, file }
    }

    fn unlock(&self) {
        let mut state = self.disk.state();
        if state.locked_by == Some(self.id) {
            state.locked_by = None;
        }
    }
}

impl StorageBackend for SimBackend {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.check_power()?;
        Ok(state.files.file_mut(self.file).cached().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(DiskOp::Read).map_err(Failure::into_error)?;
        state.files.file_mut(self.file).read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.begin(DiskOp::SetLen) {
            Ok(()) => state.files.file_mut(self.file).set_len(len),
            Err(Failure::Cut(error)) => {
                state.files.file_mut(self.file).set_len(len)?;
                Err(error)
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let fail = |files: &mut Files, how| files.file_mut(self.file).fail_sync(how);
        self.disk.sync(|files| files.file_mut(self.file).sync(), fail)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.begin(DiskOp::Write) {
            Ok(()) => state.files.file_mut(self.file).write(offset, data),
            Err(Failure::Cut(error)) => {
                state.files.file_mut(self.file).write(offset, data)?;
                Err(error)
            }
            Err(Failure::Fault(fault)) => {
                let written = &data[..fault.bytes_written.min(data.len())];
                state.files.file_mut(self.file).write(offset, written)?;
                Err(fault.error)
            }
            Err(failure @ Failure::Dead(_)) => Err(failure.into_error()),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.unlock();
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        if !is_whole(start, end) {
            return Err(BackendError::Unsupported);
        }
        let mut state = self.disk.state();
        let free = state.locked_by.is_none_or(|id| id == self.id);
        if free {
            state.locked_by = Some(self.id);
        }
        Ok(free)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        if !is_whole(start, end) {
            return Err(BackendError::Unsupported);
        }
        self.unlock();
        Ok(())
    }
}

impl Drop for SimBackend {
    fn drop(&mut self) {
        self.unlock();
    }
}

impl SimDisk {
    /// Counts a sync, holds it back, and has it happen or fail.
    pub(super) fn sync(
        &self,
        sync: impl FnOnce(&mut Files),
        fail: impl FnOnce(&mut Files, FailedSync),
    ) -> io::Result<()> {
        let mut state = self.state();
        let begun = state.begin(DiskOp::Sync);
        if matches!(begun, Ok(()) | Err(Failure::Fault(_))) {
            state = self.wait_while_held(state);
            state.check_power()?;
        }
        match begun {
            Ok(()) => sync(&mut state.files),
            Err(Failure::Fault(fault)) => {
                fail(&mut state.files, fault.failed_sync);
                return Err(fault.error);
            }
            Err(failure) => return Err(failure.into_error()),
        }
        Ok(())
    }
}

impl Failure {
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Dead(error) | Self::Cut(error) => error,
            Self::Fault(fault) => fault.error,
        }
    }
}

fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!(start, Bound::Unbounded | Bound::Included(0)) && end == Bound::Unbounded
}
