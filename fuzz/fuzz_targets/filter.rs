//! Any filter on any document: it matches or does not, and its negation says the opposite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_documents::filter;

fuzz_target!(|bytes: &[u8]| filter(bytes));
