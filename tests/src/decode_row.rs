//! What the fuzz target `decode_row` does: reads one row, whatever it holds.

use arbitrary::{Arbitrary, Unstructured};
use lockstore::records::describe_row;

use crate::any_row::{AnyRow, Row};

/// A row, and what has happened to it since it was written.
#[derive(Arbitrary, Debug)]
struct Case<'a> {
    row: AnyRow<'a>,
    cut: Option<u16>,
    damage: Vec<(u16, u8)>,
}

/// Reads the row that `bytes` describe.
///
/// # Panics
///
/// When the answer differs from one time to the next, or is longer than anything that a row can hold.
pub fn decode_row(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let Row { table, key, mut value } = case.row.row([1; 16]);
    let whole = value.clone();
    value.truncate(case.cut.map_or(usize::MAX, usize::from));
    for (at, with) in case.damage {
        if let Some(byte) = value.get_mut(usize::from(at)) {
            *byte = with;
        }
    }
    let read = describe_row(&table, &key, &value);
    assert_eq!(read, describe_row(&table, &key, &value), "one row, read twice");
    let text = read.clone().unwrap_or_else(|error| error.to_string());
    let bound = TEXT_BYTES_MAX + 8 * table.len();
    assert!(text.len() <= bound, "{} bytes to describe a row", text.len());
    if value != whole && value.len() == whole.len() {
        // A checksum of 32 bits notices every damage of up to 32 bits in a row; others it may miss.
        let changed = value.iter().zip(&whole).filter(|(now, before)| now != before).count();
        assert!(changed > 1 || read.is_err(), "a changed byte in {whole:?} was not noticed");
    }
}

/// A row has at most 4,096 bytes; the most that one of them becomes in a text is `\u{10ffff}`.
const TEXT_BYTES_MAX: usize = 64 << 10;
