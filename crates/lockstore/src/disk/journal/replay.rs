//! Reading a journal back.

use redb::StorageBackend;

use super::format::{BLOCK_BYTES, Header, Record};
use super::{JOURNAL_BYTES_MAX, JournalError};
use crate::records::JournalRecordV1;
use crate::rows::ChangedRow;

/// The content of a journal, all of it.
#[derive(Debug)]
pub(in crate::disk) struct Found {
    header: Header,
    bytes: Vec<u8>,
}

impl Found {
    /// Reads the journal in `file`, and whether it is one of the store with this id.
    pub(in crate::disk) fn read(
        file: &dyn StorageBackend,
        store_id: [u8; 16],
    ) -> Result<Self, JournalError> {
        let bytes = file.len()?;
        // Looked at first, as something else may be of any length.
        let mut start = vec![0; BLOCK_BYTES.min(usize::try_from(bytes).unwrap_or(BLOCK_BYTES))];
        file.read(0, &mut start)?;
        let header = Header::read(&start)?;
        if header.store_id != store_id {
            return Err(JournalError::OtherStore);
        }
        if header.bytes != bytes || bytes > JOURNAL_BYTES_MAX {
            let what = format!("it has {bytes} bytes, where {} were expected", header.bytes);
            return Err(JournalError::Damaged { what });
        }
        let mut content = vec![0; usize::try_from(bytes).expect("the bound was looked at above")];
        file.read(0, &mut content)?;
        Ok(Self { header, bytes: content })
    }

    /// The rows of all batches that the store's file does not have, which says so by `mark`.
    ///
    /// The journal ends with the first record that is not whole: it is the one that was being written when the power was
    /// lost, and nobody was told of it. One that others stand behind was durable, and is damaged.
    pub(in crate::disk) fn rows_behind(
        &self,
        mark: &JournalRecordV1,
    ) -> Result<Vec<ChangedRow<'_>>, JournalError> {
        let salt = self.header.salt;
        if salt != mark.salt {
            return Err(JournalError::OtherJournal);
        }
        let mut rows = Vec::new();
        let mut next = mark.applied.saturating_add(1);
        let mut rest = self.bytes.get(BLOCK_BYTES..).unwrap_or_default();
        while let Some(record) = Record::read(rest, salt)
            && record.sequence == next
        {
            rows.extend(record.rows()?);
            next = next.saturating_add(1);
            rest = rest.get(record.bytes()..).unwrap_or_default();
        }
        let mut blocks = (0..rest.len()).step_by(BLOCK_BYTES);
        let behind = blocks.find_map(|at| {
            Record::read(&rest[at..], salt).filter(|record| record.sequence >= next)
        });
        match behind {
            None => Ok(rows),
            Some(Record { sequence, .. }) => Err(JournalError::Damaged {
                what: format!("its record {next} is not what was written, and {sequence} is"),
            }),
        }
    }
}
