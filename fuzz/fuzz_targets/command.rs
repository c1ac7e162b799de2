//! Any commands on a store with a few documents and indexes: each has a reply, and the store stays sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_commands::command;

fuzz_target!(|bytes: &[u8]| command(bytes));
