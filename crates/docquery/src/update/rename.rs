//! `$rename`: what is moved, found before anything changes.

use std::collections::BTreeMap;

use super::find::{find_fields, find_items, place_in_array};
use super::tree::is_dynamic;
use crate::path::Path;
use crate::{Document, Error, ErrorCode, Result, Value};

/// A move of a field to another path.
#[derive(Clone, Debug)]
pub(super) struct Rename {
    from: Path,
    /// The number of the rename in its update.
    number: usize,
}

/// The old paths of all renames of an update: a tree, so that a document is walked over once for all.
#[derive(Clone, Debug, Default)]
pub(super) struct Renames {
    tree: Node,
    count: usize,
}

/// A part of old paths.
#[derive(Clone, Debug, Default)]
struct Node {
    children: BTreeMap<Box<str>, Node>,
    /// The rename whose old path ends here.
    number: Option<usize>,
}

/// What is at the old paths in one document, by the numbers of the renames.
#[derive(Clone, Debug)]
pub(super) struct Sources<'a>(Vec<Source<'a>>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Absent,
    Present(Value<'a>),
    /// The path leads through an array.
    InArray,
    /// The path leads into a value without fields, of this type.
    Blocked(&'static str),
}

impl Rename {
    /// The old path.
    pub(super) fn from(&self) -> &Path {
        &self.from
    }
}

impl Renames {
    /// Adds a rename of what is at `from`. No old path leads through another.
    pub(super) fn add(&mut self, from: &Path) -> Rename {
        let number = self.count;
        self.count += 1;
        let end = from
            .parts()
            .fold(&mut self.tree, |node, part| node.children.entry(part.into()).or_default());
        end.number = Some(number);
        Rename { from: from.clone(), number }
    }

    /// What is at the old paths in `document`.
    pub(super) fn find<'a>(&self, document: Document<'a>) -> Sources<'a> {
        let mut sources = vec![Source::Absent; self.count];
        if self.count > 0 {
            self.tree.find(Value::Document(document), false, &mut sources);
        }
        Sources(sources)
    }
}

impl Node {
    fn find<'a>(&self, value: Value<'a>, in_array: bool, sources: &mut [Source<'a>]) {
        if let Some(number) = self.number {
            sources[number] = if in_array { Source::InArray } else { Source::Present(value) };
            return;
        }
        match value {
            Value::Document(document) => {
                let names: Vec<_> = self.children.keys().map(AsRef::as_ref).collect();
                let found = find_fields(document, &names);
                for (child, found) in self.children.values().zip(found) {
                    if let Some((_, element)) = found {
                        child.find(element.value(), in_array, sources);
                    }
                }
            }
            Value::Array(array) => {
                let places: Vec<_> =
                    self.children.keys().map(|part| place_in_array(part)).collect();
                let (found, _) = find_items(array, &places);
                for ((child, found), place) in self.children.values().zip(found).zip(places) {
                    match (found, place) {
                        (Some(element), _) => child.find(element.value(), true, sources),
                        (None, Some(_)) => {}
                        (None, None) => child.block(value, sources),
                    }
                }
            }
            _ => self.children.values().for_each(|child| child.block(value, sources)),
        }
    }

    /// Notes that `value` has no field for any path that leads here.
    fn block<'a>(&self, value: Value<'a>, sources: &mut [Source<'a>]) {
        if let Some(number) = self.number {
            sources[number] = Source::Blocked(value.type_name());
        }
        self.children.values().for_each(|child| child.block(value, sources));
    }
}

impl<'a> Sources<'a> {
    /// What `rename` moves, if there is anything.
    ///
    /// # Errors
    ///
    /// The old path leads through an array, or into a value without fields.
    pub(super) fn value(&self, rename: &Rename) -> Result<Option<Value<'a>>> {
        match self.0[rename.number] {
            Source::Absent => Ok(None),
            Source::Present(value) => Ok(Some(value)),
            Source::InArray => Err(Error::bad_value(format!(
                "$rename of '{}': the path leads through an array",
                rename.from
            ))),
            Source::Blocked(type_name) => Err(Error::new(
                ErrorCode::PATH_NOT_VIABLE,
                format!(
                    "$rename of '{}': the path leads into a value of type {type_name}, which has no such field",
                    rename.from
                ),
            )),
        }
    }
}

/// Checks the paths of a rename.
///
/// # Errors
///
/// They are not those of two fields of which none is in the other.
pub(super) fn check_rename(from: &Path, to: &Path) -> Result<()> {
    let common = from.parts().zip(to.parts()).take_while(|(from, to)| from == to).count();
    if common == from.len() || common == to.len() {
        return Err(Error::bad_value(format!(
            "$rename of '{from}' to '{to}': neither path may be the other or lead through it"
        )));
    }
    if let Some(path) = [from, to].into_iter().find(|path| is_dynamic(path)) {
        return Err(Error::bad_value(format!(
            "$rename of '{from}' to '{to}': '{path}' may not have '$', '$[]' or '$[identifier]' in it"
        )));
    }
    Ok(())
}
