//! Any bytes as a message of a client: it is understood, or refused with a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::fuzz_message::read_message;

fuzz_target!(|bytes: &[u8]| read_message(bytes));
