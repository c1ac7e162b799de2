//! Where a scan of an index begins and ends.

use std::ops::Bound;

use super::{IndexId, RecordId};
use crate::rows::RowKey;

/// A place between the entries of an index. Prefixes are whole key bytes, or the bytes of the first fields
/// of a compound key, or any others: what begins with them lies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge<'k> {
    /// The beginning of the index as a lower edge, its end as an upper one.
    Open,
    /// Before all keys that begin so.
    Before(&'k [u8]),
    /// Behind all keys that begin so.
    Behind(&'k [u8]),
    /// Before one entry, which need not be there any more.
    BeforeEntry(&'k [u8], RecordId),
    /// Behind one entry, which need not be there any more: where a scan goes on that was left there.
    BehindEntry(&'k [u8], RecordId),
}

impl Edge<'_> {
    /// The bound of the rows that lie above this edge of `index`.
    pub(crate) fn as_lower(self, index: IndexId) -> Bound<Vec<u8>> {
        match self {
            Self::Open => Bound::Included(prefixed(index, &[])),
            Self::Before(prefix) => Bound::Included(prefixed(index, prefix)),
            Self::Behind(prefix) => successor(prefixed(index, prefix))
                .map_or_else(|| Bound::Excluded(Vec::from(BEHIND_ALL)), Bound::Included),
            Self::BeforeEntry(key, record) => Bound::Included(entry(index, key, record)),
            Self::BehindEntry(key, record) => Bound::Excluded(entry(index, key, record)),
        }
    }

    /// The bound of the rows that lie below this edge of `index`.
    pub(crate) fn as_upper(self, index: IndexId) -> Bound<Vec<u8>> {
        match self {
            Self::Open => below_successor(prefixed(index, &[])),
            Self::Before(prefix) => Bound::Excluded(prefixed(index, prefix)),
            Self::Behind(prefix) => below_successor(prefixed(index, prefix)),
            Self::BeforeEntry(key, record) => Bound::Excluded(entry(index, key, record)),
            Self::BehindEntry(key, record) => Bound::Included(entry(index, key, record)),
        }
    }
}

fn prefixed(index: IndexId, prefix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + prefix.len());
    bytes.extend_from_slice(&index.get().to_be_bytes());
    bytes.extend_from_slice(prefix);
    bytes
}

fn entry(index: IndexId, key: &[u8], record: RecordId) -> Vec<u8> {
    RowKey::entry(index, key, record).as_bytes().to_vec()
}

fn below_successor(prefix: Vec<u8>) -> Bound<Vec<u8>> {
    successor(prefix).map_or(Bound::Unbounded, Bound::Excluded)
}

/// The least bytes that are greater than all that begin with `prefix`; `None` when there are none.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(prefix);
        }
        prefix.pop();
    }
    None
}

/// Whether nothing can lie between the bounds. They may be the wrong way around, which neither redb nor a `BTreeMap` likes.
pub(crate) fn is_empty<K: Ord + ?Sized>(bounds: (Bound<&K>, Bound<&K>)) -> bool {
    match bounds {
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// No row is greater: ids count from 1 and never come near the highest.
const BEHIND_ALL: [u8; 4] = [u8::MAX; 4];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_successor_of_a_prefix_is_behind_all_that_begins_with_it() {
        assert_eq!(successor(vec![1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(vec![1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(vec![255, 255]), None);
    }

    proptest! {
        #[test]
        fn an_edge_lies_between_what_is_below_and_above_it(prefix: Vec<u8>, key: Vec<u8>, index in 0..3_u32) {
            let row = RowKey::entry(IndexId::new(index), &key, RecordId::new(7));
            let edge_index = IndexId::new(1);
            let above = |edge: Edge<'_>| is_above(&edge.as_lower(edge_index), row.as_bytes());
            let below = |edge: Edge<'_>| is_below(&edge.as_upper(edge_index), row.as_bytes());
            let begins = index == 1 && row.as_bytes()[4..].starts_with(&prefix);
            prop_assert_eq!(above(Edge::Before(&prefix)) && below(Edge::Behind(&prefix)), begins);
            for edge in [Edge::Before(&prefix), Edge::Behind(&prefix), Edge::BeforeEntry(&prefix, RecordId::new(7))] {
                prop_assert_ne!(above(edge), below(edge));
            }
            prop_assert_eq!(above(Edge::Open) && below(Edge::Open), index == 1);
        }
    }

    fn is_above(bound: &Bound<Vec<u8>>, row: &[u8]) -> bool {
        match bound {
            Bound::Included(bound) => row >= bound,
            Bound::Excluded(bound) => row > bound,
            Bound::Unbounded => true,
        }
    }

    fn is_below(bound: &Bound<Vec<u8>>, row: &[u8]) -> bool {
        match bound {
            Bound::Included(bound) => row <= bound,
            Bound::Excluded(bound) => row < bound,
            Bound::Unbounded => true,
        }
    }
}
