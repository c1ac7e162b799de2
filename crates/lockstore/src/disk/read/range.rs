//! Reading a range of rows, in order or against it.

use std::cmp::Ordering;
use std::ops::Bound;

use redb::ReadableTable;

use super::{RowCursor, RowGuards, Snapshot, Value, damaged};
use crate::disk::DiskError;
use crate::disk::guard::guarded;
use crate::documents::is_empty;
use crate::rows::TableId;

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the least to the greatest.
    Forward,
    /// From the greatest to the least.
    Backward,
}

/// Some rows of a table, in order or against it. What they hold need not be guarded any more.
pub(super) struct Rows<'s> {
    /// `None` when there are no more.
    cursor: Option<RowCursor<'s>>,
    pub(super) direction: Direction,
    /// Where they end in that direction.
    end: Bound<Vec<u8>>,
}

impl Snapshot {
    /// The keys of at most `rows_max` rows of a table, in order. Looks at no value.
    pub(crate) fn keys(
        &self,
        table: TableId,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
        rows_max: usize,
    ) -> Result<Vec<Box<[u8]>>, DiskError> {
        let bounds = (lower.map(<[u8]>::to_vec), upper.map(<[u8]>::to_vec));
        let mut rows = self.rows(table, bounds, Direction::Forward)?;
        let mut keys = Vec::new();
        while keys.len() < rows_max
            && let Some((key, _)) = rows.next()?
        {
            keys.push(key.value().into());
        }
        Ok(keys)
    }

    pub(super) fn rows(
        &self,
        table: TableId,
        (lower, upper): (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
    ) -> Result<Rows<'_>, DiskError> {
        let cursor = match self.table(table)? {
            Some(rows) if !is_empty((lower.as_ref(), upper.as_ref())) => {
                Some(guarded("read", || match direction {
                    Direction::Forward => rows.lower_bound(lower.as_ref().map(Vec::as_slice)),
                    Direction::Backward => rows.upper_bound(upper.as_ref().map(Vec::as_slice)),
                })?)
            }
            Some(_) | None => None,
        };
        let end = match direction {
            Direction::Forward => upper,
            Direction::Backward => lower,
        };
        Ok(Rows { cursor, direction, end })
    }
}

impl<'s> Rows<'s> {
    pub(super) fn next(&mut self) -> Result<Option<RowGuards<'s>>, DiskError> {
        let Self { cursor: Some(cursor), direction, end } = self else { return Ok(None) };
        let row = guarded("read", || {
            let row = match direction {
                Direction::Forward => cursor.next()?,
                Direction::Backward => cursor.prev()?,
            };
            let inside = row.filter(|(key, value)| {
                touch(value);
                is_before(key.value(), end, *direction)
            });
            Ok::<_, redb::Error>(inside)
        });
        if !matches!(row, Ok(Some(_))) {
            // What comes after damage is not worth more.
            self.cursor = None;
        }
        row
    }

    /// The rows of `table` are not where they belong. There are no more.
    pub(super) fn damaged(&mut self, table: TableId) -> DiskError {
        self.cursor = None;
        damaged(format!("the rows of table {table} are out of order"))
    }
}

/// Has redb look whether the value lies within its page: it need not be guarded any more.
pub(super) fn touch(value: &Value<'_>) {
    let _ = value.value();
}

/// Whether a row comes before the end of those that are read in `direction`.
fn is_before(key: &[u8], end: &Bound<Vec<u8>>, direction: Direction) -> bool {
    let (end, is_included) = match end {
        Bound::Included(end) => (end, true),
        Bound::Excluded(end) => (end, false),
        Bound::Unbounded => return true,
    };
    match (key.cmp(end), direction) {
        (Ordering::Equal, _) => is_included,
        (order, Direction::Forward) => order.is_lt(),
        (order, Direction::Backward) => order.is_gt(),
    }
}
