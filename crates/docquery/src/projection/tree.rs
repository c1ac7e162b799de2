//! What a projection does to each path: a tree of field names.

use std::collections::HashMap;

use crate::path::{FIELD_PATH_PARTS_MAX, Path};
use crate::{Error, ErrorCode, Expression, Filter, Result};

/// The fields that a projection names, at one level of a document, in the order in which they were named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Branch {
    fields: Vec<(Box<str>, Node)>,
    /// Where each name stands in `fields`, once there are many.
    places: HashMap<Box<str>, usize>,
    /// Whether something below is computed.
    computes: bool,
}

/// What is done to a field.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Something is done to the fields in it.
    Branch(Branch),
    /// It is kept as it is.
    Keep,
    /// It is left out.
    Drop,
    /// It gets a computed value.
    Compute(Expression),
    /// It gets the first item of its array that this filter matches, which asks for the field itself.
    FirstMatch(Box<Filter>),
}

impl Branch {
    /// The fields, in the order in which they were named.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Node)> {
        self.fields.iter().map(|(name, node)| (&**name, node))
    }

    /// Whether something below is computed.
    pub(crate) fn computes(&self) -> bool {
        self.computes
    }

    /// The place among the fields of the field `name`.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        if self.places.is_empty() {
            self.fields.iter().position(|(key, _)| **key == *name)
        } else {
            self.places.get(name).copied()
        }
    }

    /// What is done to the field at `place`.
    pub(crate) fn node(&self, place: usize) -> &Node {
        &self.fields[place].1
    }

    /// Says what is done to `path`, which stands below this branch, itself `depth` levels below the root.
    ///
    /// # Errors
    ///
    /// Something is already said of the path (31250), or of what it stands in (31249).
    pub(crate) fn insert(&mut self, path: &Path, depth: usize, node: Node) -> Result<()> {
        check_depth(depth + path.len())?;
        self.insert_part(path, 0, node)
    }

    /// The branch at `path`, made where there is none.
    ///
    /// # Errors
    ///
    /// As [`Branch::insert`].
    pub(crate) fn branch_at(&mut self, path: &Path, depth: usize) -> Result<&mut Self> {
        check_depth(depth + path.len())?;
        let mut branch = self;
        for index in 0..path.len() {
            let last = index + 1 == path.len();
            let name = path.part(index);
            let place = branch.find(name);
            let place = place.unwrap_or_else(|| branch.push(name, Node::Branch(Self::default())));
            let Node::Branch(inner) = &mut branch.fields[place].1 else {
                return Err(collision(path, if last { 31250 } else { 31249 }));
            };
            branch = inner;
        }
        Ok(branch)
    }

    /// Forgets what was said of the field `name`.
    pub(crate) fn remove(&mut self, name: &str) {
        self.fields.retain(|(key, _)| **key != *name);
        self.places.clear();
        if self.fields.len() > LINEAR_MAX {
            self.places = places_of(&self.fields);
        }
    }

    /// Finds out what is computed below, once the tree is complete.
    pub(crate) fn finish(&mut self) {
        self.computes = false;
        for (_, node) in &mut self.fields {
            self.computes |= match node {
                Node::Branch(branch) => {
                    branch.finish();
                    branch.computes
                }
                Node::Compute(_) | Node::FirstMatch(_) => true,
                Node::Keep | Node::Drop => false,
            };
        }
    }

    fn insert_part(&mut self, path: &Path, index: usize, node: Node) -> Result<()> {
        let name = path.part(index);
        let place = self.find(name);
        if index + 1 == path.len() {
            if place.is_some() {
                return Err(collision(path, 31250));
            }
            self.push(name, node);
            return Ok(());
        }
        let place = place.unwrap_or_else(|| self.push(name, Node::Branch(Self::default())));
        match &mut self.fields[place].1 {
            Node::Branch(branch) => branch.insert_part(path, index + 1, node),
            Node::Keep | Node::Drop | Node::Compute(_) | Node::FirstMatch(_) => {
                Err(collision(path, 31249))
            }
        }
    }

    fn push(&mut self, name: &str, node: Node) -> usize {
        let place = self.fields.len();
        self.fields.push((name.into(), node));
        if place == LINEAR_MAX {
            self.places = places_of(&self.fields);
        } else if place > LINEAR_MAX {
            self.places.insert(name.into(), place);
        }
        place
    }
}

/// How many fields are searched one by one.
const LINEAR_MAX: usize = 16;

fn places_of(fields: &[(Box<str>, Node)]) -> HashMap<Box<str>, usize> {
    fields.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect()
}

fn collision(path: &Path, code: i32) -> Error {
    Error::location(
        code,
        format!("path collision at '{path}': something else is said of it, or of a part of it"),
    )
}

fn check_depth(depth: usize) -> Result<()> {
    if depth > FIELD_PATH_PARTS_MAX {
        return Err(Error::new(
            ErrorCode::OVERFLOW,
            format!("a field path has at most {FIELD_PATH_PARTS_MAX} parts, not {depth}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(paths: &[&str], expected: Result<(), i32>) {
        let mut root = Branch::default();
        let result = paths
            .iter()
            .try_for_each(|path| root.insert(&Path::field(path)?, 0, Node::Keep))
            .map_err(|error| error.code().value());
        assert_eq!(result, expected, "{paths:?}");
    }

    #[test]
    fn paths_that_collide_are_refused() {
        check(&["a.b", "a.c", "b"], Ok(()));
        check(&["a", "a.b"], Err(31249));
        check(&["a.b", "a.b.c"], Err(31249));
        check(&["a.b", "a"], Err(31250));
        check(&["a", "a"], Err(31250));
    }

    #[test]
    fn many_fields_are_found_as_few_are() {
        let mut root = Branch::default();
        for number in 0..100 {
            let path = Path::field(&format!("f{number}")).unwrap();
            root.insert(&path, 0, Node::Keep).unwrap();
        }
        root.remove("f3");
        assert_eq!(root.find("f3"), None);
        assert_eq!(root.find("f99"), Some(98));
        assert_eq!(root.find("f2"), Some(2));
    }

    #[test]
    fn nesting_is_bounded_however_it_is_written() {
        let mut root = Branch::default();
        let deep = Path::field(&["a"; 150].join(".")).unwrap();
        let branch = root.branch_at(&deep, 0).unwrap();
        let error = branch.insert(&deep, 150, Node::Keep).unwrap_err();
        assert_eq!(error.code(), ErrorCode::OVERFLOW);
    }
}
