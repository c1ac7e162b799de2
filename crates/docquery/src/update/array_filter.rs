//! Array filters: which items `$[identifier]` stands for.

use std::collections::BTreeMap;

use bson::RawDocument;

use super::restricted_filter;
use crate::{Document, Environment, Error, Filter, Result, Value};

/// The array filters of an update.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrayFilters(
    /// By their identifiers.
    BTreeMap<Box<str>, ArrayFilter>,
);

#[derive(Clone, Debug)]
struct ArrayFilter {
    filter: Filter,
    /// Whether a path of the update names it.
    used: bool,
}

impl ArrayFilters {
    /// Parses the filters.
    ///
    /// # Errors
    ///
    /// Those of filters; and a filter that is about no field, about several, about the same as another, or about one
    /// whose name is not made of letters and digits after a lower-case letter.
    pub(super) fn parse(filters: &[&RawDocument], environment: &Environment) -> Result<Self> {
        let mut parsed = BTreeMap::new();
        for filter in filters {
            let document = Document::from(*filter);
            let filter = restricted_filter(document, environment)
                .map_err(|error| error.within("in an array filter: "))?;
            let identifier = identifier(document)?.ok_or_else(|| {
                Error::failed_to_parse(
                    "an array filter is about no field; its fields begin with the identifier, as in {'id.field': 1}",
                )
            })?;
            check_identifier(identifier)?;
            let filter = ArrayFilter { filter, used: false };
            if parsed.insert(identifier.into(), filter).is_some() {
                return Err(Error::failed_to_parse(format!(
                    "arrayFilters has two filters for the identifier '{identifier}'"
                )));
            }
        }
        Ok(Self(parsed))
    }

    /// Notes that a path names `identifier`; false if there is no such filter.
    pub(super) fn mark_used(&mut self, identifier: &str) -> bool {
        self.0.get_mut(identifier).map(|filter| filter.used = true).is_some()
    }

    /// Checks that each filter is named by a path.
    ///
    /// # Errors
    ///
    /// One is not.
    pub(super) fn check_used(&self) -> Result<()> {
        match self.0.iter().find(|(_, filter)| !filter.used) {
            None => Ok(()),
            Some((identifier, _)) => Err(Error::failed_to_parse(format!(
                "no path of the update uses the array filter '{identifier}'; a path does with '$[{identifier}]'"
            ))),
        }
    }

    /// Whether the filter `identifier` matches the item `value`.
    ///
    /// # Errors
    ///
    /// As [`Filter::matches`].
    pub(super) fn matches(&self, identifier: &str, value: Value<'_>) -> Result<bool> {
        let Some(found) = self.0.get(identifier) else {
            return Ok(false);
        };
        let fields = [(identifier, value)];
        Ok(found.filter.find(Document::of_fields(&fields, 1))?.is_some())
    }
}

/// The first part of all paths in `filter`, if it has any.
fn identifier(filter: Document<'_>) -> Result<Option<&str>> {
    let mut found = None;
    // What is left to look at; the filter has been parsed, so its nesting is bounded.
    let mut left = vec![filter];
    while let Some(filter) = left.pop() {
        for (name, value) in filter {
            if name.starts_with('$') {
                let clauses = value.as_array().into_iter().flatten();
                left.extend(clauses.filter_map(|clause| clause.as_document()));
                continue;
            }
            if is_about_nothing(value) {
                continue;
            }
            let first = name.split('.').next().unwrap_or_default();
            match found {
                None => found = Some(first),
                Some(other) if other == first => {}
                Some(other) => {
                    return Err(Error::failed_to_parse(format!(
                        "an array filter is about one identifier; this one is about '{other}' and '{first}'"
                    )));
                }
            }
        }
    }
    Ok(found)
}

/// Whether a condition is `{$all: []}`, which matches nothing and so is about no field, or made of such.
fn is_about_nothing(condition: Value<'_>) -> bool {
    let Value::Document(operators) = condition else {
        return false;
    };
    !operators.is_empty()
        && operators.iter().all(|(name, operand)| match (name, operand) {
            ("$all", Value::Array(values)) => values.is_empty(),
            ("$not", condition) => is_about_nothing(condition),
            _ => false,
        })
}

fn check_identifier(identifier: &str) -> Result<()> {
    let sound = identifier.starts_with(|first: char| first.is_ascii_lowercase())
        && identifier.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if sound {
        return Ok(());
    }
    Err(Error::bad_value(format!(
        "the identifier of an array filter is a lower-case letter, then letters and digits; it is '{identifier}'"
    )))
}
