//! Sorting what was found.

use std::collections::BinaryHeap;
use std::sync::Arc;

use docquery::sort::SortKey;
use docquery::{Error, ErrorCode, Sort};

use super::{OwnedRow, Row};

/// Keeps the first `keep` of all that is added, in the order of a sort. Of what is equal the first comes first.
#[derive(Debug)]
pub(super) struct Sorter {
    sort: Arc<Sort>,
    keep: u64,
    /// The last of those that are kept is on top.
    kept: BinaryHeap<Sorted>,
    added: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Sorted {
    key: SortKey,
    /// When it was added.
    number: u64,
    row: OwnedRow,
}

/// How many bytes of documents are sorted at most.
pub(super) const BYTES_MAX: usize = 100 * 1024 * 1024;

impl Sorter {
    pub(super) fn new(sort: Arc<Sort>, keep: u64) -> Self {
        Self { sort, keep, kept: BinaryHeap::new(), added: 0, bytes: 0 }
    }

    /// # Errors
    ///
    /// What is kept is more than [`BYTES_MAX`], or the document cannot be sorted.
    pub(super) fn add(&mut self, row: Row<'_>) -> Result<(), Error> {
        let key = self.sort.key(row.document.into())?;
        let number = self.added;
        self.added += 1;
        if self.kept.len() as u64 >= self.keep {
            let is_behind = self.kept.peek().is_none_or(|last| key >= last.key);
            if is_behind {
                return Ok(());
            }
            if let Some(last) = self.kept.pop() {
                self.bytes -= last.row.size();
            }
        }
        let sorted = Sorted { key, number, row: row.to_owned() };
        self.bytes += sorted.row.size();
        self.kept.push(sorted);
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
        self.kept.into_sorted_vec().into_iter().map(|sorted| sorted.row).collect()
    }
}

impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sorted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sorted {}
