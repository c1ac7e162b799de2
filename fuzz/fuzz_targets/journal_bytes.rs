//! Any journal beside a good store: it is refused with an error that names it, or the store has what was committed, up to some
//! commit and none in part. As in `open_bytes`, panics of redb are let pass.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstore_tests::journal_bytes::journal_bytes;
use lockstore_tests::open_bytes::let_redb_panic;

fuzz_target!(init: let_redb_panic(), |bytes: &[u8]| journal_bytes(bytes));
