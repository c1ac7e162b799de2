//! A disk in memory that loses power, fails and stalls exactly when a test says so.
//!
//! [`SimDisk`] is a page cache over a durable image. What a program writes is in the cache at once,
//! and survives a `kill -9` ([`SimDisk::after_kill`]). Only a sync makes it durable: what was not
//! synced may survive a loss of power in whole, in part or not at all ([`SimDisk::after_power_loss`]),
//! sector by sector, in any order, and with the length of the file changed or not.
//!
//! Beside the file there is room for a journal ([`SimDisk::journal`]), of which all that holds too: one log of writes and syncs
//! runs over both files, and faults and losses of power strike in it wherever they are told to.
//!
//! # Every crash of a workload
//!
//! Run the workload once and count its syncs; then run it again for each sync, with the power lost
//! there, and open what is left.
//!
//! ```
//! use lockstore_testkit::disk::{PowerLoss, SimDisk};
//! use redb::{Database, ReadableDatabase, TableDefinition};
//!
//! const TABLE: TableDefinition<u64, u64> = TableDefinition::new("t");
//!
//! /// Returns how many commits were answered.
//! fn workload(disk: &SimDisk) -> Result<u64, redb::Error> {
//!     let db = Database::builder().create_with_backend(disk.backend())?;
//!     let mut answered = 0;
//!     for n in 0..3 {
//!         let Ok(txn) = db.begin_write() else { break };
//!         txn.open_table(TABLE)?.insert(n, n)?;
//!         if txn.commit().is_err() {
//!             break;
//!         }
//!         answered += 1;
//!     }
//!     Ok(answered)
//! }
//!
//! let probe = SimDisk::new();
//! workload(&probe)?;
//! for sync in 1..=probe.counts().syncs {
//!     let disk = SimDisk::new();
//!     disk.lose_power_at_sync(sync);
//!     let Ok(answered) = workload(&disk) else { continue };
//!     let after = disk.after_power_loss(&PowerLoss::seeded(sync));
//!     let db = Database::builder().create_with_backend(after.backend())?;
//!     if answered > 0 {
//!         assert!(db.begin_read()?.open_table(TABLE)?.get(answered - 1)?.is_some());
//!     }
//! }
//! # Ok::<(), redb::Error>(())
//! ```

mod backend;
mod fault;
mod files;
mod image;
mod journal;
mod power_loss;
mod stall;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use backend::SimBackend;
pub use fault::{DiskOp, FailedSync, Fault};
pub use image::{FILE_BYTES_MAX, SECTOR_BYTES};
pub use journal::SimJournal;
pub use power_loss::{PowerLoss, Tearing, Unsynced};
pub use stall::HeldSyncs;

use fault::{Armed, Failure};
use files::{FileId, Files};

/// A simulated disk that holds one file, and a journal beside it. Clones are handles of the same disk.
///
/// The disk outlives the programs that use it: drop the database, then open another on
/// [`SimDisk::backend`], or on the disk that a crash leaves behind.
#[derive(Clone, Default)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

impl SimDisk {
    /// An empty disk, switched on.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that holds `bytes`, durably.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::from_files(Files::durable(bytes, None))
    }

    /// A disk that holds what this one does, durably, and `journal` in place of its journal.
    #[must_use]
    pub fn with_journal(&self, journal: Option<Vec<u8>>) -> Self {
        Self::from_files(Files::durable(self.contents(), journal))
    }

    /// What a database is opened on. Only one may be open at a time, as with a locked file; a
    /// second one is refused while it is.
    pub fn backend(&self) -> SimBackend {
        SimBackend::of(self.clone(), FileId::Store)
    }

    /// Where a store has its journal, for `StoreOptions::open_backend_with_journal`.
    pub fn journal(&self) -> SimJournal {
        SimJournal::new(self.clone())
    }

    /// The file as a program sees it now, synced or not.
    pub fn contents(&self) -> Vec<u8> {
        self.state().files.store().cached().to_vec()
    }

    /// The journal as a program sees it now, synced or not; `None` when there is none.
    pub fn journal_contents(&self) -> Option<Vec<u8>> {
        self.state().files.journal_image().map(|journal| journal.cached().to_vec())
    }

    /// What is certain to survive a loss of power, of the store's own file.
    pub fn durable_contents(&self) -> Vec<u8> {
        self.state().files.store().durable_bytes().to_vec()
    }

    /// How many writes and changes of length no sync has made durable yet.
    pub fn unsynced_changes(&self) -> usize {
        self.state().files.unsynced()
    }

    /// How many operations reached the disk so far, failed ones included.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Overwrites durable bytes behind the program's back, as a failing medium does. Bytes past
    /// the end of the file are ignored.
    pub fn damage(&self, offset: u64, bytes: &[u8]) {
        self.state().files.file_mut(FileId::Store).damage(offset, bytes);
    }

    /// As [`SimDisk::damage`], in the journal, if there is one.
    pub fn damage_journal(&self, offset: u64, bytes: &[u8]) {
        let mut state = self.state();
        if let Some(journal) = state.files.journal() {
            state.files.file_mut(journal).damage(offset, bytes);
        }
    }

    /// A disk as the next process finds it when this one is killed now: every write that returned
    /// is there, synced or not. Faults, counts and the running program stay behind with this disk.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        Self::from_files(self.state().files.clone())
    }

    /// A disk as the machine finds it when the power comes back: all that was synced, and of what
    /// was not, what `loss` lets survive. Can be called again and again for different outcomes.
    ///
    /// ```
    /// use lockstore_testkit::disk::{PowerLoss, SimDisk};
    /// use redb::StorageBackend;
    ///
    /// let disk = SimDisk::new();
    /// disk.backend().set_len(1024)?;
    /// disk.backend().sync_data()?;
    /// disk.backend().write(0, &[1; 1024])?;
    ///
    /// let lost = disk.after_power_loss(&PowerLoss::nothing_unsynced());
    /// assert_eq!(lost.contents(), [0; 1024]);
    /// let kept = disk.after_power_loss(&PowerLoss::everything());
    /// assert_eq!(kept.contents(), [1; 1024]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn after_power_loss(&self, loss: &PowerLoss) -> Self {
        let state = self.state();
        Self::from_files(state.files.after_power_loss(&mut loss.survivors()))
    }

    /// Like [`SimDisk::after_power_loss`], with each outcome chosen by the caller: `choose` is
    /// asked once for the length of each file and once for each unsynced sector, and answers with
    /// the number of the version that survives: 0 is the oldest, which is the durable one unless a
    /// surviving truncation rules it out. A number past the newest version means the newest.
    ///
    /// Small workloads can be enumerated completely in this way.
    #[must_use]
    pub fn after_power_loss_choosing(&self, choose: impl FnMut(Unsynced) -> usize) -> Self {
        let state = self.state();
        Self::from_files(state.files.after_power_loss(&mut power_loss::Chosen(choose)))
    }

    /// Switches the power off now: every later operation is an error, and syncs that are held fail.
    pub fn lose_power(&self) {
        self.state().power = Power::Off;
        self.shared.released.notify_all();
    }

    /// Switches the power off at the `nth` sync from now, counted from 1: that sync fails, nothing
    /// it would have made durable is certain, and every later operation is an error.
    pub fn lose_power_at_sync(&self, nth: u64) {
        let mut state = self.state();
        state.power = Power::UntilSync(state.counts.syncs.saturating_add(nth));
    }

    /// Switches the power off at the `nth` operation of any kind from now, counted from 1. A write
    /// or a change of length cut in this way may survive in whole, in part or not at all.
    pub fn lose_power_at_operation(&self, nth: u64) {
        let mut state = self.state();
        state.power = Power::UntilOperation(state.counts.total().saturating_add(nth));
    }

    /// True once the power was lost.
    pub fn is_off(&self) -> bool {
        self.state().power == Power::Off
    }

    /// Makes an operation to come fail; see [`Fault`]. Several faults may wait at once.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(Armed::new(fault));
    }

    /// Takes back all faults that have not struck, and those that strike again and again.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Stalls the disk: syncs wait until the guard is dropped, as they do behind a saturated device.
    pub fn hold_syncs(&self) -> HeldSyncs {
        self.state().holds += 1;
        HeldSyncs::new(self.clone())
    }

    fn from_files(files: Files) -> Self {
        let state = State { files, ..State::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), ..Shared::default() }) }
    }

    /// The state is consistent between any two statements that can panic, so a poisoned mutex is read through.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    /// Never the bytes: databases print their backend into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimDisk")
            .field("bytes", &state.files.store().cached().len())
            .field("unsynced_changes", &state.files.unsynced())
            .field("counts", &state.counts)
            .finish_non_exhaustive()
    }
}

/// How many operations reached a disk, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Reads of a range.
    pub reads: u64,
    /// Writes of a range.
    pub writes: u64,
    /// Syncs.
    pub syncs: u64,
    /// Changes of the file's length.
    pub set_lens: u64,
    /// Journals that got their name, or lost it.
    pub names: u64,
}

impl Counts {
    /// Operations of one kind.
    pub fn of(self, op: DiskOp) -> u64 {
        match op {
            DiskOp::Read => self.reads,
            DiskOp::Write => self.writes,
            DiskOp::Sync => self.syncs,
            DiskOp::SetLen => self.set_lens,
            DiskOp::Name => self.names,
        }
    }

    /// Operations of every kind: the bound for a test that fails at each of them in turn.
    pub fn total(&self) -> u64 {
        self.reads + self.writes + self.syncs + self.set_lens + self.names
    }

    fn count(&mut self, op: DiskOp) {
        match op {
            DiskOp::Read => self.reads += 1,
            DiskOp::Write => self.writes += 1,
            DiskOp::Sync => self.syncs += 1,
            DiskOp::SetLen => self.set_lens += 1,
            DiskOp::Name => self.names += 1,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when syncs are let go, or when the power is lost.
    released: Condvar,
    /// Told when a sync arrives at a closed gate.
    arrived: Condvar,
}

/// All of a disk, under its one mutex.
#[derive(Debug, Default)]
struct State {
    files: Files,
    counts: Counts,
    faults: Vec<Armed>,
    power: Power,
    /// Guards that hold the syncs back.
    holds: usize,
    /// Syncs that wait for them.
    waiting_syncs: usize,
    /// Which backend has locked the file.
    locked_by: Option<u64>,
    backends: u64,
}

impl State {
    /// Counts an operation and says how it fails, if it does.
    fn begin(&mut self, op: DiskOp) -> Result<(), Failure> {
        self.check_power().map_err(Failure::Dead)?;
        self.counts.count(op);
        let cut = match self.power {
            Power::On | Power::Off => false,
            Power::UntilSync(sync) => self.counts.syncs >= sync,
            Power::UntilOperation(operation) => self.counts.total() >= operation,
        };
        if cut {
            self.power = Power::Off;
            return Err(Failure::Cut(power_lost()));
        }
        fault::strike(&mut self.faults, op).map_or(Ok(()), |fault| Err(Failure::Fault(fault)))
    }

    fn check_power(&self) -> io::Result<()> {
        if self.power == Power::Off {
            return Err(power_lost());
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Power {
    #[default]
    On,
    /// Off once this many syncs were counted.
    UntilSync(u64),
    /// Off once this many operations were counted.
    UntilOperation(u64),
    Off,
}

fn power_lost() -> io::Error {
    io::Error::other("the simulated machine has lost power")
}

#[cfg(test)]
mod tests;
