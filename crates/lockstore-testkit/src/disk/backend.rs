//! The side of a disk that a database sees.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::fault::Failure;
use super::{DiskOp, SimDisk};

/// A [`SimDisk`] as redb's storage.
#[derive(Debug)]
pub struct SimBackend {
    disk: SimDisk,
    id: u64,
}

impl SimBackend {
    pub(super) fn new(disk: SimDisk) -> Self {
        let mut state = disk.state();
        state.backends += 1;
        let id = state.backends;
        drop(state);
        Self { disk, id }
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
        let state = self.disk.state();
        state.check_power()?;
        Ok(state.image.cached().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin(DiskOp::Read).map_err(Failure::into_error)?;
        state.image.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.begin(DiskOp::SetLen) {
            Ok(()) => state.image.set_len(len),
            Err(Failure::Cut(error)) => {
                state.image.set_len(len)?;
                Err(error)
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let begun = state.begin(DiskOp::Sync);
        if matches!(begun, Ok(()) | Err(Failure::Fault(_))) {
            state = self.disk.wait_while_held(state);
            state.check_power()?;
        }
        match begun {
            Ok(()) => state.image.sync(),
            Err(Failure::Fault(fault)) => {
                state.image.fail_sync(fault.failed_sync);
                return Err(fault.error);
            }
            Err(failure) => return Err(failure.into_error()),
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.begin(DiskOp::Write) {
            Ok(()) => state.image.write(offset, data),
            Err(Failure::Cut(error)) => {
                state.image.write(offset, data)?;
                Err(error)
            }
            Err(Failure::Fault(fault)) => {
                let written = &data[..fault.bytes_written.min(data.len())];
                state.image.write(offset, written)?;
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

impl Failure {
    fn into_error(self) -> io::Error {
        match self {
            Self::Dead(error) | Self::Cut(error) => error,
            Self::Fault(fault) => fault.error,
        }
    }
}

fn is_whole(start: Bound<u64>, end: Bound<u64>) -> bool {
    matches!(start, Bound::Unbounded | Bound::Included(0)) && end == Bound::Unbounded
}
