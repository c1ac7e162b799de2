//! What `--json` prints: documents whose field names do not change.

use lockstore::{BreakRecord, HolderInfo, Instant, LockInfo, Mode, WallTime};
use serde::Serialize;

use crate::grant::Grant;
use crate::store_place::StorePlace;
use crate::times::{after, rfc3339};

/// A lock that is held.
#[derive(Debug, Serialize)]
pub(crate) struct LockReport {
    key: String,
    mode: &'static str,
    holders: Vec<HolderReport>,
}

#[derive(Debug, Serialize)]
struct HolderReport {
    holder: String,
    token: u64,
    since: String,
    /// `null` when the lock has no end, and so for the next two.
    ttl_seconds: Option<f64>,
    expires_at: Option<String>,
    remaining_seconds: Option<f64>,
}

/// A lock that was just acquired.
#[derive(Debug, Serialize)]
pub(crate) struct GrantReport {
    key: String,
    holder: String,
    token: u64,
    mode: &'static str,
    ttl_seconds: Option<f64>,
    valid_until: Option<String>,
}

/// A break of a lock, as it was recorded.
#[derive(Debug, Serialize)]
pub(crate) struct BreakReport {
    number: u64,
    at: String,
    key: String,
    holder: String,
    token: u64,
    reason: String,
}

impl LockReport {
    pub(crate) fn new(lock: &LockInfo, now: WallTime) -> Self {
        let holders = lock.holders.iter().map(|holder| HolderReport::new(holder, now)).collect();
        Self { key: lock.key.to_string(), mode: mode(lock.mode), holders }
    }
}

impl HolderReport {
    fn new(info: &HolderInfo, now: WallTime) -> Self {
        Self {
            holder: info.holder.to_string(),
            token: info.token.get(),
            since: rfc3339(info.since),
            ttl_seconds: info.ttl.map(|ttl| ttl.as_secs_f64()),
            expires_at: info.remaining.map(|left| rfc3339(after(now, left))),
            remaining_seconds: info.remaining.map(|remaining| remaining.as_secs_f64()),
        }
    }
}

impl GrantReport {
    pub(crate) fn new(grant: &Grant, place: &StorePlace) -> Self {
        let at = |until: Instant| rfc3339(after(place.wall(), until.saturating_since(place.now())));
        Self {
            key: grant.key.to_string(),
            holder: grant.holder.to_string(),
            token: grant.token.get(),
            mode: mode(grant.mode),
            ttl_seconds: grant.lease.ttl().map(|ttl| ttl.as_secs_f64()),
            valid_until: grant.valid_until.map(at),
        }
    }
}

impl From<&BreakRecord> for BreakReport {
    fn from(record: &BreakRecord) -> Self {
        Self {
            number: record.number,
            at: rfc3339(record.at),
            key: record.key.to_string(),
            holder: record.holder.to_string(),
            token: record.token.get(),
            reason: record.reason.clone(),
        }
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}
