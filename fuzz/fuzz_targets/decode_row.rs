//! Any row, sound or damaged, to the reader of records: it reads it or says what is wrong with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::decode_row::decode_row;

fuzz_target!(|bytes: &[u8]| decode_row(bytes));
