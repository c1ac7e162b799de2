//! How many others want the same documents.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many candidates are looked for where one document is to be changed. Alone, the first that is found is the one that
/// is changed. Where many look for the next free document at once they all find the same, and all but one have
/// looked in vain, unless they have some to fall back on.
#[derive(Debug)]
pub(crate) struct Rivals(AtomicUsize);

impl Default for Rivals {
    fn default() -> Self {
        Self(AtomicUsize::new(1))
    }
}

impl Rivals {
    /// How many candidates to look for.
    pub(crate) fn candidates(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns which of its candidates somebody got, counted from 1: `None` for none of them.
    pub(crate) fn note(&self, taken: Option<usize>) {
        let now = self.candidates();
        let next = match taken {
            None => (now * 4).min(CANDIDATES_MAX),
            Some(taken) if taken * 2 > now => (now * 2).min(CANDIDATES_MAX),
            Some(taken) if taken * 8 < now => now / 2,
            Some(_) => now,
        };
        // One candidate that was got says nothing of rivals.
        if taken != Some(1) || now > 1 {
            self.0.store(next.max(1), Ordering::Relaxed);
        }
    }
}

/// What a caller looks at, at most, before it asks the writer.
const CANDIDATES_MAX: usize = 128;
