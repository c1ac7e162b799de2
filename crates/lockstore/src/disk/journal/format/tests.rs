//! The bytes of a journal: written as `testdata/` says, and nothing but what was written is read back.

use super::*;
use crate::rows::{RowChange, RowKey};
use proptest::prelude::*;

const SALT: u64 = 0x0102_0304_0506_0708;

const HEADER: Header = Header { store_id: *b"0123456789abcdef", salt: SALT, bytes: 8 << 20 };

fn changes() -> [RowChange; 2] {
    let key = RowKey::audit(7);
    [
        RowChange::put(TableId::Audit, key.clone(), b"value".to_vec()),
        RowChange::delete(TableId::Grants, key),
    ]
}

fn record(sequence: u64, changes: &[RowChange]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record::write(&mut bytes, SALT, sequence, changes.iter().map(RowChange::borrowed));
    bytes
}

/// The bytes of a golden file: hexadecimal, with comments behind `#`.
fn golden(text: &str) -> Vec<u8> {
    let lines = text.lines().filter_map(|line| line.split('#').next());
    let digits: String = lines.flat_map(str::split_whitespace).collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn the_bytes_of_a_journal_hold_still() {
    let expected = golden(include_str!("../../../../testdata/journal_header_v1.hex"));
    assert_eq!(HEADER.to_bytes()[..], expected);
    assert_eq!(Header::read(&expected).unwrap(), HEADER);

    let written = record(9, &changes());
    let expected = golden(include_str!("../../../../testdata/journal_record_v1.hex"));
    assert_eq!(written[..expected.len()], expected);
    assert!(written[expected.len()..].iter().all(|byte| *byte == 0));
    assert_eq!(written.len(), BLOCK_BYTES);
    let read = Record::read(&written, SALT).unwrap();
    assert_eq!((read.sequence, read.bytes()), (9, BLOCK_BYTES));
    assert_eq!(read.rows().unwrap(), changes().each_ref().map(RowChange::borrowed));
}

#[test]
fn a_header_that_is_another_is_told_apart() {
    let bytes = HEADER.to_bytes();
    for len in 0..bytes.len() {
        let error = Header::read(&bytes[..len]).unwrap_err();
        assert!(matches!(error, JournalError::NotAJournal { .. }), "{len}: {error}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes;
        damaged[at] ^= 0x10;
        let error = Header::read(&damaged).unwrap_err();
        let expected = match at {
            0..8 => matches!(error, JournalError::NotAJournal { .. }),
            8..12 => matches!(error, JournalError::NewerFormat { supported: 1, .. }),
            _ => matches!(error, JournalError::Damaged { .. }),
        };
        assert!(expected, "{at}: {error}");
    }
}

#[test]
fn a_record_of_another_journal_or_a_damaged_one_is_none() {
    let bytes = record(9, &changes());
    assert!(Record::read(&bytes, SALT ^ 1).is_none());
    for at in 0..RECORD_HEAD_BYTES + 20 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(Record::read(&damaged, SALT).is_none(), "{at}");
    }
    for len in 0..RECORD_HEAD_BYTES + 20 {
        assert!(Record::read(&bytes[..len], SALT).is_none(), "{len}");
    }
}

#[test]
fn a_whole_record_that_is_no_batch_is_an_error() {
    let sealed = |rows: u32, payload: &[u8]| {
        let mut bytes = record(9, &[]);
        bytes.truncate(RECORD_HEAD_BYTES);
        bytes[4..8].copy_from_slice(&length(payload.len()).to_le_bytes());
        bytes[24..28].copy_from_slice(&rows.to_le_bytes());
        bytes.extend_from_slice(payload);
        let checksum = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    };
    let deletion = [2, 0, 0, 0, 0, 0];
    let read = |bytes: &[u8]| Record::read(bytes, SALT).unwrap().rows().map(|rows| rows.len());
    assert_eq!(read(&sealed(1, &deletion)).unwrap(), 1);
    for (rows, payload) in [
        (0, &deletion[..]),
        (2, &deletion),
        (1, &[]),
        (1, &deletion[..5]),
        (1, &[77, 0, 0, 0, 0, 0]),
        (1, &[2, 0, 0, 0, 0, 2]),
        (1, &[2, 255, 255, 255, 255, 0]),
        (1, &[2, 0, 0, 0, 0, 1, 9, 0, 0, 0, 1]),
    ] {
        let error = read(&sealed(rows, payload)).unwrap_err();
        assert!(error.to_string().contains("record 9"), "{rows}, {payload:?}: {error}");
    }
}

fn any_change() -> impl Strategy<Value = RowChange> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3000));
    (0..TableId::ALL.len(), any::<Vec<u8>>(), value).prop_map(|(table, key, value)| RowChange {
        table: TableId::ALL[table],
        key: RowKey::Entry(key.into()),
        value,
    })
}

proptest! {
    #[test]
    fn any_batch_is_read_as_it_was_written(
        changes in prop::collection::vec(any_change(), 0..20),
        sequence: u64,
    ) {
        let bytes = record(sequence, &changes);
prop_assert!(bytes.len() <= record_bytes(changes.iter().map(RowChange::borrowed)));
        let read = Record::read(&bytes, SALT).unwrap();
        prop_assert_eq!((read.sequence, read.bytes()), (sequence, bytes.len()));
        let rows: Vec<_> = changes.iter().map(RowChange::borrowed).collect();
        prop_assert_eq!(read.rows().unwrap(), rows);
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes: Vec<u8>) {
        if let Some(record) = Record::read(&bytes, SALT) {
            record.rows().ok();
        }
        Header::read(&bytes).unwrap_err();
    }
}
