//! Where a modifier is applied.

use std::fmt;

use crate::Arena;

/// The place of a value while it is modified, and the memory for what takes its place. It shows as the dotted path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'s, 'a> {
    pub(super) arena: &'a Arena,
    pub(super) path: &'s [&'a str],
}

impl fmt::Display for Site<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("."))
    }
}
