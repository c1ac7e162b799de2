//! What has changed last of a lock.

use std::collections::BTreeMap;

use bson::oid::ObjectId;
use bson::{DateTime, Uuid};
use lockcore::{EndCause, Mode};
use serde::{Deserialize, Serialize};

use super::lock_document::{StoredLease, mode_name};

/// The last writes of a lock, by the `rev` of the state that each made: so each write puts one new field there, which a change stream tells whole; and so
/// can be told what has become of a call whose reply was lost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Log(BTreeMap<String, Page>);

impl Log {
    /// Adds what a write has changed. The oldest pages are dropped: behind [`PAGES_MAX`], or where they have too many bytes.
    pub(super) fn add(&mut self, rev: ObjectId, page: Page) {
        self.0.insert(rev.to_hex(), page);
        let mut newest: Vec<(i64, String, usize)> =
            self.0.iter().map(|(rev, page)| (page.write, rev.clone(), page.bytes())).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        let (mut bytes, mut kept) = (0, 0_i64);
        for (_, rev, size) in newest {
            bytes += size;
            kept += 1;
            // The newest tells who waits what has become of them.
            if kept > PAGES_MAX || (kept > 1 && bytes > BYTES_MAX) {
                self.0.remove(&rev);
            }
        }
    }

    /// What has changed last for a call.
    pub(super) fn last_of(&self, request: Uuid) -> Option<&Entry> {
        let of_it = |page: &Page| page.entries.iter().any(|entry| entry.request == Some(request));
        let page = self.0.values().filter(|page| of_it(page)).max_by_key(|page| page.write)?;
        page.entries.iter().rev().find(|entry| entry.request == Some(request))
    }

    /// The page of a write.
    pub(super) fn page(&self, rev: ObjectId) -> Option<&Page> {
        self.0.get(&rev.to_hex())
    }

    /// The fields that are not in `other`.
    pub(super) fn gone_in<'l>(&'l self, other: &'l Self) -> impl Iterator<Item = &'l str> {
        self.0.keys().filter(|rev| !other.0.contains_key(*rev)).map(String::as_str)
    }
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
    /// How many bytes it has, about.
    fn bytes(&self) -> usize {
        let names = self.entries.iter().map(|entry| entry.holder.as_deref().map_or(0, str::len));
        names.map(|name| name + ENTRY_BYTES).sum()
    }

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

/// How many writes a lock remembers.
const PAGES_MAX: i64 = 32;

/// The same where nobody waits for it: each page that is kept is carried along by every write. A call whose reply was lost for longer than that ends as
/// `OutcomeUnknown`.
pub(super) const PAGES_AT_ONCE: i64 = 8;

/// How many bytes it remembers, beside the last write.
const BYTES_MAX: usize = 1024 * 1024;

/// How many bytes an entry has beside a name, about.
const ENTRY_BYTES: usize = 192;
