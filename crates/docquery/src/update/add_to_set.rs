//! `$addToSet`.

use super::change::{Added, Change, Edit};
use super::set::ValueSet;
use super::site::Site;
use super::storage::depth_of;
use crate::path::Path;
use crate::{Arena, Array, Document, Error, ErrorCode, OwnedValue, Result, Value};

/// The values that an array is to have.
#[derive(Clone, Debug)]
pub(super) struct AddToSet(
    /// An array, without duplicates.
    OwnedValue,
);

impl AddToSet {
    /// Parses the operand of `$addToSet` for `path`: a value, or several with `$each`.
    ///
    /// # Errors
    ///
    /// `$each` has no array, or something follows it.
    pub(super) fn parse(path: &Path, operand: Value<'_>) -> Result<Self> {
        let clauses = operand.as_document();
        let each = clauses.and_then(Document::first).filter(|(name, _)| *name == "$each");
        let Some((_, values)) = each else {
            return Ok(Self(Arena::new().array(&[operand])?.into()));
        };
        let Value::Array(values) = values else {
            return Err(Error::new(
                ErrorCode::TYPE_MISMATCH,
                format!(
                    "$each of $addToSet takes an array; for '{path}' it was given the type {}",
                    values.type_name()
                ),
            ));
        };
        if clauses.is_some_and(|clauses| clauses.len() > 1) {
            return Err(Error::bad_value(format!(
                "$addToSet to '{path}' has fields after $each; none may follow it"
            )));
        }
        let values: Vec<_> = values.iter().collect();
        Ok(Self(Arena::new().array(&ValueSet::distinct(&values))?.into()))
    }

    /// How deep the values are nested.
    pub(super) fn depth(&self) -> usize {
        self.values().iter().map(depth_of).max().unwrap_or(0)
    }

    /// What becomes of the array `value`: what it does not have is added.
    ///
    /// # Errors
    ///
    /// It is no array.
    pub(super) fn update<'a>(&'a self, value: Value<'a>, site: Site<'_, 'a>) -> Result<Change<'a>> {
        let array = value.as_array().ok_or_else(|| {
            Error::bad_value(format!(
                "$addToSet needs an array; '{site}' has the type {}",
                value.type_name()
            ))
        })?;
        let present = ValueSet::new(array.iter().collect());
        let added = self.values().iter().filter(|value| !present.contains(*value));
        let added = added.map(Added::Next).collect();
        Ok(Edit { added, ..Edit::default() }.into_change())
    }

    /// The array of all values.
    ///
    /// # Errors
    ///
    /// It would be nested too deeply.
    pub(super) fn create<'a>(&'a self, arena: &'a Arena) -> Result<Value<'a>> {
        arena.array(&self.values().iter().collect::<Vec<_>>())
    }

    /// The values.
    pub(super) fn values(&self) -> Array<'_> {
        self.0.get().as_array().unwrap_or(Array::EMPTY)
    }
}
