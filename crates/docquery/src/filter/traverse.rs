//! What a path leads to.
//!
//! The rules are those of the server's `ElementPath`:
//!
//! - In a document a part names a field. Where there is none, or the value has no fields and is no array, the path leads to
//!   `Missing`.
//! - In an array that stands on the way, the rest of the path is followed from each item that is a document. If the next part
//!   is a number it names an item besides: the path ends there, or goes on in it if that is a document or an array.
//! - An array at the end of the path leads to its items, and then to itself. One that was named by a number leads to itself.
//!
//! The *position* that comes with a value is the place of an item in the first array that was entered by no number.

use std::collections::HashSet;

use crate::path::{Path, array_index};
use crate::{Array, Document, Result, Value};

/// Follows a path, and shows what it leads to, until it is told to stop.
pub(super) struct Traversal<'p, F> {
    path: &'p Path,
    /// Whether an array at the end leads to its items.
    items: bool,
    visit: F,
    /// The arrays that were passed, and the parts that had led to them, once a number was both a place and a name: from
    /// there on different ways lead to the same.
    passed: Option<HashSet<(usize, usize)>>,
}

impl<'a, 'p, F> Traversal<'p, F>
where
    F: FnMut(Value<'a>, Option<usize>) -> Result<bool>,
{
    pub(super) fn new(path: &'p Path, items: bool, visit: F) -> Self {
        Self { path, items, visit, passed: None }
    }

    /// Follows the path from `value`, which its first `depth` parts led to. Whether it was told to stop.
    pub(super) fn follow(
        &mut self,
        value: Value<'a>,
        depth: usize,
        position: Option<usize>,
    ) -> Result<bool> {
        if depth == self.path.len() {
            return self.end(value, position);
        }
        match value {
            Value::Document(document) => self.enter(document, depth, position),
            Value::Array(array) => self.pass(array, depth, position),
            _ => (self.visit)(Value::Missing, position),
        }
    }

    fn enter(
        &mut self,
        document: Document<'a>,
        depth: usize,
        position: Option<usize>,
    ) -> Result<bool> {
        self.follow(document.get(self.path.part(depth)), depth + 1, position)
    }

    /// Follows the path through the items of an array.
    fn pass(&mut self, array: Array<'a>, depth: usize, position: Option<usize>) -> Result<bool> {
        if self.was_passed(array, depth) {
            return Ok(false);
        }
        let named = array_index(self.path.part(depth));
        for (index, item) in array.iter().enumerate() {
            if let Value::Document(document) = item
                && self.enter(document, depth, position.or(Some(index)))?
            {
                return Ok(true);
            }
            if named == Some(index) && self.pass_named(item, depth + 1, position)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Follows the path from an item that was named by a number.
    fn pass_named(
        &mut self,
        item: Value<'a>,
        depth: usize,
        position: Option<usize>,
    ) -> Result<bool> {
        if depth == self.path.len() {
            return (self.visit)(item, position);
        }
        match item {
            Value::Document(document) => {
                self.passed.get_or_insert_default();
                self.enter(document, depth, position)
            }
            Value::Array(array) => self.pass(array, depth, position),
            _ => Ok(false),
        }
    }

    /// Whether the path was followed through `array` before, in vain.
    fn was_passed(&mut self, array: Array<'a>, depth: usize) -> bool {
        let Some(passed) = &mut self.passed else { return false };
        let place = match (array.raw_bytes(), array.built_items()) {
            (Some(bytes), _) => bytes.as_ptr().addr(),
            (None, Some(items)) => items.as_ptr().addr(),
            (None, None) => return false,
        };
        !passed.insert((place, depth))
    }

    fn end(&mut self, value: Value<'a>, position: Option<usize>) -> Result<bool> {
        if let (true, Value::Array(array)) = (self.items, value) {
            for (index, item) in array.iter().enumerate() {
                if (self.visit)(item, position.or(Some(index)))? {
                    return Ok(true);
                }
            }
        }
        (self.visit)(value, position)
    }
}
