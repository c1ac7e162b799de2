//! Who holds a lock, in words.

use std::time::Duration;

use lockstore::{HeldBy, HolderInfo, LockInfo, Token};

use crate::times::rough;

/// As in: it is held by "ada" with token 7, for 59s yet.
pub(crate) fn by(held: &HeldBy) -> String {
    told(&held.holder, held.token, held.remaining)
}

/// The same of several holders, or of as many as people want to read.
pub(crate) fn by_all(lock: &LockInfo) -> String {
    let one = |h: &HolderInfo| told(&h.holder, h.token, h.remaining);
    let named: Vec<_> = lock.holders.iter().take(NAMED_MAX).map(one).collect();
    match lock.holders.len().saturating_sub(NAMED_MAX) {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

fn told(holder: &str, token: Token, remaining: Option<Duration>) -> String {
    let left = match remaining {
        Some(left) => format!("for {} yet", rough(left)),
        None => "without end".to_owned(),
    };
    format!("by {holder:?} with token {token}, {left}")
}

const NAMED_MAX: usize = 3;
