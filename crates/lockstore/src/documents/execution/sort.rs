//! Sorting what was found.

use std::sync::Arc;

use docquery::sort::Sorter;
use docquery::{Error, ErrorCode, Sort};

use super::{OwnedRow, Row};

/// The first rows of all that are added, in the order of a sort. Of those that are equal the first comes first.
#[derive(Debug)]
pub(super) struct SortedRows {
    sort: Arc<Sort>,
    rows: Sorter<OwnedRow>,
    bytes: usize,
}

impl SortedRows {
    /// Keeps the first `keep` rows.
    pub(super) fn new(sort: Arc<Sort>, keep: u64) -> Self {
        Self {
            sort,
            rows: Sorter::new(usize::try_from(keep).ok().filter(|_| keep < u64::MAX)),
            bytes: 0,
        }
    }

    /// Adds a row. It is copied only if it is kept.
    ///
    /// # Errors
    ///
    /// The kept rows are more than [`BYTES_MAX`], or the document cannot be sorted.
    pub(super) fn add(&mut self, row: Row<'_>) -> Result<(), Error> {
        let key = self.sort.key(row.document.into())?;
        if !self.rows.would_keep(&key) {
            return Ok(());
        }
        let row = row.to_owned();
        self.bytes += row.size();
        if let Some(last) = self.rows.push(key, row) {
            self.bytes -= last.size();
        }
        if self.bytes > BYTES_MAX {
            return Err(Error::new(
                ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT,
                format!(
                    "Sort exceeded memory limit of {BYTES_MAX} bytes, and sorting on disk is not supported; an index \
                     that gives the order, or a limit, needs less"
                ),
            ));
        }
        Ok(())
    }

    /// All that was kept, in order.
    pub(super) fn finish(self) -> Vec<OwnedRow> {
        self.rows.into_sorted()
    }
}

/// How many bytes of documents are sorted at most.
const BYTES_MAX: usize = 100 * 1024 * 1024;
