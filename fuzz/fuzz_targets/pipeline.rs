//! Any stages, projection and sort on any documents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_documents::pipeline;

fuzz_target!(|bytes: &[u8]| pipeline(bytes));
