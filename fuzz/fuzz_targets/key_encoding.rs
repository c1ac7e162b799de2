//! Any values as index keys: their bytes sort as they do.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_documents::key;

fuzz_target!(|bytes: &[u8]| key(bytes));
