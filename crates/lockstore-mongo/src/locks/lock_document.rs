//! The document of a lock.

use bson::oid::ObjectId;
use bson::{DateTime, RawDocument, Uuid};
use lockcore::Mode;
use serde::{Deserialize, Serialize};

use super::log::{Entry, Log};

/// A lock as it stands in the collection `locks`. It is written by whoever has seen the `rev` before; a lock that nobody holds
/// keeps its document for an hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockDocument {
    /// The key.
    #[serde(rename = "_id")]
    pub(crate) key: String,
    /// Which state this is: drawn anew for each.
    pub(crate) rev: ObjectId,
    /// Of all its grants.
    #[serde(with = "mode_name")]
    pub(crate) mode: Mode,
    pub(crate) grants: Vec<StoredGrant>,
    /// Those who wait, first come, first served; in the document by their numbers, so that each can be put there and taken out alone.
    #[serde(with = "in_line")]
    pub(crate) waiters: Vec<StoredWaiter>,
    /// The sessions that they are bound to.
    #[serde(default)]
    pub(crate) waiting_sessions: Vec<i64>,
    /// What has changed last.
    #[serde(default)]
    pub(crate) log: Log,
    /// How often it was written.
    pub(crate) writes: i64,
    /// The highest token that it was ever granted with.
    #[serde(default)]
    pub(crate) last: i64,
    /// When the first of its leases runs out, if any does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) due: Option<DateTime>,
    /// Since when nobody has held it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) freed_at: Option<DateTime>,
}

/// The field that a guarded write sets, to make sure that nobody else changes the lock.
pub(crate) const TOUCHED: &str = "touched";

/// One holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredGrant {
    pub(crate) holder: String,
    pub(crate) token: i64,
    /// The call that it was granted to.
    pub(crate) request: Uuid,
    pub(crate) since: DateTime,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) lease: Option<StoredLease>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) session: Option<i64>,
    /// Whether another call of the holder has joined it.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(crate) joined: bool,
    /// Of the lock of a document, what that has as its `lock_time`: when it is locked by the same name later, that is another lock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) lock_time: Option<DateTime>,
}

impl StoredGrant {
    /// Whether a document is locked by this grant.
    pub(crate) fn has_locked(&self, document: &RawDocument) -> bool {
        let since = document.get_datetime("lock_time").ok();
        document.get_str("lock_id").is_ok_and(|lock_id| lock_id == self.holder)
            && (self.lock_time.is_none() || self.lock_time == since)
    }
}

/// A lease.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredLease {
    #[serde(rename = "ttlMS")]
    pub(crate) ttl_ms: i64,
    #[serde(rename = "expiresAt")]
    pub(crate) expires_at: DateTime,
}

/// One who waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredWaiter {
    /// Later ones have greater numbers.
    #[serde(skip)]
    pub(crate) number: u64,
    /// The call that waits.
    pub(crate) request: Uuid,
    pub(crate) holder: String,
    #[serde(with = "mode_name")]
    pub(crate) mode: Mode,
    #[serde(rename = "ttlMS", skip_serializing_if = "Option::is_none", default)]
    pub(crate) ttl_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) session: Option<i64>,
    /// Until when it waits, unless it gives a sign of life before.
    pub(crate) until: DateTime,
}

impl StoredWaiter {
    /// Its field among those who wait: of the same length for all, in the order of their numbers.
    pub(super) fn name(&self) -> String {
        format!("{:016x}", self.number)
    }
}

impl LockDocument {
    /// A lock that nobody has held so far.
    pub(crate) fn free(key: &str) -> Self {
        Self {
            key: key.into(),
            rev: new_rev(),
            mode: Mode::Exclusive,
            grants: Vec::new(),
            waiters: Vec::new(),
            waiting_sessions: Vec::new(),
            log: Log::default(),
            writes: 0,
            last: 0,
            due: None,
            freed_at: None,
        }
    }

    /// The grant of `holder`.
    pub(crate) fn grant_of(&mut self, holder: &str) -> Option<&mut StoredGrant> {
        self.grants.iter_mut().find(|grant| grant.holder == holder)
    }

    /// The grant that a call was given.
    pub(crate) fn granted_to(&self, request: Uuid) -> Option<&StoredGrant> {
        self.grants.iter().find(|grant| grant.request == request)
    }

    /// What has changed last for a call.
    pub(crate) fn last_of(&self, request: Uuid) -> Option<&Entry> {
        self.log.last_of(request)
    }

    /// Which of the waiters a call is.
    pub(crate) fn place_of(&self, request: Uuid) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.request == request)
    }
}

/// Names a state as nobody else does: all of it is random, unlike an id by time and counter, which a forked process counts on.
pub(crate) fn new_rev() -> ObjectId {
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&Uuid::new().bytes()[..12]);
    ObjectId::from_bytes(bytes)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The mode by its name.
pub(super) mod mode_name {
    use lockcore::Mode;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const EXCLUSIVE: &str = "exclusive";
    const SHARED: &str = "shared";

    pub(in crate::locks) fn of(mode: Mode) -> &'static str {
        match mode {
            Mode::Exclusive => EXCLUSIVE,
            Mode::Shared => SHARED,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(in crate::locks) fn serialize<S: Serializer>(
        mode: &Mode,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(of(*mode))
    }

    pub(in crate::locks) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Mode, D::Error> {
        match &*String::deserialize(from)? {
            EXCLUSIVE => Ok(Mode::Exclusive),
            SHARED => Ok(Mode::Shared),
            other => Err(D::Error::unknown_variant(other, &[EXCLUSIVE, SHARED])),
        }
    }
}

/// Those who wait by their numbers.
mod in_line {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::StoredWaiter;

    pub(super) fn serialize<S: Serializer>(
        waiters: &[StoredWaiter],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(waiters.iter().map(|waiter| (waiter.name(), waiter)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<StoredWaiter>, D::Error> {
        // In the document they stand as they were put there, and not in their order.
        let by_name = BTreeMap::<String, StoredWaiter>::deserialize(from)?;
        let numbered = by_name.into_iter().map(|(name, waiter)| {
            let number = u64::from_str_radix(&name, 16).map_err(D::Error::custom)?;
            Ok(StoredWaiter { number, ..waiter })
        });
        numbered.collect()
    }
}
