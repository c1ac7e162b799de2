//! The journal: a file beside the store's into which each commit is appended before redb has it.
//!
//! A durable commit of redb writes a dozen pages wherever they lie. A record here is one sequential write into room that
//! is there already, and one sync that has no metadata to write. The rows go into redb too, by a commit that is not durable,
//! so that readers see them. Now and then a durable commit of redb, the *checkpoint*, makes all of them durable at once, and
//! says in the same commit, in the row `journal` of `meta`, up to which record the file has everything
//! ([`JournalRecordV1`]). From then on the records are overwritten from the first one on.
//!
//! - A record is a redo of whole rows, so that to replay it twice, or over a file that has it already, changes nothing.
//! - Sequence numbers rise for as long as the journal lives, and each opening that needs a journal makes a new one with a
//!   salt of its own. So what stood in a block before is never taken for the record that belongs there.
//! - The journal is there before the file says so, and the file says that it needs none before the journal is removed. So
//!   a file that says so and has none has lost it; and a journal whose store does not ask for it is of no use to anybody.

mod error;
mod format;
mod replay;
mod storage;

use std::io;

use redb::StorageBackend;

pub use error::JournalError;
use format::{BLOCK_BYTES, Header, Record, record_bytes};
pub(super) use replay::Found;
pub(crate) use storage::BesideStore;
pub use storage::JournalStorage;

use crate::records::{FormatRecordV1, JOURNALLED_FORMAT, JournalRecordV1, Record as _};
use crate::rows::{RowChange, RowKey, TableId};

/// The journal of an open store.
#[derive(Debug)]
pub(super) struct Journal {
    file: Box<dyn StorageBackend>,
    header: Header,
    /// What the format row says when there is no journal.
    format: FormatRecordV1,
    /// Where the next record goes.
    end: usize,
    /// The number of the last record.
    sequence: u64,
    /// How many rows were appended since the last checkpoint.
    rows: usize,
    /// The record that is being made. Its room is kept.
    record: Vec<u8>,
}

impl Journal {
    /// Makes a journal for a store that has none, where nothing has the name.
    pub(super) fn make(
        storage: &dyn JournalStorage,
        bytes: usize,
        format: FormatRecordV1,
    ) -> io::Result<Self> {
        let (salt, _) = uuid::Uuid::new_v4().as_u64_pair();
        let bytes = (bytes as u64).clamp(JOURNAL_BYTES_MIN, JOURNAL_BYTES_MAX);
        let bytes = bytes.next_multiple_of(BLOCK_BYTES as u64);
        let header = Header { store_id: format.store_id, salt, bytes };
        let file = storage.make(&header.to_bytes(), header.bytes)?;
        let (end, record) = (BLOCK_BYTES, Vec::new());
        Ok(Self { file, header, format, end, sequence: 0, rows: 0, record })
    }

    /// Whether the batch is to be appended. One that is not is a checkpoint: there is no room, or enough was appended,
    /// or the batch is so large that it had better be written once.
    pub(super) fn takes(&self, changes: &[RowChange]) -> bool {
        let bytes = record_bytes(changes.iter().map(RowChange::borrowed));
        bytes <= BATCH_BYTES_MAX
            && (self.end + bytes) as u64 <= self.header.bytes
            && self.rows + changes.len() <= ROWS_MAX
    }

    /// Appends a batch that it takes, which is durable when this returns.
    pub(super) fn append(&mut self, changes: &[RowChange]) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let rows = changes.iter().map(RowChange::borrowed);
        Record::write(&mut self.record, self.header.salt, sequence, rows);
        self.file.write(self.end as u64, &self.record)?;
        self.file.sync_data()?;
        self.sequence = sequence;
        self.end += self.record.len();
        self.rows += changes.len();
        Ok(())
    }

    /// Whether it has anything that a checkpoint would make durable elsewhere.
    pub(super) fn is_empty(&self) -> bool {
        self.end == BLOCK_BYTES
    }

    /// The rows with which a commit says that the file has everything up to here, and needs what comes.
    pub(super) fn mark(&self) -> [RowChange; 2] {
        let mark = JournalRecordV1 {
            rows_format: self.format.version,
            salt: self.header.salt,
            applied: self.sequence,
        };
        let format = FormatRecordV1 { version: JOURNALLED_FORMAT, ..self.format };
        [
            RowChange::put(TableId::Meta, RowKey::FORMAT, format.to_row(&RowKey::FORMAT)),
            RowChange::put(TableId::Meta, RowKey::JOURNAL, mark.to_row(&RowKey::JOURNAL)),
        ]
    }

    /// The file has everything, durably, and says so: the next record takes the place of the first one.
    pub(super) fn restart(&mut self) {
        self.end = BLOCK_BYTES;
        self.rows = 0;
    }

    /// What the format row says when there is no journal.
    pub(super) fn format(&self) -> FormatRecordV1 {
        self.format
    }
}

/// The rows with which a commit says that the file has everything and needs no journal.
pub(super) fn unmark(format: FormatRecordV1) -> [RowChange; 2] {
    [
        RowChange::put(TableId::Meta, RowKey::FORMAT, format.to_row(&RowKey::FORMAT)),
        RowChange::delete(TableId::Meta, RowKey::JOURNAL),
    ]
}

/// The shortest journal, in bytes.
const JOURNAL_BYTES_MIN: u64 = 64 << 10;

/// The longest journal, in bytes, and the longest that is read.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// A batch that takes more bytes than this is a checkpoint: it would be written twice for the sake of one sync.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How many rows are appended between checkpoints at most. Each may have dirtied a page of its own, and who commits when
/// a checkpoint is due waits until all of them are written.
const ROWS_MAX: usize = 8_192;
