//! Looking at locks without changing them.

use bson::{Bson, DateTime, Document, bson, doc};
use futures_util::TryStreamExt;
use lockcore::{Holder, Key, Wait};
use lockstore::presence::{SessionInfo, SessionOwner, SessionStanding};
use lockstore::{BreakRecord, HolderInfo, LockInfo, Stats, StoreError, WallTime};
use serde::Deserialize;

use super::attempts::Attempts;
use super::lock_document::LockDocument;
use super::look::{Look, StoredSession, concern, options, sessions};
use super::sessions::Until;
use super::standing::Standing;
use super::stored::session;
use super::{AUDIT, LOCKS, Locks, SESSIONS};
use crate::failure::Failure;
use crate::time::{Moment, instant};

/// A lock among others.
#[derive(Deserialize)]
struct Listed {
    lock: LockDocument,
    holding: Vec<StoredSession>,
    waiting: Vec<StoredSession>,
    now: DateTime,
}

/// A session among others.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedSession {
    #[serde(rename = "_id")]
    number: i64,
    until: Until,
    #[serde(default)]
    closed: bool,
    host: Box<str>,
    pid: i64,
    opened_at: DateTime,
    grants: Vec<Bound>,
    waits: i64,
    now: DateTime,
}

#[derive(Deserialize)]
struct Bound {
    #[serde(rename = "_id")]
    key: String,
}

impl Locks {
    /// Reads until there is a primary, or the patience is over.
    pub(super) async fn read<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        what: &'static str,
        read: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        Attempts::new(self, what, Wait::No).read(self, read).await
    }

    pub(crate) async fn is_held(
        &self,
        key: &Key,
        holder: Option<&Holder>,
    ) -> Result<bool, StoreError> {
        self.read("looking at a lock", || async {
            let seen = self.look_at(key.as_str(), None, self.now()).await?;
            let standing = Standing::new(&seen)?;
            let info = info(&standing, seen.moment);
            Ok(info.is_some_and(|info| {
                let is_it = |by: &HolderInfo| holder.is_none_or(|holder| by.holder == *holder);
                info.holders.iter().any(is_it)
            }))
        })
        .await
    }

    /// A lock as it is seen, when there is a primary.
    pub(crate) async fn seen(&self, key: &str) -> Result<Look, StoreError> {
        self.read("looking at a lock", || self.look_at(key, None, self.now())).await
    }

    /// Locks that a pipeline over their documents finds, when there is a primary.
    pub(crate) async fn all_seen(&self, found: Vec<Document>) -> Result<Vec<Look>, StoreError> {
        self.read("looking at locks", || self.looks(found.clone())).await
    }

    pub(crate) async fn inspect(&self, key: &Key) -> Result<Option<LockInfo>, StoreError> {
        self.read("looking at a lock", || async {
            let look = self.look_at(key.as_str(), None, self.now()).await?;
            Ok(info(&Standing::new(&look)?, look.moment))
        })
        .await
    }

    /// At most `limit` locks that are held, behind `after`.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LockInfo>, StoreError> {
        let mut found = Vec::new();
        let mut after = after.map(str::to_owned);
        while found.len() < limit {
            let wanted = (limit - found.len()).min(LISTED_MAX);
            let behind = after.as_deref();
            let page = self.read("listing locks", || self.page(prefix, behind, wanted)).await?;
            let is_last = page.len() < wanted;
            after = page.last().map(|(key, _)| key.clone());
            // One whose leases have all run out is held by nobody.
            found.extend(page.into_iter().filter_map(|(_, lock)| lock));
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// Locks that a pipeline over their documents finds.
    async fn looks(&self, mut found: Vec<Document>) -> Result<Vec<Look>, Failure> {
        let here = self.now();
        found.push(doc! { "$project": { "_id": 0, "lock": "$$ROOT", "wanted": Bson::Null } });
        found.extend(sessions());
        let listed = self.collection.aggregate(found).with_options(options(self.reads));
        let listed = listed.await.map_err(Failure::of_reading)?.with_type::<Listed>();
        let listed: Vec<Listed> = listed.try_collect().await.map_err(Failure::of_reading)?;
        let looks = listed.into_iter().map(|Listed { lock, holding, waiting, now }| {
            let moment = Moment { there: instant(now), here };
            let mut sessions = holding;
            sessions.extend(waiting);
            let key = lock.key.clone();
            Look { key, document: Some(lock), sessions, wanted_sessions: Vec::new(), moment }
        });
        Ok(looks.collect())
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Option<LockInfo>)>, Failure> {
        let mut keys = doc! { "$gte": prefix };
        if let Some(after) = after {
            keys.insert("$gt", after);
        }
        // The order of keys is that of their bytes, and so is theirs: what begins with the prefix stands together.
        if let Some(end) = behind_all(prefix) {
            keys.insert("$lt", end);
        }
        let page = self.looks(vec![
            doc! { "$match": { "_id": keys, "grants.0": { "$exists": true } } },
            doc! { "$sort": { "_id": 1 } },
            doc! { "$limit": i64::try_from(limit).unwrap_or(i64::MAX) },
        ]);
        let page = page.await?;
        let mut locks = Vec::with_capacity(page.len());
        for look in page {
            let standing = Standing::new(&look)?;
            let (key, moment) = (look.key, look.moment);
            // The store's own are not listed.
            let is_own = key.starts_with(OWN_KEYS) && !prefix.starts_with(OWN_KEYS);
            locks.push((key, info(&standing, moment).filter(|_| !is_own)));
        }
        Ok(locks)
    }

    pub(crate) async fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<BreakRecord>, StoreError> {
        self.read("reading the audit", || self.records(before, limit)).await
    }

    pub(crate) async fn list_sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        self.read("listing sessions", || self.sessions_now()).await
    }

    async fn sessions_now(&self) -> Result<Vec<SessionInfo>, Failure> {
        let bound = |field: &str, name: &str, last: Document| {
            let pipeline = [doc! { "$project": { "_id": 1 } }, last];
            doc! { "$lookup": {
                "from": LOCKS, "localField": "_id", "foreignField": field, "as": name, "pipeline": pipeline.to_vec(),
            } }
        };
        let pipeline = [
            doc! { "$match": { "$expr": { "$gt": ["$until", "$$NOW"] } } },
            doc! { "$sort": { "_id": 1 } },
            bound("grants.session", "grants", doc! { "$sort": { "_id": 1 } }),
            bound("waitingSessions", "waits", doc! { "$sort": { "_id": 1 } }),
            doc! { "$set": { "waits": { "$size": "$waits" }, "now": bson!("$$NOW") } },
        ];
        let sessions = self.database.collection::<Document>(SESSIONS);
        let listed = sessions.aggregate(pipeline).with_options(options(self.reads));
        let listed = listed.await.map_err(Failure::of_reading)?.with_type::<ListedSession>();
        let listed: Vec<ListedSession> = listed.try_collect().await.map_err(Failure::of_reading)?;
        let infos = listed.into_iter().map(|it| {
            let document_locks =
                it.grants.iter().filter(|bound| bound.key.starts_with(OWN_KEYS)).count();
            let since = WallTime::from_millis(instant(it.opened_at).millis_floor());
            let pid = u32::try_from(it.pid).unwrap_or_default();
            let owner = SessionOwner::Machine { host: it.host, pid, since };
            let mut info = SessionInfo::new(session(it.number)?, owner);
            info.locks = it.grants.len() - document_locks;
            info.document_locks = document_locks;
            info.waiters = usize::try_from(it.waits).unwrap_or(0);
            let remaining = instant(it.until).saturating_since(instant(it.now));
            info.standing = if it.closed {
                SessionStanding::Ending
            } else if remaining < self.session_ttl / 2 {
                SessionStanding::Lost { remaining }
            } else {
                SessionStanding::Connected
            };
            Ok(info)
        });
        infos.collect::<Result<_, StoreError>>().map_err(Failure::Store)
    }

    pub(crate) async fn stats(&self) -> Result<Stats, StoreError> {
        self.read("counting", || self.counted()).await
    }

    async fn counted(&self) -> Result<Stats, Failure> {
        let mut stats = Stats::default();
        let (user_keys, own_keys) = (
            doc! { "$not": { "$gte": OWN_KEYS, "$lt": behind_all(OWN_KEYS) } },
            doc! { "$gte": OWN_KEYS, "$lt": behind_all(OWN_KEYS) },
        );
        let held = |keys: Document| {
            let standing = doc! { "$or": [
                { "grants": { "$elemMatch": { "lease": { "$exists": false } } } },
                { "$expr": { "$gt": [{ "$max": "$grants.lease.expiresAt" }, "$$NOW"] } },
            ] };
            doc! { "_id": keys, "grants.0": { "$exists": true }, "$and": [standing] }
        };
        let count = async |collection: &str, filter: Document| {
            let collection = self.database.collection::<Document>(collection);
            let counted = collection.count_documents(filter);
            counted.read_concern(concern(self.reads)).await.map_err(Failure::of_reading)
        };
        let locks = count(LOCKS, held(user_keys)).await?;
        stats.locks = usize::try_from(locks).unwrap_or(usize::MAX);
        let document_locks = count(LOCKS, held(own_keys)).await?;
        stats.document_locks = usize::try_from(document_locks).unwrap_or(usize::MAX);
        let living = doc! { "closed": false, "$expr": { "$gt": ["$until", "$$NOW"] } };
        stats.sessions = usize::try_from(count(SESSIONS, living).await?).unwrap_or(usize::MAX);
        stats.audit_records = count(AUDIT, doc! {}).await?;
        let waiters = [
            doc! { "$match": { "waiters": { "$gt": {} } } },
            doc! { "$group": { "_id": Bson::Null, "n": { "$sum": { "$size": { "$objectToArray": "$waiters" } } } } },
        ];
        let waiters = self.collection.aggregate(waiters).with_options(options(self.reads));
        let mut waiters = waiters.await.map_err(Failure::of_reading)?;
        if let Some(sum) = waiters.try_next().await.map_err(Failure::of_reading)? {
            let sum = sum.get_i32("n").ok().and_then(|n| usize::try_from(n).ok());
            stats.waiters = sum.unwrap_or(0);
        }
        Ok(stats)
    }
}

/// A lock as it is shown, if it is held.
pub(super) fn info(standing: &Standing, moment: Moment) -> Option<LockInfo> {
    let lock = standing.lock()?;
    // What is handed on by now is told when it is written.
    let written = lock.grants().filter(|grant| standing.new_grant(grant.token).is_none());
    let holders: Vec<HolderInfo> = written
        .map(|grant| HolderInfo {
            holder: grant.holder.clone(),
            token: grant.token,
            session: grant.session,
            since: lockstore::WallTime::from_millis(grant.stamp),
            ttl: grant.lease.map(|lease| lease.ttl.as_duration()),
            expires_at: grant.lease.map(|lease| moment.here_at(lease.expires_at)),
            remaining: grant.lease.map(|lease| moment.until(lease.expires_at)),
        })
        .collect();
    let (key, mode, waiters) = (lock.key().clone(), lock.mode(), lock.waiters());
    (!holders.is_empty()).then_some(LockInfo { key, mode, waiters, holders })
}

/// What comes right behind all that begins with `prefix`, in the order of bytes; `None` if nothing does.
pub(crate) fn behind_all(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// What the keys of document locks begin with.
pub(crate) const OWN_KEYS: &str = "\0document/";
/// How many locks are listed in one round trip.
const LISTED_MAX: usize = 1_000;
