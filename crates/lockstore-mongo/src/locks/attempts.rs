//! A call that is tried again until it is known what has become of it.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{Instant, Wait};
use lockstore::StoreError;

use super::Locks;
use crate::failure::Failure;

/// How often a call was tried, and until when it may be.
#[derive(Debug)]
pub(super) struct Attempts {
    what: &'static str,
    /// `None` for a call that waits for ever: it goes on when there is a primary again.
    ends_at: Option<Instant>,
    /// How long it is looked for what has become of it.
    patience: Instant,
    failed: u32,
    /// Whether an attempt may have been done without our having been told.
    pub(super) uncertain: bool,
}

impl Attempts {
    /// A call that may wait that long for others.
    pub(super) fn new(locks: &Locks, what: &'static str, wait: Wait) -> Self {
        let patience = locks.now().saturating_add(locks.patience);
        let ends_at = match wait {
            Wait::No => Some(patience),
            Wait::Until(deadline) => Some(deadline),
            Wait::Forever => None,
        };
        Self { what, ends_at, patience, failed: 0, uncertain: false }
    }

    /// Takes that one has failed. When this returns, it is time for the next.
    pub(super) async fn failed(
        &mut self,
        failure: Failure,
        locks: &Locks,
    ) -> Result<(), StoreError> {
        let pause = match &failure {
            Failure::Refused(_) | Failure::Store(_) if self.uncertain => return Err(self.unknown()),
            Failure::Refused(_) | Failure::Store(_) => {
                return Err(failure.told(self.what, &locks.address));
            }
            Failure::Conflict => between(Duration::from_millis(1), self.failed),
            Failure::Unknown(error) => {
                self.uncertain = true;
                tracing::debug!(what = self.what, %error, "it is looked for what has become of a call");
                between(Duration::from_millis(20), self.failed)
            }
            Failure::Unreachable(error) => {
                tracing::debug!(what = self.what, %error, "there is no primary to be had");
                between(Duration::from_millis(50), self.failed)
            }
        };
        self.failed = self.failed.saturating_add(1);
        let is_overtaken = matches!(failure, Failure::Conflict);
        if self.ends_at(is_overtaken).is_some_and(|ends_at| locks.now() >= ends_at) {
            return Err(match failure {
                _ if self.uncertain => self.unknown(),
                Failure::Conflict => StoreError::Unreachable {
                    socket: Arc::clone(&locks.address),
                    reason: "others have changed the same lock each time".into(),
                },
                failure => failure.told(self.what, &locks.address),
            });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Reads until that succeeds, or there is no time left.
    pub(super) async fn read<T, F: Future<Output = Result<T, Failure>>>(
        &mut self,
        locks: &Locks,
        read: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        loop {
            match read().await {
                Ok(read) => return Ok(read),
                Err(failure) => self.failed(failure, locks).await?,
            }
        }
    }

    /// Until when it is tried. What may have been done is looked for also behind the deadline, and whoever was overtaken looks who has the
    /// lock now: that is the answer.
    fn ends_at(&self, is_overtaken: bool) -> Option<Instant> {
        let goes_on = self.uncertain || is_overtaken;
        self.ends_at.map(|ends_at| if goes_on { ends_at.max(self.patience) } else { ends_at })
    }

    /// That nobody knows what has become of it.
    pub(super) fn unknown(&self) -> StoreError {
        StoreError::OutcomeUnknown { what: self.what.into() }
    }
}

/// Somewhat longer each time, and never for two callers the same.
pub(super) fn between(shortest: Duration, failed: u32) -> Duration {
    let longest = shortest.saturating_mul(1 << failed.min(6)).min(Duration::from_secs(1));
    // A random number that there is already.
    let random = bson::Uuid::new().bytes()[15];
    shortest + longest.mul_f64(f64::from(random) / 256.0)
}
