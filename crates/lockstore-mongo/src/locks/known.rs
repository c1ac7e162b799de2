//! How locks stand that this process has written last, as far as it knows.
//!
//! A write that rests on a state finds another one whenever it arrives late: so it needs no number, and MongoDB, which keeps an image of what each
//! numbered `findAndModify` has written, does it faster. That nobody else has written the lock meanwhile is likely, and no more than that: the write
//! itself asks for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bson::oid::ObjectId;

/// The `rev` of each lock that this process has written last.
#[derive(Debug, Default)]
pub(super) struct Known {
    revs: Mutex<HashMap<Box<str>, Rev>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rev {
    Ours(ObjectId),
    /// Others write the lock as well: it is not worth a try, for so many writes more.
    OfOthers(u32),
}

impl Known {
    /// The state that this process has written last.
    pub(super) fn rev(&self, key: &str) -> Option<ObjectId> {
        match self.revs().get(key)? {
            Rev::Ours(rev) => Some(*rev),
            Rev::OfOthers(_) => None,
        }
    }

    /// This process has written a lock.
    pub(super) fn is_written(&self, key: &str, rev: ObjectId) {
        let mut revs = self.revs();
        if revs.len() >= LOCKS_MAX && !revs.contains_key(key) {
            revs.clear();
        }
        let known = revs.entry(key.into()).or_insert(Rev::Ours(rev));
        *known = match *known {
            Rev::OfOthers(writes @ 1..) => Rev::OfOthers(writes - 1),
            _ => Rev::Ours(rev),
        };
    }

    /// This process has written a lock otherwise.
    pub(super) fn forget(&self, key: &str) {
        let mut revs = self.revs();
        if let Some(Rev::Ours(_)) = revs.get(key) {
            revs.remove(key);
        }
    }

    /// A lock is not as this process has written it last: most likely somebody else has written it since.
    pub(super) fn is_missed(&self, key: &str) {
        if let Some(known) = self.revs().get_mut(key) {
            *known = Rev::OfOthers(MISSED);
        }
    }

    fn revs(&self) -> MutexGuard<'_, HashMap<Box<str>, Rev>> {
        self.revs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of how many locks it is known. Behind that it begins anew.
const LOCKS_MAX: usize = 10_000;

/// How many writes it is after a miss until it is worth a try again.
const MISSED: u32 = 64;

#[cfg(test)]
mod tests {
    use super::super::lock_document::new_rev;
    use super::*;

    #[test]
    fn a_lock_that_others_write_as_well_is_not_known_for_a_while() {
        let (known, first, second) = (Known::default(), new_rev(), new_rev());
        known.is_written("k", first);
        known.is_written("k", second);
        assert_eq!(known.rev("k"), Some(second));
        known.is_missed("k");
        known.forget("k");
        for _ in 0..MISSED {
            known.is_written("k", first);
            assert_eq!(known.rev("k"), None);
        }
        known.is_written("k", second);
        assert_eq!(known.rev("k"), Some(second));
        known.forget("k");
        assert_eq!(known.rev("k"), None);
    }

    #[test]
    fn it_begins_anew_rather_than_grow_for_ever() {
        let known = Known::default();
        for lock in 0..=LOCKS_MAX {
            known.is_written(&lock.to_string(), new_rev());
        }
        assert_eq!(known.revs().len(), 1);
        assert_eq!(known.rev("0"), None);
    }
}
