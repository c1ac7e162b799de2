//! Any commands to a table of locks: it must do what the model does, and keep its invariants.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_testkit::commands::Case;

fuzz_target!(|bytes: &[u8]| {
    Case::from_bytes(bytes).run();
});
