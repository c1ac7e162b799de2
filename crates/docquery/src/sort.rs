//! Sorts: in which order documents are given.

use std::cmp::Ordering;

use bson::RawDocument;

use crate::{Document, Error, ErrorCode, Result};

/// A sort, parsed.
#[derive(Clone, Debug)]
pub struct Sort {}

/// Where a document stands in the order of the sort that gave the key.
#[derive(Clone, Debug)]
pub struct SortKey {}

impl Sort {
    /// Parses a sort.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no sort.
    pub fn parse(sort: &RawDocument) -> Result<Self> {
        let _ = sort;
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "sorts are being built"))
    }

    /// The place of `document`.
    ///
    /// # Errors
    ///
    /// The document has arrays in more than one field of the sort.
    pub fn key(&self, document: Document<'_>) -> Result<SortKey> {
        let _ = document;
        Ok(SortKey {})
    }
}

impl Ord for SortKey {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortKey {}
