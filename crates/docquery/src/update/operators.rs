//! Updates by operators.

use super::array_filter::ArrayFilters;
use super::change::Change;
use super::modifier::{Modifier, Operator};
use super::rename::{Renames, check_rename};
use super::storage::check_size;
use super::tree::{Fields, check_path, is_positional};
use super::walk::{Purpose, Walk};
use crate::path::Path;
use crate::{Arena, Document, Environment, Error, Result, Value};

/// An update like `{$set: {..}, $inc: {..}}`.
#[derive(Clone, Debug)]
pub(super) struct Operators {
    tree: Fields,
    array_filters: ArrayFilters,
    renames: Renames,
    /// Whether a path has the positional `$`.
    positional: bool,
    /// The paths that may change, without places in arrays.
    touched: Vec<Box<str>>,
}

impl Operators {
    /// Parses the operators of `update`.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no update.
    pub(super) fn parse(
        update: Document<'_>,
        array_filters: &[&bson::RawDocument],
        environment: &Environment,
    ) -> Result<Self> {
        let mut parsed = Self {
            tree: Fields::default(),
            array_filters: ArrayFilters::parse(array_filters, environment)?,
            renames: Renames::default(),
            positional: false,
            touched: Vec::new(),
        };
        for (name, operand) in update {
            let operator = Operator::named(name).ok_or_else(|| {
                Error::failed_to_parse(format!(
                    "there is no update operator '{name}'; an update has operators, or is a pipeline in an array, or replaces the document and has no operator"
                ))
            })?;
            let Value::Document(fields) = operand else {
                return Err(Error::failed_to_parse(format!(
                    "{name} takes a document of fields, as in {{{name}: {{field: ..}}}}, not the type {}",
                    operand.type_name()
                )));
            };
            for (path, operand) in fields {
                parsed.add(operator, &Path::new(path), operand, environment)?;
            }
        }
        parsed.array_filters.check_used()?;
        Ok(parsed)
    }

    fn add(
        &mut self,
        operator: Operator,
        path: &Path,
        operand: Value<'_>,
        environment: &Environment,
    ) -> Result<()> {
        check_path(path)?;
        let modifier = Modifier::parse(operator, path, operand, environment)?;
        self.insert(path, modifier)?;
        if operator != Operator::Rename {
            return Ok(());
        }
        let to = operand.as_str().ok_or_else(|| {
            Error::bad_value(format!(
                "$rename takes the new name, a string; for '{path}' it was given the type {}",
                operand.type_name()
            ))
        })?;
        let to = Path::new(to);
        check_path(&to)?;
        check_rename(path, &to)?;
        let rename = self.renames.add(path);
        self.insert(&to, Modifier::rename(rename))
    }

    fn insert(&mut self, path: &Path, modifier: Modifier) -> Result<()> {
        self.tree.insert(path, modifier, &mut self.array_filters)?;
        self.positional |= is_positional(path);
        self.touched.push(without_places(path).into());
        Ok(())
    }

    /// Whether a path has the positional `$`.
    pub(super) fn is_positional(&self) -> bool {
        self.positional
    }

    /// Whether an update may change what is at `path`, or above or below it.
    pub(super) fn touches(&self, path: &str) -> bool {
        let path = without_places(&Path::new(path));
        self.touched
            .iter()
            .any(|touched| leads_through(touched, &path) || leads_through(&path, touched))
    }

    /// `document` after the update; `None` if nothing changed. `matched` is the place that the positional `$` stands for.
    ///
    /// # Errors
    ///
    /// An operator cannot be applied.
    pub(super) fn apply(
        &self,
        document: Document<'_>,
        matched: Option<usize>,
        purpose: Purpose,
    ) -> Result<Option<Vec<u8>>> {
        let arena = Arena::new();
        let sources = self.renames.find(document);
        let mut walk = Walk::new(&arena, &self.array_filters, sources, matched, purpose);
        match walk.change(&self.tree, document)? {
            Change::Edit(edit) => {
                let bytes = edit.apply(document)?;
                check_size(bytes.len(), purpose)?;
                Ok(Some(bytes))
            }
            Change::Keep | Change::Remove | Change::Set(_) => Ok(None),
        }
    }
}

/// The dotted path without `$`, `$[..]` and numbers behind its first part, as indexes know it.
fn without_places(path: &Path) -> String {
    let mut names = String::from(path.part(0));
    for part in path.parts().skip(1) {
        let is_place = part.starts_with('$') || part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_place {
            names.push('.');
            names.push_str(part);
        }
    }
    names
}

/// Whether the dotted path `path` is `start`, or leads on from it.
fn leads_through(start: &str, path: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
