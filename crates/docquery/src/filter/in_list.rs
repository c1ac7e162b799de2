//! The list of `$in`.

use crate::order::{self, compare};
use crate::regex::Regex;
use crate::{OwnedValue, Result, Value};

/// What `$in` lists: values, and regular expressions.
#[derive(Clone, Debug)]
pub struct InList {
    /// In order, each once.
    values: Box<[OwnedValue]>,
    regexes: Box<[Regex]>,
    has_null: bool,
}

impl InList {
    pub(super) fn new(mut values: Vec<OwnedValue>, regexes: Vec<Regex>) -> Self {
        values.sort_by(|a, b| compare(a.get(), b.get()));
        values.dedup_by(|a, b| order::equal(a.get(), b.get()));
        let has_null = values.iter().any(|value| matches!(value.get(), Value::Null));
        Self { values: values.into(), regexes: regexes.into(), has_null }
    }

    /// The values, in order, each once.
    pub fn values(&self) -> &[OwnedValue] {
        &self.values
    }

    /// The regular expressions.
    pub fn regexes(&self) -> &[Regex] {
        &self.regexes
    }

    pub(super) fn matches(&self, value: Value<'_>) -> Result<bool> {
        if value.is_missing() {
            return Ok(self.has_null);
        }
        if self.values.binary_search_by(|known| compare(known.get(), value)).is_ok() {
            return Ok(true);
        }
        for regex in &self.regexes {
            if regex.matches_value(value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
