//! `$pull` and `$pullAll`.

use super::change::{Change, Edit};
use super::restricted_filter;
use super::set::ValueSet;
use super::site::Site;
use crate::order::equal;
use crate::path::Path;
use crate::{Arena, Array, Document, Environment, Error, Filter, OwnedValue, Result, Value};

/// Which items are taken out of an array.
#[derive(Clone, Debug)]
pub(super) enum Pull {
    /// Documents that match.
    Documents(Filter),
    /// Values that match as the field with the empty name.
    Values(Filter),
    /// Values that are equal.
    Equal(OwnedValue),
    /// Values that are equal to one of an array's.
    Any(OwnedValue),
}

impl Pull {
    /// Parses the operand of `$pull`: a condition for documents, one for values, or a value.
    ///
    /// # Errors
    ///
    /// Those of filters.
    pub(super) fn parse(operand: Value<'_>, environment: &Environment) -> Result<Self> {
        Ok(match operand {
            Value::Document(condition) if !begins_with_value_operator(condition) => {
                Self::Documents(restricted_filter(condition, environment)?)
            }
            Value::Document(_) | Value::Regex { .. } => {
                let fields = [("", operand)];
                Self::Values(restricted_filter(Document::of_fields(&fields, 1), environment)?)
            }
            _ => Self::Equal(operand.into()),
        })
    }

    /// Parses the operand of `$pullAll` for `path`.
    ///
    /// # Errors
    ///
    /// It is no array.
    pub(super) fn parse_all(path: &Path, operand: Value<'_>) -> Result<Self> {
        let Value::Array(values) = operand else {
            return Err(Error::bad_value(format!(
                "$pullAll takes an array; for '{path}' it was given the type {}",
                operand.type_name()
            )));
        };
        let values: Vec<_> = values.iter().collect();
        Ok(Self::Any(Arena::new().array(&ValueSet::distinct(&values))?.into()))
    }

    /// How many values the items are compared with.
    pub(super) fn values(&self) -> usize {
        match self {
            Self::Documents(_) | Self::Values(_) | Self::Equal(_) => 1,
            Self::Any(values) => values.get().as_array().map_or(0, Array::len),
        }
    }

    /// What becomes of the array `value`: the items go.
    ///
    /// # Errors
    ///
    /// `value` is no array, or the filter failed.
    pub(super) fn update<'a>(&'a self, value: Value<'a>, site: Site<'_, 'a>) -> Result<Change<'a>> {
        let array = value.as_array().ok_or_else(|| {
            Error::bad_value(format!(
                "$pull and $pullAll apply to arrays; '{site}' has the type {}",
                value.type_name()
            ))
        })?;
        let all = match self {
            Self::Any(values) => {
                let values = values.get().as_array().unwrap_or(Array::EMPTY);
                Some(ValueSet::new(values.iter().collect()))
            }
            Self::Documents(_) | Self::Values(_) | Self::Equal(_) => None,
        };
        let mut edit = Edit::default();
        for (place, item) in array.iter().enumerate() {
            let taken = match self {
                Self::Documents(filter) => match item.as_document() {
                    Some(document) => filter.find(document)?.is_some(),
                    None => false,
                },
                Self::Values(filter) => {
                    let fields = [("", item)];
                    filter.find(Document::of_fields(&fields, 1))?.is_some()
                }
                Self::Equal(value) => equal(value.get(), item),
                Self::Any(_) => all.as_ref().is_some_and(|all| all.contains(item)),
            };
            if taken {
                edit.change(place, Change::Remove);
            }
        }
        Ok(edit.into_change())
    }
}

/// Whether the condition is about a value and not about the fields of a document.
fn begins_with_value_operator(condition: Document<'_>) -> bool {
    condition.first().is_some_and(|(name, _)| VALUE_OPERATORS.contains(&name))
}

/// The operators that are about a value. `$not` is none of them here.
const VALUE_OPERATORS: &[&str] = &[
    "$all",
    "$bitsAllClear",
    "$bitsAllSet",
    "$bitsAnyClear",
    "$bitsAnySet",
    "$elemMatch",
    "$eq",
    "$exists",
    "$geoIntersects",
    "$geoNear",
    "$geoWithin",
    "$gt",
    "$gte",
    "$in",
    "$lt",
    "$lte",
    "$mod",
    "$ne",
    "$near",
    "$nearSphere",
    "$nin",
    "$options",
    "$regex",
    "$size",
    "$type",
    "$within",
];
