//! Waiting in tests: for what must come, and never for a time to pass.

use std::thread;
use std::time::{Duration, Instant};

use lockstore::TransactionOptions;

/// Longer than anything here takes on the slowest machine: only what hangs reaches it.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Options of a transaction that lives for as long as its test, and is run again until it meets no conflict.
pub fn patient() -> TransactionOptions {
    TransactionOptions::new().attempts_max(u32::MAX).lifetime(Duration::from_secs(3_600))
}

/// Waits until `holds`, and fails when it does not come.
///
/// # Panics
///
/// When [`PATIENCE`] is over.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
