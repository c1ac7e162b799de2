//! What waits in a session.

use std::sync::atomic::{AtomicBool, Ordering};

/// Held by all that waits in a session, so that it is not taken for one that nobody uses.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// Whether the session has ended.
    forgotten: AtomicBool,
}

impl Waits {
    /// What the waits come to is remembered no more.
    pub(super) fn forget(&self) {
        self.forgotten.store(true, Ordering::Release);
    }

    pub(super) fn are_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Acquire)
    }
}
