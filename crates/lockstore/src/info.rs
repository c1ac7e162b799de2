//! What the store tells about locks and about itself.

use std::time::Duration;

use lockcore::{Holder, Instant, Key, Lock, Mode, SessionId, Token};
use serde::Serialize;

use crate::clock::{Clock, WallTime};
use crate::error::HeldBy;

/// A lock that is held, as of the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockInfo {
    /// What is locked.
    pub key: Key,
    /// The mode in which it is held.
    pub mode: Mode,
    /// How many callers wait to acquire it.
    pub waiters: u32,
    /// Who holds it: one if exclusive, in the order of holders if shared.
    pub holders: Vec<HolderInfo>,
}

/// One holder of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderInfo {
    /// Who holds.
    pub holder: Holder,
    /// The fencing token.
    pub token: Token,
    /// The session that the grant ends with.
    pub session: Option<SessionId>,
    /// When it was granted, by the wall clock of that moment.
    pub since: WallTime,
    /// How long its lease was granted for; `None` when it has no end.
    pub ttl: Option<Duration>,
    /// When its lease runs out, by the store's clock.
    pub expires_at: Option<Instant>,
    /// How long that is from now; zero when its expiry is due but not committed yet.
    pub remaining: Option<Duration>,
}

/// A break of a lock, as it was recorded in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakRecord {
    /// The number of the record; rises.
    pub number: u64,
    /// The lock.
    pub key: Key,
    /// Whose grant was broken.
    pub holder: Holder,
    /// The grant's token.
    pub token: Token,
    /// Why, in the words of who did it.
    pub reason: String,
    /// When, by the wall clock.
    pub at: WallTime,
}

/// Figures of an open store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Locks held, those of documents not counted.
    pub locks: usize,
    /// Documents locked by this library. Those that an update has locked are not counted.
    pub document_locks: usize,
    /// Callers that wait, for locks and for documents.
    pub waiters: usize,
    /// Sessions.
    pub sessions: usize,
    /// Client sessions in which something was written, and that have not ended.
    pub client_sessions: usize,
    /// Commits since the store was opened.
    pub commits: u64,
    /// Requests served since the store was opened. Divided by `commits` it tells how many shared one.
    pub requests: u64,
    /// The largest batch since the store was opened.
    pub batch_max: usize,
    /// The length of the file, in bytes.
    pub file_bytes: u64,
    /// How much of the file is cached in memory, in bytes.
    pub cached_bytes: usize,
    /// Audit records kept.
    pub audit_records: u64,
    /// Collections.
    pub collections: usize,
    /// Indexes of all collections, those on `_id` and those that are being built included.
    pub indexes: usize,
    /// Documents, those of dropped collections included that are not cleared away yet.
    pub documents: u64,
    /// Entries of all indexes, those of dropped indexes included that are not cleared away yet.
    pub index_entries: u64,
}

impl LockInfo {
    pub(crate) fn new(lock: &Lock, clock: &dyn Clock) -> Self {
        let now = clock.now();
        Self {
            key: lock.key().clone(),
            mode: lock.mode(),
            waiters: lock.waiters(),
            holders: lock
                .grants()
                .map(|grant| HolderInfo {
                    holder: grant.holder.clone(),
                    token: grant.token,
                    session: grant.session,
                    since: WallTime::from_millis(grant.stamp),
                    ttl: grant.lease.map(|lease| lease.ttl.as_duration()),
                    expires_at: grant.lease.map(|lease| lease.expires_at),
                    remaining: grant.lease.map(|lease| lease.expires_at.saturating_since(now)),
                })
                .collect(),
        }
    }
}

impl HeldBy {
    pub(crate) fn new(held: lockcore::HeldBy, now: Instant) -> Self {
        let lockcore::HeldBy { mode, holder, token, expires_at } = held;
        let remaining = expires_at.map(|expires_at| expires_at.saturating_since(now));
        Self { mode, holder, token, remaining }
    }
}
