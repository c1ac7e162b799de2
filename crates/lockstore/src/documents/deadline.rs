//! When an operation has taken too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use docquery::{Error, ErrorCode};
use lockcore::Instant;

/// When an operation has taken as long as it may: MongoDB's `maxTimeMS`. All that works for it share it, so that a cursor can
/// move it on: the time of a cursor is that of its work, and while it rests none of it goes by.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<AtomicU64>);

/// The time that a cursor has.
#[derive(Debug)]
pub(crate) struct CursorTime {
    deadline: Deadline,
    /// Since when nobody asks it for more.
    resting_since: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new(at: Instant) -> Self {
        Self(Arc::new(AtomicU64::new(at.as_nanos())))
    }

    /// Checks that it is later than `now`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::MAX_TIME_MS_EXPIRED`]
    pub(crate) fn check(&self, now: Instant) -> Result<(), Error> {
        if now < self.at() {
            return Ok(());
        }
        Err(Error::new(ErrorCode::MAX_TIME_MS_EXPIRED, "operation exceeded time limit"))
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Moves it on. Only the one who works for the operation does so.
    fn postpone(&self, by: Duration) {
        self.0.store(self.at().saturating_add(by).as_nanos(), Ordering::Relaxed);
    }
}

impl CursorTime {
    /// Of a cursor that is at work.
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self { deadline, resting_since: None }
    }

    /// The cursor rests from `now` on.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.resting_since = Some(now);
    }

    /// The cursor works again from `now` on.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.resting_since.take() {
            self.deadline.postpone(now.saturating_since(since));
        }
    }
}
