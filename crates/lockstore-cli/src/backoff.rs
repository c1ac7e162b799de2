//! How long to sleep before the next try.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Sleeps that double up to a bound, each shortened by up to a half at random so that those who wait
/// for the same file do not come in step.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Between two tries at a file that another process has open, which is done with it soon: 2 ms to 50 ms.
    pub(crate) fn for_file() -> Self {
        Self { most: Duration::from_millis(50), next: Duration::from_millis(2) }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_grow_to_their_bound_and_keep_half_of_it() {
        let mut backoff = Backoff::for_file();
        for expected_ms in [2, 4, 8, 16, 32, 50, 50] {
            let most = Duration::from_millis(expected_ms);
            let sleep = backoff.sleep();
            assert!(sleep <= most && sleep >= most / 2, "{sleep:?} of {most:?}");
        }
    }
}
