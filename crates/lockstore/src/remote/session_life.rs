//! How long a session surely lives that has to give signs of life.

use std::sync::atomic::{AtomicU64, Ordering};

use lockcore::Instant;

/// Until when a session of this process surely lives, by the clock of its [`Remote`](super::Remote). The guards of what is bound to it ask this whether
/// they are [lost](crate::LockGuard::is_lost), so that who is cut off knows it without an answer.
#[derive(Debug)]
pub struct SessionLife {
    until: AtomicU64,
}

impl SessionLife {
    /// Of a session that lives until then.
    pub fn new(until: Instant) -> Self {
        Self { until: AtomicU64::new(until.as_nanos()) }
    }

    /// A sign of life was taken: it lives at least until then.
    pub fn extend(&self, until: Instant) {
        // One that has ended never lives again.
        let longer = |before| (before != ENDED).then(|| until.as_nanos().max(before));
        let _ = self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, longer);
    }

    /// It has ended.
    pub fn end(&self) {
        self.until.store(ENDED, Ordering::Release);
    }

    /// Whether it is known to have ended.
    pub fn has_ended(&self) -> bool {
        self.until.load(Ordering::Acquire) == ENDED
    }

    /// Whether it may be over by `now`.
    pub fn is_over(&self, now: Instant) -> bool {
        self.until.load(Ordering::Acquire) <= now.as_nanos()
    }
}

const ENDED: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_has_ended_never_lives_again() {
        let at = Instant::from_millis;
        let life = SessionLife::new(at(10));
        assert!(!life.is_over(at(9)));
        assert!(life.is_over(at(10)));
        life.extend(at(20));
        life.extend(at(15));
        assert!(!life.is_over(at(19)), "an answer that comes late takes nothing back");
        life.end();
        life.extend(at(30));
        assert!(life.is_over(at(1)));
    }
}
