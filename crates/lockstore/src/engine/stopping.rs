//! The end of an engine: it is closed, it stops after a failure, or it was inherited by a forked child.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Engine, Seat};
use crate::disk::DiskError;
use crate::error::StoreError;
use crate::request::Answer;

impl Engine {
    /// Stops for good: nothing is acknowledged any more, and everybody who waits is told.
    pub(crate) fn stop(&self, cause: &str, seat: &mut Seat) {
        tracing::error!(cause, "the store stops");
        let cause = self.poison.get_or_init(|| cause.into());
        let error = StoreError::Poisoned { cause: Arc::clone(cause) };
        self.fail_all(seat, &error);
        self.subscribers.end();
    }

    /// Serves what is queued, tells those who wait that the store is closed, and closes the file.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        if self.is_forked() {
            self.forget_disk();
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        self.background.stop();
        self.transactions.end_all();
        let mut seat = self.take_seat();
        while !self.is_poisoned() && (!self.queued.is_empty() || !seat.writer.backlog.is_empty()) {
            self.serve_batch(&mut seat);
            self.leave(seat);
            seat = self.take_seat();
        }
        // Who comes from now on finds no disk, and who came before is told here.
        let disk = self.disk.write().unwrap_or_else(PoisonError::into_inner).take();
        self.fail_all(&mut seat, &StoreError::Closed);
        let farewell = match &disk {
            Some(disk) if !self.is_poisoned() => seat.writer.farewell(disk, self.clock.wall()),
            Some(_) | None => Ok(()),
        };
        self.subscribers.end();
        self.leave(seat);
        match (self.poison.get(), disk) {
            // A store that stopped says nothing more in its file. Where no commit has failed, what its journal has goes there still.
            (Some(cause), disk) => {
                drop(disk);
                Err(StoreError::Poisoned { cause: Arc::clone(cause) })
            }
            (None, Some(disk)) => {
                farewell?;
                Ok(disk.close()?)
            }
            (None, None) => Err(StoreError::Closed),
        }
    }

    /// Stops the store when `result` is the failure of something that may have written.
    pub(crate) fn stop_if_failed<T>(
        &self,
        result: Result<T, StoreError>,
        what: &str,
        seat: &mut Seat,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Disk(error)) = &result
            && !matches!(**error, DiskError::Busy { .. })
        {
            self.stop(&format!("{what} failed: {error}"), seat);
        }
        result
    }

    /// What a forked child does with the store of its parent: nothing, not even closing it.
    fn forget_disk(&self) {
        self.published.forget();
        self.client_sessions.forget();
        // Whoever held this lock in the parent does not exist here, so it may never be free.
        if let Ok(mut disk) = self.disk.try_write()
            && let Some(disk) = disk.take()
        {
            disk.forget();
        }
    }

    pub(super) fn fail_all(&self, seat: &mut Seat, error: &StoreError) {
        let replies = seat.writer.abandon();
        let queued: Vec<_> = self.queued.try_iter().map(|request| request.reply).collect();
        let failed = replies.into_iter().chain(queued);
        seat.undelivered.extend(failed.map(|reply| (reply, Answer::Failed(error.clone()))));
    }
}
