//! The document of a lock.

use std::collections::BTreeMap;

use bson::oid::ObjectId;
use bson::{DateTime, RawDocument, Uuid};
use lockcore::{EndCause, Mode};
use serde::{Deserialize, Serialize, Serializer};

/// A lock as it stands in the collection `locks`. It is written whole, by whoever has seen the `rev` before; a lock that nobody holds keeps
/// its document for an hour.
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
    /// Those who wait, first come, first served.
    pub(crate) waiters: Vec<StoredWaiter>,
    /// What has changed last, by the `rev` of the state that it made: so each write puts one new field there, which a change stream
    /// tells whole. It stands behind the others, for MongoDB tells all fields whose place has changed.
    #[serde(serialize_with = "in_order")]
    pub(crate) log: BTreeMap<String, Page>,
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
    /// The call that waits.
    pub(crate) request: Uuid,
    pub(crate) holder: String,
    #[serde(with = "mode_name")]
    pub(crate) mode: Mode,
    #[serde(rename = "ttlMS", skip_serializing_if = "Option::is_none", default)]
    pub(crate) ttl_ms: Option<i64>,
    /// Whether it wants the lock without end. What it is handed has an end nevertheless until it has said that it has it.
    #[serde(skip_serializing_if = "is_false", default)]
    pub(crate) endless: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) session: Option<i64>,
    /// Until when it waits, unless it gives a sign of life before.
    pub(crate) until: DateTime,
}

/// What one write has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    /// Which of the lock's writes it was.
    pub(crate) write: i64,
    /// Whether nobody holds it since.
    pub(crate) is_free: bool,
    pub(crate) entries: Vec<Entry>,
}

impl Page {
    /// When the leases run out that it tells of.
    pub(super) fn ends(&self) -> impl Iterator<Item = DateTime> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            Happened::Granted { lease, .. } | Happened::Renewed { lease, .. } => {
                lease.map(|lease| lease.expires_at)
            }
            Happened::Ended { .. } | Happened::Waiting | Happened::Left { .. } => None,
        })
    }
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// The call that it was done for, or that had waited for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) request: Option<Uuid>,
    /// Whose grant it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) token: Option<i64>,
    pub(crate) what: Happened,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Happened {
    Granted {
        #[serde(with = "mode_name")]
        mode: Mode,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lease: Option<StoredLease>,
        waited: bool,
    },
    Renewed {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lease: Option<StoredLease>,
        /// Whether the holder has acquired it again.
        acquired: bool,
    },
    Ended {
        cause: Cause,
    },
    Waiting,
    Left {
        cause: Cause,
    },
}

/// Why a grant or a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Cause {
    Released,
    Expired,
    Broken,
    SessionEnded,
    TimedOut,
    Cancelled,
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
            log: BTreeMap::new(),
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

    /// Which of the waiters a call is.
    pub(crate) fn place_of(&self, request: Uuid) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.request == request)
    }

    /// What has changed last for a call.
    pub(crate) fn last_of(&self, request: Uuid) -> Option<&Entry> {
        let of_it = |page: &Page| page.entries.iter().any(|entry| entry.request == Some(request));
        let page = self.log.values().filter(|page| of_it(page)).max_by_key(|page| page.write)?;
        page.entries.iter().rev().find(|entry| entry.request == Some(request))
    }
}

/// Names a state as nobody else does: all of it is random, unlike an id by time and counter, which a forked process counts on.
pub(crate) fn new_rev() -> ObjectId {
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&Uuid::new().bytes()[..12]);
    ObjectId::from_bytes(bytes)
}

impl From<EndCause> for Cause {
    fn from(cause: EndCause) -> Self {
        match cause {
            EndCause::Released => Self::Released,
            EndCause::Expired => Self::Expired,
            EndCause::Broken => Self::Broken,
            EndCause::SessionEnded => Self::SessionEnded,
        }
    }
}

/// Pages, the latest last.
fn in_order<S: Serializer>(log: &BTreeMap<String, Page>, to: S) -> Result<S::Ok, S::Error> {
    let mut pages: Vec<_> = log.iter().collect();
    pages.sort_unstable_by_key(|(_, page)| page.write);
    to.collect_map(pages)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The mode by its name.
mod mode_name {
    use lockcore::Mode;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const EXCLUSIVE: &str = "exclusive";
    const SHARED: &str = "shared";

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn serialize<S: Serializer>(mode: &Mode, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match mode {
            Mode::Exclusive => EXCLUSIVE,
            Mode::Shared => SHARED,
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mode, D::Error> {
        match &*String::deserialize(from)? {
            EXCLUSIVE => Ok(Mode::Exclusive),
            SHARED => Ok(Mode::Shared),
            other => Err(D::Error::unknown_variant(other, &[EXCLUSIVE, SHARED])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_page_stands_last_whatever_its_name() {
        let mut lock = LockDocument::free("k");
        for (name, write) in [("b", 1), ("c", 2), ("a", 3)] {
            lock.log.insert(name.into(), Page { write, is_free: false, entries: Vec::new() });
        }
        let written = bson::serialize_to_document(&lock).unwrap();
        assert!(written.get_document("log").unwrap().keys().eq(["b", "c", "a"]));
        assert_eq!(bson::deserialize_from_document::<LockDocument>(written).unwrap(), lock);
    }
}
