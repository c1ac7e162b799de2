//! Which documents recent commits have changed: what a plan must not have missed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use super::{CollectionId, RecordId};

/// The changes of recent batches, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    changes: VecDeque<Change>,
    /// The batch that has changed a document last, of those in `changes`.
    latest: HashMap<(CollectionId, RecordId), u64>,
    /// All changes behind the batch of this sequence are here.
    complete_since: u64,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    sequence: u64,
    collection: CollectionId,
    record: RecordId,
}

impl History {
    /// Notes that the batch of `sequence` has changed these documents.
    pub(crate) fn note(
        &mut self,
        sequence: u64,
        changed: impl Iterator<Item = (CollectionId, RecordId)>,
    ) {
        for (collection, record) in changed {
            self.latest.insert((collection, record), sequence);
            self.changes.push_back(Change { sequence, collection, record });
        }
        while self.changes.len() > CHANGES_MAX
            && let Some(oldest) = self.changes.pop_front()
        {
            self.complete_since = oldest.sequence;
            if let Entry::Occupied(latest) = self.latest.entry((oldest.collection, oldest.record))
                && *latest.get() == oldest.sequence
            {
                latest.remove();
            }
        }
    }

    /// Forgets what the batch of `sequence` and those before it have changed: who has looked before must look again.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.changes.clear();
        self.latest.clear();
        self.complete_since = sequence;
    }

    /// Whether no batch behind the one of `sequence` has changed a document. No, when that is not known any more.
    pub(crate) fn is_unchanged_since(
        &self,
        sequence: u64,
        collection: CollectionId,
        record: RecordId,
    ) -> bool {
        let latest = self.latest.get(&(collection, record)).copied();
        sequence >= self.complete_since && latest.is_none_or(|latest| latest <= sequence)
    }

    /// The documents of a collection that batches behind the one of `sequence` have changed, the last one
    /// first; `None` when that is not known any more.
    pub(crate) fn changed_since(
        &self,
        sequence: u64,
        collection: CollectionId,
    ) -> Option<impl Iterator<Item = RecordId>> {
        if sequence < self.complete_since {
            return None;
        }
        let behind = self.changes.iter().rev().take_while(move |change| change.sequence > sequence);
        Some(
            behind
                .filter(move |change| change.collection == collection)
                .map(|change| change.record),
        )
    }
}

/// How many changes are remembered: those of some seconds, in a store that is busy.
const CHANGES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(history: &History, sequence: u64, collection: u32) -> Option<Vec<u64>> {
        let changed = history.changed_since(sequence, CollectionId::new(collection))?;
        Some(changed.map(RecordId::get).collect())
    }

    fn of(
        collection: u32,
        records: std::ops::Range<u64>,
    ) -> impl Iterator<Item = (CollectionId, RecordId)> {
        records.map(move |record| (CollectionId::new(collection), RecordId::new(record)))
    }

    #[test]
    fn what_has_changed_since_is_told_by_collection() {
        let mut history = History::default();
        history.note(1, of(1, 1..3));
        history.note(2, of(2, 1..2));
        history.note(5, of(1, 7..8));
        assert_eq!(changed(&history, 0, 1), Some(vec![7, 2, 1]));
        assert_eq!(changed(&history, 1, 1), Some(vec![7]));
        assert_eq!(changed(&history, 4, 2), Some(vec![]));
    }

    #[test]
    fn who_has_looked_before_all_was_forgotten_must_look_again() {
        let mut history = History::default();
        history.note(1, of(1, 1..3));
        history.forget(2);
        assert_eq!(changed(&history, 1, 1), None);
        assert_eq!(changed(&history, 2, 1), Some(vec![]));
    }

    #[test]
    fn a_document_is_unchanged_since_its_last_change() {
        let mut history = History::default();
        history.note(3, of(1, 7..8));
        history.note(5, of(1, 7..9));
        let unchanged = |history: &History, since, record| {
            history.is_unchanged_since(since, CollectionId::new(1), RecordId::new(record))
        };
        assert!(!unchanged(&history, 4, 7) && unchanged(&history, 5, 7));
        assert!(unchanged(&history, 0, 1));
        // The change of batch 3 is forgotten, the one of batch 5 is not.
        history.note(6, of(2, 0..CHANGES_MAX as u64 - 2));
        assert!(!unchanged(&history, 4, 7) && unchanged(&history, 5, 7));
        assert!(!unchanged(&history, 2, 1) && unchanged(&history, 3, 1));
        history.note(7, of(2, 0..CHANGES_MAX as u64));
        assert!(!unchanged(&history, 5, 7) && unchanged(&history, 6, 7));
        assert_eq!(history.latest.len(), CHANGES_MAX);
    }

    #[test]
    fn what_was_forgotten_is_not_taken_for_nothing() {
        let mut history = History::default();
        history.note(1, of(1, 0..10));
        history.note(2, of(1, 0..CHANGES_MAX as u64));
        assert_eq!(changed(&history, 0, 1), None);
        assert_eq!(changed(&history, 1, 1).unwrap().len(), CHANGES_MAX);
        history.note(3, of(1, 0..1));
        assert_eq!(changed(&history, 1, 1), None);
        assert_eq!(changed(&history, 2, 1), Some(vec![0]));
    }
}
