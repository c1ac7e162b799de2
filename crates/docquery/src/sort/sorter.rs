//! Sorting what comes one by one: all of it, or only the first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::SortKey;

/// Takes items with their keys in any order, and gives them in that of the keys. Items with equal keys keep the order in which
/// they came.
///
/// ```
/// # use bson::rawdoc;
/// # use docquery::{Sort, sort::Sorter};
/// let sort = Sort::parse(&rawdoc! { "n": 1 })?;
/// let mut sorter = Sorter::new(Some(2));
/// for document in [rawdoc! { "n": 3 }, rawdoc! { "n": 1 }, rawdoc! { "n": 2 }] {
///     sorter.push(sort.key((&*document).into())?, document);
/// }
/// assert_eq!(sorter.into_sorted(), [rawdoc! { "n": 1 }, rawdoc! { "n": 2 }]);
/// # Ok::<(), docquery::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sorter<T> {
    limit: Option<usize>,
    arrivals: u64,
    /// With a limit, the last of those that are kept is on top; without one, nothing is in order yet.
    kept: Kept<T>,
}

#[derive(Clone, Debug)]
enum Kept<T> {
    All(Vec<Entry<T>>),
    First(BinaryHeap<Entry<T>>),
}

#[derive(Clone, Debug)]
struct Entry<T> {
    key: SortKey,
    arrival: u64,
    item: T,
}

impl<T> Sorter<T> {
    /// A sorter that keeps the first `limit` items; all of them without a limit.
    pub fn new(limit: Option<usize>) -> Self {
        let kept = match limit {
            None => Kept::All(Vec::new()),
            Some(_) => Kept::First(BinaryHeap::new()),
        };
        Self { limit, arrivals: 0, kept }
    }

    /// Takes an item. Gives the one that is not among the first any more, if there is a limit and it is reached.
    pub fn push(&mut self, key: SortKey, item: T) -> Option<T> {
        let entry = Entry { key, arrival: self.arrivals, item };
        self.arrivals += 1;
        match &mut self.kept {
            Kept::All(entries) => {
                entries.push(entry);
                None
            }
            Kept::First(entries) => {
                if entries.len() < self.limit.unwrap_or(usize::MAX) {
                    entries.push(entry);
                    return None;
                }
                match entries.peek_mut() {
                    Some(mut last) if entry < *last => {
                        Some(std::mem::replace(&mut *last, entry).item)
                    }
                    _ => Some(entry.item),
                }
            }
        }
    }

    /// Whether it would keep an item that comes now with `key`.
    pub fn would_keep(&self, key: &SortKey) -> bool {
        match &self.kept {
            Kept::All(_) => true,
            Kept::First(entries) => {
                entries.len() < self.limit.unwrap_or(usize::MAX)
                    || entries.peek().is_some_and(|last| *key < last.key)
            }
        }
    }

    /// How many items it keeps.
    pub fn len(&self) -> usize {
        match &self.kept {
            Kept::All(entries) => entries.len(),
            Kept::First(entries) => entries.len(),
        }
    }

    /// Whether it keeps none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, in order.
    pub fn into_sorted(self) -> Vec<T> {
        self.into_sorted_pairs().map(|(_, item)| item).collect()
    }

    /// The items with their keys, in order.
    pub(crate) fn into_sorted_pairs(self) -> impl ExactSizeIterator<Item = (SortKey, T)> + use<T> {
        let entries = match self.kept {
            Kept::All(mut entries) => {
                entries.sort_unstable();
                entries
            }
            Kept::First(entries) => entries.into_sorted_vec(),
        };
        entries.into_iter().map(|entry| (entry.key, entry.item))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then_with(|| self.arrival.cmp(&other.arrival))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sort;
    use bson::rawdoc;

    #[track_caller]
    fn check(limit: Option<usize>, numbers: &[i32], expected: &[(i32, usize)]) {
        let sort = Sort::parse(&rawdoc! { "n": 1 }).unwrap();
        let mut sorter = Sorter::new(limit);
        let mut dropped = 0;
        for (arrival, &number) in numbers.iter().enumerate() {
            let key = sort.key((&*rawdoc! { "n": number }).into()).unwrap();
            dropped += usize::from(sorter.push(key, (number, arrival)).is_some());
        }
        assert_eq!(dropped, numbers.len() - sorter.len());
        assert_eq!(sorter.into_sorted(), expected);
    }

    #[test]
    fn equal_keys_keep_their_order() {
        let numbers = [2, 1, 2, 1, 0];
        check(None, &numbers, &[(0, 4), (1, 1), (1, 3), (2, 0), (2, 2)]);
        check(Some(4), &numbers, &[(0, 4), (1, 1), (1, 3), (2, 0)]);
        check(Some(2), &numbers, &[(0, 4), (1, 1)]);
        check(Some(9), &numbers, &[(0, 4), (1, 1), (1, 3), (2, 0), (2, 2)]);
        check(Some(0), &numbers, &[]);
        check(None, &[], &[]);
    }
}
