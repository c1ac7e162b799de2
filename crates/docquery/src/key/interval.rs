//! Places between keys, and what lies between two of them.

use std::cmp::Ordering;

use super::encode::{TAG_STEP, encode};
use super::first_value;
use super::pattern::Direction;
use crate::Value;

/// A place between the encodings of values: before or behind all that begin with some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    bytes: Vec<u8>,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    Behind,
}

impl Cut {
    /// Before all that begins with `bytes`.
    pub fn before(bytes: Vec<u8>) -> Self {
        Self { bytes, side: Side::Before }
    }

    /// Behind all that begins with `bytes`.
    pub fn behind(bytes: Vec<u8>) -> Self {
        Self { bytes, side: Side::Behind }
    }

    /// The bytes it stands at.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it stands behind its bytes and what begins with them.
    pub fn is_behind(&self) -> bool {
        self.side == Side::Behind
    }

    /// Whether `key` lies behind it.
    pub fn is_below(&self, key: &[u8]) -> bool {
        match self.side {
            Side::Before => *self.bytes <= *key,
            Side::Behind => *self.bytes < *key && !key.starts_with(&self.bytes),
        }
    }

    /// The least bytes behind it; none if nothing is.
    pub fn start(&self) -> Option<Vec<u8>> {
        let mut start = self.bytes.clone();
        if self.side == Side::Behind {
            while start.last() == Some(&u8::MAX) {
                start.pop();
            }
            *start.last_mut()? += 1;
        }
        Some(start)
    }

    /// The same place where keys begin with `prefix`.
    #[must_use]
    pub fn within(&self, prefix: &[u8]) -> Self {
        Self { bytes: [prefix, &self.bytes].concat(), side: self.side }
    }

    /// The same place among descending values.
    fn turned(mut self) -> Self {
        Direction::Descending.turn(&mut self.bytes);
        self.side = match self.side {
            Side::Before => Side::Behind,
            Side::Behind => Side::Before,
        };
        self
    }
}

impl Ord for Cut {
    fn cmp(&self, other: &Self) -> Ordering {
        let common = self.bytes.len().min(other.bytes.len());
        self.bytes[..common].cmp(&other.bytes[..common]).then_with(|| {
            match self.bytes.len().cmp(&other.bytes.len()) {
                Ordering::Equal => self.side.cmp(&other.side),
                Ordering::Less if self.side == Side::Before => Ordering::Less,
                Ordering::Less => Ordering::Greater,
                Ordering::Greater if other.side == Side::Before => Ordering::Greater,
                Ordering::Greater => Ordering::Less,
            }
        })
    }
}

impl PartialOrd for Cut {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What lies between two cuts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    pub(super) low: Cut,
    pub(super) high: Cut,
}

impl Interval {
    /// What lies behind `low` and before `high`.
    pub fn new(low: Cut, high: Cut) -> Self {
        Self { low, high }
    }

    /// All values.
    pub fn all() -> Self {
        Self::beginning_with(Vec::new())
    }

    /// What is equal to `value`.
    pub fn point(value: Value<'_>) -> Self {
        Self::beginning_with(encoded(value))
    }

    /// All that begins with `bytes`.
    pub(super) fn beginning_with(bytes: Vec<u8>) -> Self {
        Self { low: Cut::before(bytes.clone()), high: Cut::behind(bytes) }
    }

    /// All values of one rank of the order.
    pub(super) fn rank(rank: u8) -> Self {
        Self::beginning_with(vec![TAG_STEP * (rank + 1)])
    }

    /// The same where keys begin with `prefix`.
    #[must_use]
    pub fn within(&self, prefix: &[u8]) -> Self {
        Self { low: self.low.within(prefix), high: self.high.within(prefix) }
    }

    /// Where it begins.
    pub fn low(&self) -> &Cut {
        &self.low
    }

    /// Where it ends.
    pub fn high(&self) -> &Cut {
        &self.high
    }

    /// The bytes of the one value that it holds, if it was made as a [`Interval::point`].
    pub fn as_point(&self) -> Option<&[u8]> {
        let whole = self.low.bytes == self.high.bytes && self.low.side != self.high.side;
        (whole && first_value(&self.low.bytes, Direction::Ascending) == Some(&self.low.bytes))
            .then_some(&*self.low.bytes)
    }

    /// Whether it holds all values.
    pub fn is_all(&self) -> bool {
        self.low.bytes.is_empty() && self.high.bytes.is_empty() && self.high.is_behind()
    }

    /// Whether `value`, encoded, lies in it.
    pub fn contains(&self, value: &[u8]) -> bool {
        self.low.is_below(value) && !self.high.is_below(value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.low >= self.high
    }

    pub(super) fn turned(self) -> Self {
        Self { low: self.high.turned(), high: self.low.turned() }
    }
}

/// The encoding of `value`.
pub(super) fn encoded(value: Value<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    encode(value, &mut bytes);
    bytes
}
