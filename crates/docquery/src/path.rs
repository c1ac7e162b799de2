//! Dotted paths.

use std::fmt;

/// A dotted path, `a.b.0`, split into its parts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    dotted: Box<str>,
    /// Where each part ends in `dotted`.
    ends: Box<[u32]>,
}

impl Path {
    /// The path that `dotted` writes. Parts may be empty here; whoever does not allow that looks at them.
    pub fn new(dotted: &str) -> Self {
        let dots = dotted.match_indices('.').map(|(place, _)| place);
        let ends = dots.chain([dotted.len()]).map(|end| u32::try_from(end).unwrap_or(u32::MAX));
        Self { dotted: dotted.into(), ends: ends.collect() }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.dotted
    }

    /// How many parts it has: at least one.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: a path has at least one part.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The part at `index`.
    ///
    /// # Panics
    ///
    /// There is no such part.
    pub fn part(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize + 1 };
        &self.dotted[start..self.ends[index] as usize]
    }

    /// The parts, in order.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        (0..self.len()).map(|index| self.part(index))
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dotted.fmt(f)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dotted)
    }
}

/// The place in an array that a part of a path names: digits without a leading zero. `a.00` is never a place.
pub fn array_index(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = part.len() > 1 && part.starts_with('0');
    if digits && !leading_zero { part.parse().ok() } else { None }
}
