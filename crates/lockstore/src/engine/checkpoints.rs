//! Checkpoints of a store that has nothing else to do: after them a kill leaves nothing to be replayed, and the file can
//! use the pages again that the commits in the journal have freed.

use std::sync::PoisonError;
use std::time::Duration;

use super::{Engine, Seat};

impl Engine {
    /// Notes that something was committed just now.
    pub(super) fn put_off_checkpoint(&self, seat: &mut Seat, has_to_checkpoint: bool) {
        seat.checkpoint_at =
            has_to_checkpoint.then(|| self.clock.now().saturating_add(CHECKPOINT_IDLE));
    }

    /// Makes the checkpoint that is due, if one is.
    pub(super) fn checkpoint_if_idle(&self, seat: &mut Seat) {
        if self.is_poisoned() || seat.checkpoint_at.is_none_or(|at| at > self.clock.now()) {
            return;
        }
        seat.checkpoint_at = None;
        let disk = self.disk.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = disk.as_ref()
            && let Err(error) = disk.checkpoint()
        {
            self.stop(&format!("a checkpoint failed: {error}"), seat);
        }
    }
}

/// How long nothing is committed before a checkpoint is made.
const CHECKPOINT_IDLE: Duration = Duration::from_secs(5);
