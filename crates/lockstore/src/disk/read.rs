//! Reading rows, from one snapshot.

mod client_sessions;
mod documents;
mod entries;
mod range;

use std::fmt;
use std::sync::{Arc, OnceLock};

use redb::{
    AccessGuard, Cursor, ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableError,
};

use super::guard::{guarded, guarded_value};
use super::proofs::Proofs;
use super::{DiskError, Meta, TABLES, definition};
use crate::records::{
    COLLECTIONS_SINCE, FormatRecordV1, IdsRecordV1, JOURNALLED_FORMAT, JournalRecordV1, Record,
    RecordError,
};
use crate::rows::{RowKey, TableId};
pub(crate) use documents::{Documents, ScannedDocument, StoredDocument};
pub(crate) use entries::{Entries, Entry};
pub(crate) use range::Direction;

/// The rows of one moment. What is committed later is not seen.
pub(crate) struct Snapshot {
    transaction: ReadTransaction,
    /// The number of this snapshot, and what is known of the documents in it; `None` where nobody asks.
    proofs: Option<(u64, Arc<Proofs>)>,
    /// Tables that were opened before; `None` for those that the file's format does not have.
    tables: [OnceLock<Option<RowReader>>; TABLES],
}

/// The key and the value of a row, as they lie on disk.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, proofs: None, tables: Default::default() }
    }

    pub(super) fn with_proofs(self, number: u64, proofs: Arc<Proofs>) -> Self {
        Self { proofs: Some((number, proofs)), ..self }
    }

    /// The value of one row, if it is there.
    pub(crate) fn get(&self, table: TableId, key: &RowKey) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(rows) = self.table(table)? else { return Ok(None) };
        guarded("read", || -> Result<_, redb::Error> {
            let value = rows.get(key.as_bytes())?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    /// Hands every row of `table` to `visit`, in the order of the keys, and stops at its first error.
    ///
    /// A damaged tree is noticed although each row may be sound: rows that repeat, are out of order, or
    /// are fewer or more than the table says, are an error.
    pub(crate) fn for_each_row<E: From<DiskError>>(
        &self,
        table: TableId,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let expected = self.count(table)?;
        let Some(rows) = self.table(table)? else { return Ok(()) };
        let mut rows = guarded("read", || rows.range::<&[u8]>(..))?;
        let (mut found, mut before) = (0, Vec::new());
        while let Some((key, value)) = next(|| rows.next())? {
            // A panic of the visitor is its own, and passes.
            let (key, value) = guarded_value("read", || (key.value(), value.value()))?;
            if found > 0 && key <= before.as_slice() {
                return Err(damaged(format!("the rows of table {table} are out of order")).into());
            }
            before.clear();
            before.extend_from_slice(key);
            found += 1;
            visit(key, value)?;
        }
        if found != expected {
            let what = format!("table {table} has {found} rows, where {expected} were expected");
            return Err(damaged(what).into());
        }
        Ok(())
    }

    /// The last rows of `table` before `before`, or its very last ones: at most `rows_max`, the last one
    /// first. To go on, pass the key of the last row of the answer.
    pub(crate) fn last_rows(
        &self,
        table: TableId,
        before: Option<&RowKey>,
        rows_max: usize,
    ) -> Result<Vec<Row>, DiskError> {
        let Some(rows) = self.table(table)? else { return Ok(Vec::new()) };
        let mut rows = guarded("read", || match before {
            Some(key) => rows.range(..key.as_bytes()),
            None => rows.range::<&[u8]>(..),
        })?;
        let mut last = Vec::new();
        while last.len() < rows_max
            && let Some((key, value)) = next(|| rows.next_back())?
        {
            last.push(guarded_value("read", || (key.value().to_vec(), value.value().to_vec()))?);
        }
        Ok(last)
    }

    /// How many rows `table` has. Takes no longer for many than for few.
    pub(crate) fn count(&self, table: TableId) -> Result<u64, DiskError> {
        self.table(table)?.map_or(Ok(0), |rows| guarded("read", || rows.len()))
    }

    /// What every format begins with, as it is when no journal stands before the file.
    pub(crate) fn format(&self) -> Result<FormatRecordV1, DiskError> {
        let format = self.format_on_disk()?;
        let mark = self.journal_mark()?;
        Ok(mark.map_or(format, |mark| FormatRecordV1 { version: mark.rows_format, ..format }))
    }

    /// What the file says of its last commits being in a journal; `None` when it has all of them itself.
    pub(super) fn journal_mark(&self) -> Result<Option<JournalRecordV1>, DiskError> {
        if self.format_on_disk()?.version != JOURNALLED_FORMAT {
            return Ok(None);
        }
        self.record(&RowKey::JOURNAL).map(Some)
    }

    /// What the format row says: another number while there is a journal.
    pub(super) fn format_on_disk(&self) -> Result<FormatRecordV1, DiskError> {
        self.record(&RowKey::FORMAT)
    }

    /// The meta rows.
    pub(crate) fn meta(&self) -> Result<Meta, DiskError> {
        let format = self.format()?;
        Ok(Meta {
            format,
            token: self.record(&RowKey::TOKEN)?,
            wall: self.record(&RowKey::WALL)?,
            ids: if format.version < COLLECTIONS_SINCE {
                IdsRecordV1::default()
            } else {
                self.record(&RowKey::IDS)?
            },
        })
    }

    fn record<R: Record>(&self, key: &RowKey) -> Result<R, DiskError> {
        let value = self
            .get(R::TABLE, key)?
            .ok_or(DiskError::MissingRow { table: R::TABLE.name(), key: key.to_string() })?;
        let record: Result<R, RecordError> = R::from_row(key.as_bytes(), &value);
        Ok(record?)
    }

    fn table(&self, table: TableId) -> Result<Option<&RowReader>, DiskError> {
        let place = &self.tables[table.index()];
        if let Some(opened) = place.get() {
            return Ok(opened.as_ref());
        }
        let opened = guarded("read", || match self.transaction.open_table(definition(table)) {
            // What must be there is looked for when the file is opened.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            opened => opened.map(Some),
        })?;
        Ok(place.get_or_init(|| opened).as_ref())
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

fn damaged(what: String) -> DiskError {
    let doing = "read";
    DiskError::Corrupted { doing, what }
}

fn next<'r>(
    step: impl FnOnce() -> Option<redb::Result<RowGuards<'r>>>,
) -> Result<Option<RowGuards<'r>>, DiskError> {
    guarded("read", || step().transpose())
}

type RowReader = ReadOnlyTable<&'static [u8], &'static [u8]>;
type RowCursor<'r> = Cursor<'r, &'static [u8], &'static [u8]>;
type RowGuards<'r> = (AccessGuard<'r, &'static [u8]>, AccessGuard<'r, &'static [u8]>);
type Value<'r> = AccessGuard<'r, &'static [u8]>;

/// Why a row can be read once more.
const CHECKED: &str = "the row was read when this was made";
