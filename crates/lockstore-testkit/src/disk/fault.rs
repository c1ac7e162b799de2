//! Operations that fail: which, when, how often, and what they leave behind.

use std::io;

use rustix::io::Errno;

/// What a program asks of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskOp {
    /// Reads a range.
    Read,
    /// Writes a range.
    Write,
    /// Makes everything written durable.
    Sync,
    /// Changes the length of the file.
    SetLen,
    /// Gives a journal its name, or takes it away.
    Name,
}

/// An operation to come that fails, for [`SimDisk::inject`](super::SimDisk::inject). Without further
/// calls it is the next operation of any kind, once, and it leaves nothing behind.
///
/// ```
/// use lockstore_testkit::disk::{DiskOp, FailedSync, Fault, SimDisk};
/// use redb::StorageBackend;
///
/// let disk = SimDisk::new();
/// let file = disk.backend();
/// // The second sync fails, and the kernel forgets what it should have written, as Linux does.
/// disk.inject(Fault::io_error().on(DiskOp::Sync).nth(2).failed_sync(FailedSync::MarkedClean));
///
/// file.sync_data()?;
/// file.write(0, b"hello")?;
/// assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(5));
/// file.sync_data()?; // "succeeds", and the data is still not on the disk
/// assert_eq!(disk.contents(), b"hello");
/// assert_eq!(disk.durable_contents(), [0; 5]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    errno: Errno,
    op: Option<DiskOp>,
    nth: u64,
    repeats: bool,
    failed_sync: FailedSync,
    bytes_written: usize,
}

impl Fault {
    /// Fails with `EIO`: the medium is broken.
    pub fn io_error() -> Self {
        Self::new(Errno::IO)
    }

    /// Fails with `ENOSPC`: the disk is full.
    pub fn no_space() -> Self {
        Self::new(Errno::NOSPC)
    }

    /// Only operations of this kind are counted, and fail.
    #[must_use]
    pub fn on(mut self, op: DiskOp) -> Self {
        self.op = Some(op);
        self
    }

    /// The `nth` operation from now fails, counted from 1; 0 means 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth.max(1);
        self
    }

    /// All later operations fail too, until [`SimDisk::clear_faults`](super::SimDisk::clear_faults).
    #[must_use]
    pub fn from_then_on(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// What a sync that fails in this way does to the data it should have written.
    #[must_use]
    pub fn failed_sync(mut self, failed_sync: FailedSync) -> Self {
        self.failed_sync = failed_sync;
        self
    }

    /// A write that fails in this way has written its first `bytes` bytes.
    #[must_use]
    pub fn after_bytes(mut self, bytes: usize) -> Self {
        self.bytes_written = bytes;
        self
    }

    fn new(errno: Errno) -> Self {
        Self {
            errno,
            op: None,
            nth: 1,
            repeats: false,
            failed_sync: FailedSync::StillDirty,
            bytes_written: 0,
        }
    }
}

/// What becomes of unsynced writes when a sync fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedSync {
    /// They stay in the cache, and the next sync tries again.
    #[default]
    StillDirty,
    /// They stay readable, and are never written: the next sync succeeds without them, and a
    /// restart finds the old bytes. So do ext4 and xfs on Linux.
    MarkedClean,
    /// They are gone, and reads give the old bytes at once. So does btrfs on Linux.
    Reverted,
}

/// A fault that waits for its operation.
#[derive(Debug)]
pub(super) struct Armed {
    fault: Fault,
    seen: u64,
}

impl Armed {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, seen: 0 }
    }

    fn counts(&mut self, op: DiskOp) -> bool {
        if self.fault.op.is_some_and(|only| only != op) {
            return false;
        }
        self.seen += 1;
        self.seen == self.fault.nth || (self.fault.repeats && self.seen > self.fault.nth)
    }
}

/// How one operation fails.
#[derive(Debug)]
pub(super) enum Failure {
    /// The power was off already.
    Dead(io::Error),
    /// The power went off in the middle of it.
    Cut(io::Error),
    /// It returns an error.
    Fault(Struck),
}

/// What a fault does to the operation that it struck.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) error: io::Error,
    pub(super) failed_sync: FailedSync,
    pub(super) bytes_written: usize,
}

/// Shows an operation to all faults; the first of those whose turn it is strikes.
pub(super) fn strike(faults: &mut Vec<Armed>, op: DiskOp) -> Option<Struck> {
    let mut struck = None;
    faults.retain_mut(|armed| {
        if !armed.counts(op) {
            return true;
        }
        struck.get_or_insert_with(|| Struck {
            error: armed.fault.errno.into(),
            failed_sync: armed.fault.failed_sync,
            bytes_written: armed.fault.bytes_written,
        });
        armed.fault.repeats
    });
    struck
}
