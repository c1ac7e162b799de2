//! Any update on any document: what comes out is a document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_documents::update;

fuzz_target!(|bytes: &[u8]| update(bytes));
