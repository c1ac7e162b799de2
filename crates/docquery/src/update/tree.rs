//! The tree of an update's paths: the parts of all paths, with the modifiers at their ends.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::array_filter::ArrayFilters;
use super::modifier::Modifier;
use crate::path::Path;
use crate::{Error, ErrorCode, Result};

/// What is done at one place of a document, and below it.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Parts of paths that name fields, or places in an array.
    Fields(Fields),
    /// Parts of paths that stand for several items of an array: `$[]` and `$[identifier]`.
    Items(Items),
    /// The end of a path.
    Leaf(Modifier),
}

/// The nodes below the fields of a document.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    /// In the order in which they are applied, which is the order of the fields that they create.
    pub(super) named: BTreeMap<FieldName, Node>,
    /// The node for the positional `$`.
    pub(super) positional: Option<Box<Node>>,
}

/// The nodes below the items of an array, by the identifier of their array filter. The empty one stands for all items.
#[derive(Clone, Debug, Default)]
pub(super) struct Items(pub(super) BTreeMap<FieldName, Node>);

/// The name of a field, in the order of updates: numbers by their value, all other names by their bytes.
///
/// Names that begin with 1 to 9 count as numbers whatever follows, and are ordered by length first. A name with a
/// leading zero is text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldName(Box<str>);

/// A part of a path, by the way it stands for its fields.
enum Part {
    Name(FieldName),
    Positional,
    Identifier(FieldName),
}

/// How many parts a path may have: more than the levels of a document lead nowhere.
const PARTS_MAX: usize = 200;

impl Fields {
    /// Puts `modifier` at the end of `path`, which [`check_path`] has seen.
    ///
    /// # Errors
    ///
    /// The path conflicts with one that is there, or names an array filter that is not given.
    pub(super) fn insert(
        &mut self,
        path: &Path,
        modifier: Modifier,
        array_filters: &mut ArrayFilters,
    ) -> Result<()> {
        let last = path.len() - 1;
        let mut current = Inner::Fields(self);
        for index in 0..last {
            let part = Part::parse(path, index, array_filters)?;
            let items_follow = identifier(path.part(index + 1)).is_some();
            let child = current.child_or_insert(part, || {
                if items_follow {
                    Node::Items(Items::default())
                } else {
                    Node::Fields(Fields::default())
                }
            });
            current = match child {
                Node::Items(items) if items_follow => Inner::Items(items),
                Node::Fields(fields) if !items_follow => Inner::Fields(fields),
                Node::Items(_) | Node::Fields(_) | Node::Leaf(_) => {
                    return Err(conflict(path, index));
                }
            };
        }
        let part = Part::parse(path, last, array_filters)?;
        if current.has(&part) {
            return Err(conflict(path, last));
        }
        current.child_or_insert(part, || Node::Leaf(modifier));
        Ok(())
    }
}

/// A node that has children.
enum Inner<'t> {
    Fields(&'t mut Fields),
    Items(&'t mut Items),
}

impl<'t> Inner<'t> {
    fn has(&self, part: &Part) -> bool {
        match (self, part) {
            (Self::Fields(fields), Part::Positional) => fields.positional.is_some(),
            (Self::Fields(fields), Part::Name(name) | Part::Identifier(name)) => {
                fields.named.contains_key(name)
            }
            (Self::Items(items), Part::Name(name) | Part::Identifier(name)) => {
                items.0.contains_key(name)
            }
            (Self::Items(_), Part::Positional) => false,
        }
    }

    fn child_or_insert(self, part: Part, make: impl FnOnce() -> Node) -> &'t mut Node {
        match (self, part) {
            (Self::Fields(fields), Part::Positional) => {
                fields.positional.get_or_insert_with(|| Box::new(make()))
            }
            (Self::Fields(fields), Part::Name(name) | Part::Identifier(name)) => {
                fields.named.entry(name).or_insert_with(make)
            }
            (Self::Items(items), Part::Name(name) | Part::Identifier(name)) => {
                items.0.entry(name).or_insert_with(make)
            }
            (Self::Items(_), Part::Positional) => {
                unreachable!("items are followed by identifiers only")
            }
        }
    }
}

impl Part {
    fn parse(path: &Path, index: usize, array_filters: &mut ArrayFilters) -> Result<Self> {
        let part = path.part(index);
        let Some(identifier) = identifier(part) else {
            let positional = part == POSITIONAL;
            return Ok(if positional {
                Self::Positional
            } else {
                Self::Name(FieldName::new(part))
            });
        };
        if index == 0 {
            return Err(Error::bad_value(format!(
                "the path '{path}' begins with '{part}', which stands for items of an array; \
                 it needs the name of a field before it"
            )));
        }
        if !identifier.is_empty() && !array_filters.mark_used(identifier) {
            return Err(Error::bad_value(format!(
                "the path '{path}' names the array filter '{identifier}', which arrayFilters does not have"
            )));
        }
        Ok(Self::Identifier(FieldName::new(identifier)))
    }
}

/// Checks that `path` may be the path of an update.
///
/// # Errors
///
/// A part is empty ([`ErrorCode::EMPTY_FIELD_NAME`]), or the positional `$` stands in it first or twice.
pub(super) fn check_path(path: &Path) -> Result<()> {
    if path.as_str().is_empty() {
        return Err(Error::new(ErrorCode::EMPTY_FIELD_NAME, "the path of an update is empty"));
    }
    if path.parts().any(str::is_empty) {
        return Err(Error::new(
            ErrorCode::EMPTY_FIELD_NAME,
            format!("the path '{path}' has an empty part, which no update may have"),
        ));
    }
    if path.as_str().contains('\0') {
        return Err(Error::bad_value(format!("the path {:?} has a 0 in it", path.as_str())));
    }
    if path.len() > PARTS_MAX {
        return Err(Error::new(
            ErrorCode::OVERFLOW,
            format!("a path has {} parts; at most {PARTS_MAX} are allowed", path.len()),
        ));
    }
    if path.parts().filter(|part| *part == POSITIONAL).count() > 1 {
        return Err(Error::bad_value(format!(
            "the path '{path}' has more than one positional operator '$'; one is allowed"
        )));
    }
    if path.part(0) == POSITIONAL {
        return Err(Error::bad_value(format!(
            "the path '{path}' begins with the positional operator '$'; it needs the name of an array before it"
        )));
    }
    Ok(())
}

/// Whether places of `path` are known only when it is applied: it has a `$`, `$[]` or `$[identifier]`.
pub(super) fn is_dynamic(path: &Path) -> bool {
    path.parts().any(|part| part == POSITIONAL || identifier(part).is_some())
}

/// Whether `path` has the positional `$`.
pub(super) fn is_positional(path: &Path) -> bool {
    path.parts().any(|part| part == POSITIONAL)
}

/// Checks that nodes that turn out to be for the same place do not conflict. `path` leads to the place.
///
/// # Errors
///
/// [`ErrorCode::CONFLICTING_UPDATE_OPERATORS`].
pub(super) fn check_compatible(nodes: &[&Node], path: &str) -> Result<()> {
    let conflict = || {
        Error::new(
            ErrorCode::CONFLICTING_UPDATE_OPERATORS,
            format!(
                "the update changes '{path}' in two ways; one update may change a path in one way only"
            ),
        )
    };
    let (mut positional, mut named, mut items) = (Vec::new(), Children::new(), Children::new());
    for node in nodes {
        match node {
            Node::Leaf(_) => return Err(conflict()),
            Node::Fields(fields) => {
                positional.extend(fields.positional.as_deref());
                named.add(&fields.named);
            }
            Node::Items(all) => items.add(&all.0),
        }
    }
    let (has_fields, has_items) = (!(named.is_empty() && positional.is_empty()), !items.is_empty());
    if has_fields && has_items {
        return Err(conflict());
    }
    if positional.len() > 1 {
        check_compatible(&positional, &format!("{path}.{POSITIONAL}"))?;
    }
    for (name, nodes) in named.shared() {
        check_compatible(nodes, &format!("{path}.{name}"))?;
    }
    for (identifier, nodes) in items.shared() {
        check_compatible(nodes, &format!("{path}.$[{identifier}]"))?;
    }
    Ok(())
}

/// The children of several nodes, by their names.
struct Children<'t>(BTreeMap<&'t FieldName, Vec<&'t Node>>);

impl<'t> Children<'t> {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, children: &'t BTreeMap<FieldName, Node>) {
        for (name, node) in children {
            self.0.entry(name).or_default().push(node);
        }
    }

    /// Those that more than one node has.
    fn shared(&self) -> impl Iterator<Item = (&'t str, &[&'t Node])> {
        let shared = self.0.iter().filter(|(_, nodes)| nodes.len() > 1);
        shared.map(|(name, nodes)| (name.as_str(), nodes.as_slice()))
    }
}

/// The identifier in `$[identifier]`, which is empty in `$[]`.
fn identifier(part: &str) -> Option<&str> {
    part.strip_prefix("$[")?.strip_suffix(']')
}

fn conflict(path: &Path, index: usize) -> Error {
    let parts: Vec<_> = path.parts().take(index + 1).collect();
    Error::new(
        ErrorCode::CONFLICTING_UPDATE_OPERATORS,
        format!(
            "the update of '{path}' conflicts with another at '{}'; one update may change a path in one way only",
            parts.join(".")
        ),
    )
}

const POSITIONAL: &str = "$";

impl FieldName {
    /// The name `name`.
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_number(&self) -> bool {
        matches!(self.0.as_bytes(), [b'1'..=b'9', ..] | [b'0'])
    }
}

impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_length = if self.is_number() && other.is_number() {
            self.0.len().cmp(&other.0.len())
        } else {
            Ordering::Equal
        };
        by_length.then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_with_numbers_as_numbers() {
        let expected =
            ["!", "0", "00", "01", "1", "9", "10", "9a", "100", "A", "a", "a10", "a9", "é"];
        let mut names: Vec<_> = expected.iter().rev().map(|name| FieldName::new(name)).collect();
        names.sort();
        assert_eq!(names.iter().map(FieldName::as_str).collect::<Vec<_>>(), expected);
    }

    #[track_caller]
    fn check(path: &str, expected: Option<i32>) {
        let code = check_path(&Path::new(path)).err().map(|error| error.code().value());
        assert_eq!(code, expected, "{path:?}");
    }

    #[test]
    fn paths_have_parts_and_one_positional_behind_a_name() {
        check("a", None);
        check("a.$.b", None);
        check("a.$[].$[x]", None);
        check("", Some(56));
        check(".a", Some(56));
        check("a.", Some(56));
        check("a..b", Some(56));
        check("$", Some(2));
        check("a.$.b.$", Some(2));
        check(&["a"; 201].join("."), Some(15));
    }
}
