//! How many others want the same documents.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many candidates are looked for where one document is to be changed. Alone, the first that is found is the one that
/// is changed. Where many look for the next free document at once they all find the same, and all but one have
/// looked in vain, unless they have some to fall back on.
#[derive(Debug)]
pub(crate) struct Rivals {
    candidates: AtomicUsize,
    /// How often in a row somebody got the first candidate.
    firsts: AtomicUsize,
}

impl Default for Rivals {
    fn default() -> Self {
        Self { candidates: AtomicUsize::new(1), firsts: AtomicUsize::new(0) }
    }
}

impl Rivals {
    /// How many candidates to look for.
    pub(crate) fn candidates(&self) -> usize {
        self.candidates.load(Ordering::Relaxed)
    }

    /// Learns which of its candidates somebody got, counted from 1: `None` for none of them.
    pub(crate) fn note(&self, taken: Option<usize>) {
        let now = self.candidates();
        let next = match taken {
            // One candidate that was got says nothing of rivals.
            Some(1) if now == 1 => return,
            Some(1) if now <= FEW && !self.is_alone() => return,
            Some(1) => now / 2,
            None => (now * 4).min(CANDIDATES_MAX),
            Some(taken) if taken * 2 > now => (now * 2).min(CANDIDATES_MAX),
            Some(taken) if taken * FEW < now => now / 2,
            Some(_) => now,
        };
        self.firsts.store(0, Ordering::Relaxed);
        self.candidates.store(next.max(1), Ordering::Relaxed);
    }

    /// Whether the first candidate, which somebody got again, was to be had so often that there seem to be no rivals.
    /// Where there are some, it is got now and then too, and looking for few costs little; without an index, looking
    /// for a second one can cost a look at all documents.
    fn is_alone(&self) -> bool {
        self.firsts.fetch_add(1, Ordering::Relaxed) + 1 >= FIRSTS
    }
}

/// What a caller looks at, at most, before it asks the writer.
const CANDIDATES_MAX: usize = 128;

/// So many candidates are few.
const FEW: usize = 8;

/// How often in a row the first of few candidates is got by somebody who is alone.
const FIRSTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_again_looks_for_one_candidate() {
        let rivals = Rivals::default();
        for _ in 0..4 {
            rivals.note(None);
        }
        assert_eq!(rivals.candidates(), CANDIDATES_MAX);
        for _ in 0..FIRSTS * FEW {
            rivals.note(Some(1));
        }
        assert_eq!(rivals.candidates(), 1);
    }

    #[test]
    fn the_first_candidate_now_and_then_leaves_some_to_fall_back_on() {
        let rivals = Rivals::default();
        rivals.note(None);
        rivals.note(None);
        for _ in 0..100 {
            rivals.note(Some(1));
            rivals.note(Some(2));
        }
        assert_eq!(rivals.candidates(), FEW);
    }
}
