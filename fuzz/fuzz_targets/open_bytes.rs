//! Any file to the opening of a store: it is refused with an error, or it is a store that can be used.
//!
//! libFuzzer ends the process at every panic, and redb panics on some damaged files, which lockstore makes
//! errors of. So only panics of redb are let pass; one of ours still ends the process, caught or not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::open_bytes::{let_redb_panic, open_bytes};

fuzz_target!(init: let_redb_panic(), |bytes: &[u8]| open_bytes(bytes));
