//! The format of the file, which rises when a batch has rows that earlier formats do not know.

use crate::records::{COLLECTIONS_SINCE, FormatRecordV1, Record};
use crate::rows::{RowChange, RowKey, TableId};

/// The format as it is on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    record: FormatRecordV1,
}

impl Format {
    pub(crate) fn new(record: FormatRecordV1) -> Self {
        Self { record }
    }

    /// Adds to the rows of a batch what has the file get the format that they need. `ids` is the row of ids, which a format
    /// with collections must have.
    pub(crate) fn rise_for(&mut self, rows: &mut Vec<RowChange>, ids: impl FnOnce() -> RowChange) {
        let needed = rows.iter().map(|row| row.table.since()).max().unwrap_or_default();
        if needed <= self.record.version {
            return;
        }
        if self.record.version < COLLECTIONS_SINCE {
            rows.push(ids());
        }
        self.record.version = needed;
        let value = self.record.to_row(&RowKey::FORMAT);
        rows.push(RowChange::put(TableId::Meta, RowKey::FORMAT, value));
    }
}
