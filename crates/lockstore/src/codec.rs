//! The bytes of a record: bincode behind a checksum, and nothing else knows of either.
//!
//! ```text
//! row value = payload, checksum
//!   payload  = the record in bincode's legacy configuration: integers of fixed width, little endian;
//!              a string is its length in bytes (u64), then UTF-8; an option is one byte (0 or 1), then
//!              the value; an enum is its variant (u32); structs and arrays are their parts in order
//!   checksum = CRC-32 (IEEE), u32 little endian, of
//!              the table's tag (1 byte), the key's length (u32 little endian), the key, the payload
//! ```
//!
//! A document is not encoded: its payload is BSON. An index entry says everything in its key, and has no value at all.
//!
//! The checksum covers where a row lies as well as what it holds, so a row is never taken for another
//! one, whatever a damaged tree points at. bincode is no longer maintained; the legacy configuration is a
//! format that other libraries read and write too (the tests read it with a second one), so it can be
//! replaced without a change of bytes.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};

use docquery::limits::DOCUMENT_BYTES_MAX;

use crate::records::ANSWER_BYTES_MAX;
use crate::rows::TableId;

/// Why the value of a row is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value is too short to hold a checksum.
    #[error("it has {bytes} bytes, where at least {bytes_min} were expected")]
    TooShort {
        /// How many bytes there are.
        bytes: usize,
        /// How many there are in the shortest record.
        bytes_min: usize,
    },
    /// The value is longer than any record.
    #[error("it has {bytes} bytes, where at most {bytes_max} were expected")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
        /// How many there are in the longest record.
        bytes_max: usize,
    },
    /// The value is not what was written under this key.
    #[error("its checksum is {found:08x}, where {expected:08x} was expected")]
    Checksum {
        /// What its bytes come to.
        expected: u32,
        /// What stands in the row.
        found: u32,
    },
    /// The value is whole, but is not a record of the kind that belongs here.
    #[error("it cannot be read as a {what}: {reason}")]
    Malformed {
        /// What was expected.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A record was read, and bytes are left over.
    #[error("{bytes} bytes are left over behind the {what}")]
    LeftOver {
        /// What was read.
        what: &'static str,
        /// How many bytes are left.
        bytes: usize,
    },
    /// A field is outside its bounds.
    #[error("its {field} is {found}, where {expected} was expected")]
    OutOfBounds {
        /// The field.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// The key of the row is no key of this table.
    #[error("its key is not {expected}")]
    Key {
        /// What was expected.
        expected: &'static str,
    },
}

/// The bytes of `record`, which lies under `key` in `table`.
pub(crate) fn encode<R: bincode::Encode>(table: TableId, key: &[u8], record: &R) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CAPACITY);
    bincode::encode_into_writer(record, Sink(&mut bytes), CONFIG)
        .expect("writing to memory does not fail, and every record can be written");
    seal(table, key, bytes)
}

/// The value of a row in `table` under `key` whose payload is `bytes`.
pub(crate) fn seal(table: TableId, key: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(table, key, &bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    let bytes_max = value_bytes_max(table);
    assert!(
        bytes.len() <= bytes_max,
        "a row of {} bytes was made, where {bytes_max} is the most",
        bytes.len()
    );
    bytes
}

/// Reads back what [`encode`] made of a record of type `R`, called `what` in errors. Takes nothing
/// else: not the row of another key or table, no damaged one, no longer and no shorter one.
pub(crate) fn decode<R: bincode::Decode<()>>(
    what: &'static str,
    table: TableId,
    key: &[u8],
    value: &[u8],
) -> Result<R, CodecError> {
    let payload = payload(table, key, value)?;
    let (record, read) =
        bincode::decode_from_slice(payload, CONFIG).map_err(|error| malformed(what, &error))?;
    match payload.len() - read {
        0 => Ok(record),
        bytes => Err(CodecError::LeftOver { what, bytes }),
    }
}

/// The value without its checksum, once that has been checked.
pub(crate) fn payload<'v>(
    table: TableId,
    key: &[u8],
    value: &'v [u8],
) -> Result<&'v [u8], CodecError> {
    let (bytes, bytes_max) = (value.len(), value_bytes_max(table));
    if bytes > bytes_max {
        return Err(CodecError::TooLong { bytes, bytes_max });
    }
    let (payload, found) = value
        .split_last_chunk()
        .ok_or(CodecError::TooShort { bytes, bytes_min: size_of::<u32>() })?;
    let found = u32::from_le_bytes(*found);
    let expected = checksum(table, key, payload);
    if found != expected {
        return Err(CodecError::Checksum { expected, found });
    }
    Ok(payload)
}

fn checksum(table: TableId, key: &[u8], payload: &[u8]) -> u32 {
    let key_bytes = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table.tag()]);
    hasher.update(&key_bytes.to_le_bytes());
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize()
}

fn malformed(what: &'static str, error: &DecodeError) -> CodecError {
    CodecError::Malformed { what, reason: error.to_string() }
}

/// Appends to a vector that the caller goes on with.
struct Sink<'a>(&'a mut Vec<u8>);

impl Writer for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The longest value of a row in `table`, in bytes.
const fn value_bytes_max(table: TableId) -> usize {
    match table {
        TableId::Meta | TableId::Grants | TableId::Audit | TableId::Sessions => ROW_BYTES_MAX,
        TableId::Collections => COLLECTION_BYTES_MAX,
        TableId::Documents => DOCUMENT_BYTES_MAX + size_of::<u32>(),
        TableId::IndexEntries => 0,
        TableId::ClientSessions => CLIENT_SESSION_BYTES_MAX,
    }
}

/// The longest value of a row that holds a record of locks, in bytes: a grant with the longest key and holder
/// comes to half of it.
pub(crate) const ROW_BYTES_MAX: usize = 4096;

/// The longest record of a collection with all its options and indexes, in bytes.
pub(crate) const COLLECTION_BYTES_MAX: usize = 1 << 20;

/// The longest row of a client session, in bytes: two documents of an answer, and what goes with them.
pub(crate) const CLIENT_SESSION_BYTES_MAX: usize = 2 * ANSWER_BYTES_MAX + (64 << 10);

/// Holds most records without a second allocation.
const CAPACITY: usize = 256;

/// The limit stops a damaged length before anything is allocated for it.
const CONFIG: Configuration<LittleEndian, Fixint, Limit<CLIENT_SESSION_BYTES_MAX>> =
    bincode::config::legacy().with_limit();

#[cfg(test)]
mod tests;
