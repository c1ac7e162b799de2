//! Dotted paths.

use std::fmt;

use crate::{Error, ErrorCode, Result};

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
        // Counted first: most paths have one part, and memory for more would have to be given back.
        let mut places = Vec::with_capacity(dotted.matches('.').count() + 1);
        places.extend(ends);
        Self { dotted: dotted.into(), ends: places.into() }
    }

    /// The path of a field, as projections, stages and expressions name it: at most [`FIELD_PATH_PARTS_MAX`] parts, none of
    /// them empty or with a `$` in front.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no such path: 40352, 40353, 15998, 16410, 16411, or [`ErrorCode::OVERFLOW`].
    pub fn field(dotted: &str) -> Result<Self> {
        if dotted.is_empty() {
            return Err(Error::location(40352, "a field path must not be an empty string"));
        }
        if dotted.ends_with('.') {
            return Err(Error::location(
                40353,
                format!("the field path '{dotted}' must not end with a '.'"),
            ));
        }
        let path = Self::new(dotted);
        if path.len() > FIELD_PATH_PARTS_MAX {
            let message = format!(
                "a field path has at most {FIELD_PATH_PARTS_MAX} parts, not {}",
                path.len()
            );
            return Err(Error::new(ErrorCode::OVERFLOW, message));
        }
        path.parts().try_for_each(|part| check_part(part, dotted))?;
        Ok(path)
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

/// How many parts the path of a field may have.
pub const FIELD_PATH_PARTS_MAX: usize = 200;

/// The names with a `$` in front that a field path may have: those of a `DBRef`, and those of metadata.
const DOLLAR_PARTS: [&str; 12] = [
    "$id",
    "$ref",
    "$db",
    "$sortKey",
    "$textScore",
    "$randVal",
    "$indexKey",
    "$dis",
    "$pt",
    "$searchScore",
    "$searchHighlights",
    "$searchScoreDetails",
];

fn check_part(part: &str, dotted: &str) -> Result<()> {
    if part.is_empty() {
        let message = format!("the field path '{dotted}' has an empty part");
        return Err(Error::location(15998, message));
    }
    if part.starts_with('$') && !DOLLAR_PARTS.contains(&part) {
        let message = format!(
            "'{part}' in the field path '{dotted}' must not begin with '$'; consider $getField or $setField"
        );
        return Err(Error::location(16410, message));
    }
    if part.contains('\0') {
        return Err(Error::location(16411, "a field path must not contain a null byte"));
    }
    Ok(())
}

/// The place in an array that a part of a path names: digits without a leading zero. `a.00` is never a place.
pub fn array_index(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = part.len() > 1 && part.starts_with('0');
    if digits && !leading_zero { part.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(dotted: &str, expected: Result<usize, i32>) {
        let found =
            Path::field(dotted).map(|path| path.len()).map_err(|error| error.code().value());
        assert_eq!(found, expected, "{dotted:?}");
    }

    #[test]
    fn a_field_path_has_names_without_dollars() {
        check("a", Ok(1));
        check("a.b.0", Ok(3));
        check("a.$id", Ok(2));
        check("", Err(40352));
        check("a.", Err(40353));
        check("..", Err(40353));
        check(".a", Err(15998));
        check("a..b", Err(15998));
        check("$a", Err(16410));
        check("a.$", Err(16410));
        check("$.a", Err(16410));
        check("a\0b", Err(16411));
        check(&["a"; 200].join("."), Ok(200));
        check(&["a"; 201].join("."), Err(15));
    }
}
