//! Many writes of which some were not done.

use std::collections::BTreeMap;
use std::fmt;

use super::DocumentError;
use crate::collection::BulkWriteResult;

/// What was done and what was not, of many writes in one request.
#[derive(Clone, Debug)]
pub struct PartialWrite {
    result: BulkWriteResult,
    /// One at least.
    errors: BTreeMap<usize, DocumentError>,
}

impl PartialWrite {
    /// # Panics
    ///
    /// There are no errors.
    pub(crate) fn new(result: BulkWriteResult, errors: BTreeMap<usize, DocumentError>) -> Self {
        assert!(!errors.is_empty(), "what failed in part has an error: {result:?}");
        Self { result, errors }
    }

    /// What was done, durably.
    pub fn result(&self) -> &BulkWriteResult {
        &self.result
    }

    /// Why others were not done, by their index in the request. There is one at least. If the request was ordered, those
    /// behind the first error were not tried.
    pub fn errors(&self) -> &BTreeMap<usize, DocumentError> {
        &self.errors
    }

    /// The first error.
    pub(crate) fn first(&self) -> (&usize, &DocumentError) {
        self.errors.first_key_value().expect("there is one at least")
    }
}

impl fmt::Display for PartialWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, error) = self.first();
        write!(f, "write {index} of the request failed: {error}")?;
        match self.errors.len() - 1 {
            0 => Ok(()),
            more => write!(f, "; so did {more} more"),
        }
    }
}

impl std::error::Error for PartialWrite {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.first().1)
    }
}
