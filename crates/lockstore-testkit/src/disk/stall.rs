//! A disk that answers late.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::{Power, SimDisk, State};

/// Holds the syncs of a disk back until it is dropped. Reads and writes go on.
///
/// Where several guards exist, syncs go on when the last one is dropped. A sync that was held makes
/// everything durable that was written until it goes on.
///
/// ```
/// use lockstore_testkit::disk::SimDisk;
/// use redb::StorageBackend;
/// use std::time::Duration;
///
/// let disk = SimDisk::new();
/// let held = disk.hold_syncs();
/// let file = disk.backend();
/// let program = std::thread::spawn(move || file.sync_data());
/// assert!(held.wait_for_sync(Duration::from_secs(10)));
/// // ... here a lease may run out while its renewal waits for the disk ...
/// drop(held);
/// program.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "syncs go on as soon as the guard is dropped"]
pub struct HeldSyncs {
    disk: SimDisk,
}

impl HeldSyncs {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self { disk }
    }

    /// Waits until a sync is held; false when none came within `patience` of real time.
    pub fn wait_for_sync(&self, patience: Duration) -> bool {
        let (_state, waited) = self
            .disk
            .shared
            .arrived
            .wait_timeout_while(self.disk.state(), patience, |state| state.waiting_syncs == 0)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// How many syncs are held now.
    pub fn waiting(&self) -> usize {
        self.disk.state().waiting_syncs
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.disk.state().holds -= 1;
        self.disk.shared.released.notify_all();
    }
}

impl SimDisk {
    /// Waits at the gate, unless it is open or the power is lost.
    pub(super) fn wait_while_held<'disk>(
        &'disk self,
        mut state: MutexGuard<'disk, State>,
    ) -> MutexGuard<'disk, State> {
        state.waiting_syncs += 1;
        self.shared.arrived.notify_all();
        let mut state = self
            .shared
            .released
            .wait_while(state, |state| state.holds > 0 && state.power != Power::Off)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting_syncs -= 1;
        state
    }
}
