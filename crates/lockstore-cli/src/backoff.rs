//! How long to sleep before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Sleeps that double up to a bound, each shortened by up to a half at random so that those who wait
/// for the same thing do not come in step.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Between two tries at a lock that is held: 25 ms to 250 ms.
    pub(crate) fn for_lock() -> Self {
        Self::between(Duration::from_millis(25), Duration::from_millis(250))
    }

    /// Between two tries at a file that another process has open, which is done with it soon: 2 ms to 50 ms.
    pub(crate) fn for_file() -> Self {
        Self::between(Duration::from_millis(2), Duration::from_millis(50))
    }

    fn between(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The next sleep.
    pub(crate) fn sleep(&mut self) -> Duration {
        let sleep = self.next;
        self.next = (sleep * 2).min(self.most);
        // The keys of each RandomState are new; no more randomness than that is needed here.
        let random = RandomState::new().hash_one(()) % 512;
        let kept = 512 + u32::try_from(random).expect("less than 512");
        sleep * kept / 1_024
    }

    /// Begins anew with a short sleep.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_grow_to_their_bound_and_keep_half_of_it() {
        let mut backoff = Backoff::for_lock();
        for expected_ms in [25, 50, 100, 200, 250, 250] {
            let most = Duration::from_millis(expected_ms);
            let sleep = backoff.sleep();
            assert!(sleep <= most && sleep >= most / 2, "{sleep:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.sleep() <= Duration::from_millis(25));
    }
}
