//! What stands in documents, as lockcore has it, and the other way round.

use lockcore::{Grant, Holder, Key, Lease, SessionId, Token, Ttl, Wait, Waiter, WaiterId, Want};
use lockstore::StoreError;

use super::lock_document::{StoredGrant, StoredLease, StoredWaiter};
use crate::failure::damaged;
use crate::time::{date, instant};

impl From<Lease> for StoredLease {
    fn from(lease: Lease) -> Self {
        Self { ttl_ms: millis(lease.ttl), expires_at: date(lease.expires_at) }
    }
}

impl StoredLease {
    /// As the table has it.
    pub(crate) fn lease(&self) -> Result<Lease, StoreError> {
        Ok(Lease { ttl: stored_ttl(self.ttl_ms)?, expires_at: instant(self.expires_at) })
    }
}

/// A grant, for the table.
pub(super) fn grant(stored: &StoredGrant) -> Result<Grant, StoreError> {
    let stamp = instant(stored.since).millis_floor();
    let session = stored.session.map(session).transpose()?;
    let (holder, token) = (holder(&stored.holder)?, token(stored.token)?);
    let lease = stored.lease.map(|lease| lease.lease()).transpose()?;
    Ok(Grant::new(holder, token, session, stamp, lease))
}

/// One who waits, for the table, which numbers it.
pub(super) fn waiter(id: WaiterId, stored: &StoredWaiter) -> Result<Waiter, StoreError> {
    let want = Want::Grant {
        holder: holder(&stored.holder)?,
        mode: stored.mode,
        ttl: stored.ttl_ms.map(stored_ttl).transpose()?,
    };
    let session = stored.session.map(session).transpose()?;
    Ok(Waiter { id, session, wait: Wait::Until(instant(stored.until)), want })
}

/// A key as it stands in a document.
pub(crate) fn key(name: &str) -> Result<Key, StoreError> {
    Key::new(name).map_err(damaged)
}

/// A holder as it stands in a document.
pub(crate) fn holder(name: &str) -> Result<Holder, StoreError> {
    Holder::new(name).map_err(damaged)
}

/// A token as it stands in a document.
pub(crate) fn token(number: i64) -> Result<Token, StoreError> {
    let token = u64::try_from(number).ok().and_then(Token::new);
    token.ok_or_else(|| damaged(format_args!("{number} is no token")))
}

/// A session as it stands in a document.
pub(crate) fn session(number: i64) -> Result<SessionId, StoreError> {
    let session = u64::try_from(number).ok().and_then(SessionId::new);
    session.ok_or_else(|| damaged(format_args!("{number} is no session")))
}

/// A TTL as it stands in a document.
pub(crate) fn stored_ttl(millis: i64) -> Result<Ttl, StoreError> {
    let ttl = u64::try_from(millis).ok().and_then(|millis| Ttl::from_millis(millis).ok());
    ttl.ok_or_else(|| damaged(format_args!("{millis} ms is no TTL")))
}

/// A token as it is stored. None is beyond what a long holds: they are counted by one.
pub(crate) fn number(token: Token) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

/// A session as it is stored.
pub(crate) fn number_of(session: SessionId) -> i64 {
    i64::try_from(session.get()).unwrap_or(i64::MAX)
}

/// A TTL as it is stored.
pub(super) fn millis(ttl: Ttl) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}
