//! Numbers that look random. Where they begin is given from outside, so that the same can be had again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random numbers, which its copies share. They are good enough to choose documents, and no secret.
#[derive(Clone, Debug, Default)]
pub struct Random(Arc<AtomicU64>);

impl Random {
    /// The numbers that `seed` gives: the same seed gives the same.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next number: `splitmix64`.
    pub(crate) fn next(&self) -> u64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// The next number from 0 up to, but not including, 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a double")]
    pub(crate) fn next_share(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// 2^64 by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_copies_go_on_with_them() {
        let (one, other) = (Random::new(7), Random::new(7));
        let copy = one.clone();
        let numbers = [one.next(), copy.next(), one.next()];
        assert_eq!(numbers, [other.next(), other.next(), other.next()]);
        assert!(numbers[0] != numbers[1] && numbers[1] != numbers[2]);
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&one.next_share())));
    }
}
