//! A call that is tried again until it is known what has become of it.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{Instant, Wait};
use lockstore::StoreError;

use super::Locks;
use crate::failure::Failure;
use crate::numbered::Lent;

/// How often a call was tried, and until when it may be.
#[derive(Debug)]
pub(super) struct Attempts {
    what: &'static str,
    wait: Wait,
    /// `None` for a call that waits for ever: it goes on when there is a primary again.
    ends_at: Option<Instant>,
    /// Since when it is looked for what has become of it, or it was overtaken each time.
    since: Option<Instant>,
    failed: u32,
    /// Whether an attempt may have been done without our having been told, or may be still.
    pub(super) uncertain: bool,
    /// Where an attempt was sent that does not depend on what was seen, until a later write there makes it void.
    pub(super) sent_in: Option<Lent>,
}

impl Attempts {
    /// A call that may wait that long for others.
    pub(super) fn new(locks: &Locks, what: &'static str, wait: Wait) -> Self {
        let ends_at = match wait {
            Wait::No => Some(locks.now().saturating_add(locks.patience)),
            Wait::Until(deadline) => Some(deadline),
            Wait::Forever => None,
        };
        Self { what, wait, ends_at, since: None, failed: 0, uncertain: false, sent_in: None }
    }

    /// Takes that it is known what has become of all that was tried so far.
    pub(super) fn settled(&mut self) {
        (self.since, self.uncertain, self.sent_in) = (None, false, None);
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
                if !std::mem::replace(&mut self.uncertain, true) {
                    self.since = None;
                }
                tracing::debug!(what = self.what, %error, "it is looked for what has become of a call");
                between(Duration::from_millis(20), self.failed)
            }
            Failure::Unreachable(error) => {
                tracing::debug!(what = self.what, %error, "there is no primary to be had");
                between(Duration::from_millis(50), self.failed)
            }
        };
        // What it has by now is given back behind its answer.
        if self.wait != Wait::No && locks.is_closing() {
            return Err(StoreError::Closed);
        }
        self.failed = self.failed.saturating_add(1);
        let now = locks.now();
        // What may have been done is looked for also behind the deadline, and whoever was overtaken looks who has the lock now: that is the answer.
        let goes_on = self.uncertain || matches!(failure, Failure::Conflict);
        let looks_until = self.since.get_or_insert(now).saturating_add(locks.patience);
        let ends_at = self.ends_at.map(|it| if goes_on { it.max(looks_until) } else { it });
        if ends_at.is_some_and(|ends_at| now >= ends_at) {
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
