//! Sorting what was found.

use std::sync::Arc;

use bson::RawDocument;
use docquery::pipeline::{Sorted, SortedItems, Workspace};
use docquery::{Error, ErrorCode, Sort};

use super::{FoundBy, RecordId, Row};
use crate::documents::plan::{Access, IndexScan};
use crate::error::DocumentError;

/// Rows that are put in the order of a sort; of those that are equal the first comes first. What 100 MiB do not hold is put
/// away in its workspace.
#[derive(Debug)]
pub(super) struct Sorting<'s> {
    sort: &'s Sort,
    access: &'s Access,
    rows: Sorted<'s>,
}

/// Rows in the order of a sort.
#[derive(Debug)]
pub(super) struct SortedRows(SortedItems);

/// A row as it lies between others: its record, the number of the scan that found it and how long the key is by which it did,
/// the key, the document.
#[derive(Debug)]
pub(super) struct StoredRow(Vec<u8>);

impl<'s> Sorting<'s> {
    /// Keeps the first `keep` of the rows that `access` finds.
    pub(super) fn new(
        sort: &'s Sort,
        access: &'s Access,
        keep: u64,
        workspace: &'s dyn Workspace,
    ) -> Self {
        let limit = usize::try_from(keep).ok().filter(|_| keep < u64::MAX);
        Self { sort, access, rows: Sorted::new("a sort", limit, workspace) }
    }

    /// Adds a row. It is copied only if it is kept.
    ///
    /// # Errors
    ///
    /// There is no room for it, or the document cannot be sorted.
    pub(super) fn add(&mut self, row: Row<'_>) -> Result<(), Error> {
        let key = self.sort.key(row.document.into())?;
        self.rows.push(key, || StoredRow::of(row, self.access).0)
    }

    /// All that was kept, in order.
    pub(super) fn finish(self) -> Result<SortedRows, Error> {
        Ok(SortedRows(self.rows.finish()?))
    }
}

impl SortedRows {
    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<StoredRow>, Error> {
        Ok(self.0.next_item()?.map(StoredRow))
    }

    /// Whether all were given.
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl StoredRow {
    fn of(row: Row<'_>, access: &Access) -> Self {
        let Row { record, document, found_by } = row;
        let key = found_by.map_or(&[][..], |found_by| found_by.key);
        let scan = found_by.and_then(|FoundBy { index, .. }| {
            scans(access).iter().position(|scan| Arc::ptr_eq(scan.index(), index))
        });
        let mut bytes = Vec::with_capacity(HEAD_BYTES + key.len() + document.as_bytes().len());
        bytes.extend_from_slice(&record.get().to_le_bytes());
        for number in [scan.unwrap_or(usize::MAX), key.len()] {
            bytes.extend_from_slice(&(number as u64).to_le_bytes());
        }
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(document.as_bytes());
        Self(bytes)
    }

    /// The row, which `access` has found.
    ///
    /// # Errors
    ///
    /// It is not what was put away.
    pub(super) fn get<'r>(&'r self, access: &'r Access) -> Result<Row<'r>, DocumentError> {
        self.parts(access).ok_or_else(|| {
            let message = "a row that was put away for a sort cannot be read again";
            Error::new(ErrorCode::INTERNAL_ERROR, message).into()
        })
    }

    fn parts<'r>(&'r self, access: &'r Access) -> Option<Row<'r>> {
        let (record, rest) = number(&self.0)?;
        let (scan, rest) = number(rest)?;
        let (key_bytes, rest) = number(rest)?;
        let (key, document) = rest.split_at_checked(usize::try_from(key_bytes).ok()?)?;
        let scan = usize::try_from(scan).ok().and_then(|scan| scans(access).get(scan));
        Some(Row {
            record: RecordId::new(record),
            document: RawDocument::from_bytes(document).ok()?,
            found_by: scan.map(|scan| FoundBy { index: scan.index(), key }),
        })
    }
}

fn scans(access: &Access) -> &[IndexScan] {
    match access {
        Access::Indexes(scans) => scans,
        Access::Nothing | Access::Collection(_) => &[],
    }
}

/// The number that `bytes` begin with, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

const HEAD_BYTES: usize = 3 * size_of::<u64>();
