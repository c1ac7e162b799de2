//! The bytes of a journal. What is here never changes without a new [`FORMAT`]; `testdata/` holds it still.
//!
//! ```text
//! journal = header, zeros to the end of the block, then records
//!   header = magic, format u32, store id [16], salt u64, bytes u64, checksum u32 over what stands before it
//!   record = checksum u32 over what comes behind it, payload bytes u32, salt u64, sequence u64, rows u32,
//!            payload, zeros to the end of the block
//!   payload = rows: table tag u8, key bytes u32, key, and 0u8, or 1u8, value bytes u32, value
//! ```
//!
//! Integers are little endian, checksums CRC-32. Each record begins with a block of its own: what was made durable
//! is never written again, as part of a sector that it shares with what comes behind it.

use crate::rows::{ChangedRow, TableId};

use super::JournalError;

/// The format that this version writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// The unit of the file, in bytes: what a page cache writes in one piece.
pub(super) const BLOCK_BYTES: usize = 4096;

/// What a journal says of itself. It is written once, when the journal is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whose commits it holds.
    pub(super) store_id: [u8; 16],
    /// Tells it from every other journal: drawn at random when it is made. Each record repeats it, so bytes that were
    /// here for another reason are never taken for a record.
    pub(super) salt: u64,
    /// The length of the file, which is had from the beginning and never changes.
    pub(super) bytes: u64,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = &mut bytes[..];
        let mut put = |field: &[u8]| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = behind;
        };
        put(MAGIC);
        put(&FORMAT.to_le_bytes());
        put(&self.store_id);
        put(&self.salt.to_le_bytes());
        put(&self.bytes.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what a journal of `file` begins with.
    pub(super) fn read(file: &[u8]) -> Result<Self, JournalError> {
        let not_one = || JournalError::NotAJournal {
            found: String::from_utf8_lossy(&file[..file.len().min(MAGIC.len())]).into_owned(),
        };
        let mut rest = Rest(file);
        if rest.take(MAGIC.len()) != Some(MAGIC) {
            return Err(not_one());
        }
        // The format first: a newer one may go on in another way.
        let format = rest.u32().ok_or_else(not_one)?;
        if format > FORMAT {
            return Err(JournalError::NewerFormat { found: format, supported: FORMAT });
        }
        let header = rest.header().ok_or_else(not_one)?;
        if header.to_bytes() != file[..HEADER_BYTES] {
            let what = "its first bytes do not agree with their checksum".to_owned();
            return Err(JournalError::Damaged { what });
        }
        Ok(header)
    }
}

/// One batch of rows, all or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'j> {
    pub(super) sequence: u64,
    rows: u32,
    payload: &'j [u8],
}

impl<'j> Record<'j> {
    /// Makes the whole blocks of a record in `out`.
    pub(super) fn write<'c>(
        out: &mut Vec<u8>,
        salt: u64,
        sequence: u64,
        changes: impl Iterator<Item = ChangedRow<'c>>,
    ) {
        out.clear();
        out.resize(RECORD_HEAD_BYTES, 0);
        let mut rows = 0_u32;
        for change in changes {
            rows += 1;
            out.push(change.table.tag());
            put_bytes(out, change.key);
            match change.value {
                None => out.push(DELETED),
                Some(value) => {
                    out.push(PUT);
                    put_bytes(out, value);
                }
            }
        }
        let payload_bytes = length(out.len() - RECORD_HEAD_BYTES);
        out[4..8].copy_from_slice(&payload_bytes.to_le_bytes());
        out[8..16].copy_from_slice(&salt.to_le_bytes());
        out[16..24].copy_from_slice(&sequence.to_le_bytes());
        out[24..28].copy_from_slice(&rows.to_le_bytes());
        let checksum = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&checksum.to_le_bytes());
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
    }

    /// The record that begins with `bytes`, if one of the journal with this salt does, whole.
    pub(super) fn read(bytes: &'j [u8], salt: u64) -> Option<Self> {
        let mut rest = Rest(bytes);
        let (checksum, payload_bytes) = (rest.u32()?, rest.u32()?);
        if rest.u64()? != salt {
            return None;
        }
        let (sequence, rows) = (rest.u64()?, rest.u32()?);
        let payload = rest.take(usize::try_from(payload_bytes).ok()?)?;
        let checked = &bytes[4..RECORD_HEAD_BYTES + payload.len()];
        (crc32fast::hash(checked) == checksum).then_some(Self { sequence, rows, payload })
    }

    /// How many bytes of the journal it takes.
    pub(super) fn bytes(&self) -> usize {
        (RECORD_HEAD_BYTES + self.payload.len()).next_multiple_of(BLOCK_BYTES)
    }

    /// The rows of the batch, in their order.
    pub(super) fn rows(&self) -> Result<Vec<ChangedRow<'j>>, JournalError> {
        let strange = || JournalError::Damaged {
            what: format!("its record {} is whole, and no batch of rows", self.sequence),
        };
        let mut rest = Rest(self.payload);
        let mut rows = Vec::new();
        while !rest.0.is_empty() {
            rows.push(rest.row().ok_or_else(strange)?);
        }
        if u32::try_from(rows.len()) != Ok(self.rows) {
            return Err(strange());
        }
        Ok(rows)
    }
}

/// How many bytes of the journal a batch takes at most.
pub(super) fn record_bytes<'c>(changes: impl Iterator<Item = ChangedRow<'c>>) -> usize {
    let rows = changes.map(|change| 10 + change.key.len() + change.value.map_or(0, <[u8]>::len));
    (RECORD_HEAD_BYTES + rows.sum::<usize>()).next_multiple_of(BLOCK_BYTES)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what comes into a journal is bounded")
}

/// Bytes that are taken from the left; `None` where there are no more.
#[derive(Clone, Copy)]
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// What stands behind magic and format, up to the checksum.
    fn header(&mut self) -> Option<Header> {
        let header = Header { store_id: self.array()?, salt: self.u64()?, bytes: self.u64()? };
        self.u32().map(|_checksum| header)
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let bytes = usize::try_from(self.u32()?).ok()?;
        self.take(bytes)
    }

    fn row(&mut self) -> Option<ChangedRow<'b>> {
        let table = TableId::from_tag(self.u8()?)?;
        let key = self.bytes()?;
        let value = match self.u8()? {
            DELETED => None,
            PUT => Some(self.bytes()?),
            _ => return None,
        };
        Some(ChangedRow { table, key, value })
    }
}

const MAGIC: &[u8; 8] = b"lockjrn\n";
const HEADER_BYTES: usize = 8 + 4 + 16 + 8 + 8 + 4;
const RECORD_HEAD_BYTES: usize = 4 + 4 + 8 + 8 + 4;
const DELETED: u8 = 0;
const PUT: u8 = 1;

#[cfg(test)]
mod tests;
