//! What writes rely on.
//!
//! A grant is relied on by *touching* the document of its lock in the transaction of the write: that is a change, so whoever changes the lock
//! meanwhile and this transaction cannot both be committed, which reading would allow. A grant that is bound to a session is there as long as that
//! lives; what ends with it ends by a change of the lock, so the session is read. Of a document's lock, the document is read as well: whoever locks
//! by plain updates knows of no fences, and is not held up.

use bson::oid::ObjectId;
use bson::{DateTime, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use lockcore::{Holder, Mode, Token};
use lockstore::remote::serving;
use lockstore::{Fence, HeldBy};
use mongodb::ClientSession;
use std::time::Duration;

use super::Documents;
use super::body::{has_succeeded, number};
use super::fenced::Failed;
use crate::document_locks::{finding_locked, first_of};
use crate::locks::{LOCKS, SESSIONS};

impl Documents {
    /// Checks within a transaction that grants are there, and makes them stay until its commit.
    pub(crate) async fn touch(
        &self,
        fences: &[Fence],
        session: &mut ClientSession,
    ) -> Result<(), Failed> {
        for fence in fences {
            let conflict = match self.touch_one(fence, session).await {
                Ok(true) => {
                    self.check_document(fence, session).await?;
                    continue;
                }
                // The transaction began before the grant or the last sign of life of its session, or after its end.
                Ok(false) => Failed::conflict("the lock has changed"),
                Err(failed) if failed.transient().is_some() => failed,
                Err(failed) => return Err(failed),
            };
            return Err(match self.look_at(fence).await? {
                Found::There => conflict,
                Found::Gone(now_held_by) => {
                    let lost = serving::lock_lost(fence, now_held_by);
                    Failed::Reply(serving::failed_in_transaction(&lost))
                }
            });
        }
        Ok(())
    }

    /// Whether a grant is there, as the transaction sees it.
    async fn touch_one(&self, fence: &Fence, session: &mut ClientSession) -> Result<bool, Failed> {
        let database = &self.options.database;
        let touched = self.run_in(session, database, &touching(fence)).await?;
        let Ok(lock) = touched.get_document("value") else { return Ok(false) };
        let Some(bound_to) = session_of(lock, fence) else { return Ok(true) };
        let found = self.run_in(session, database, &finding_alive(bound_to)).await?;
        Ok(first_of(&found).is_some())
    }

    /// The grant of a document's lock counts only while the document is locked by it.
    async fn check_document(
        &self,
        fence: &Fence,
        session: &mut ClientSession,
    ) -> Result<(), Failed> {
        let (key, holder) = (fence.key().as_str(), fence.holder().as_str());
        let Some((database, command)) = finding_locked(key, holder) else { return Ok(()) };
        let found = self.run_in(session, &database, &command).await?;
        if first_of(&found).is_some() {
            return Ok(());
        }
        let lost = serving::lock_lost(fence, None);
        Err(Failed::Reply(serving::failed_in_transaction(&lost)))
    }

    /// Looks at a grant as it is now, outside of the transaction that relies on it.
    async fn look_at(&self, fence: &Fence) -> Result<Found, Failed> {
        let seen = self.run_raw(&self.options.database, looking(fence), None).await;
        let seen = seen.map_err(|error| self.failed(&error))?;
        if !has_succeeded(&seen) {
            return Err(Failed::Reply(seen));
        }
        let grants = grants(&seen).unwrap_or_default();
        let is_it = |by: &HeldBy| by.holder == *fence.holder() && by.token == fence.token();
        Ok(if grants.iter().any(is_it) {
            Found::There
        } else {
            Found::Gone(grants.into_iter().next())
        })
    }
}

/// What has become of a grant.
enum Found {
    There,
    /// Who holds the lock now; of several, the first.
    Gone(Option<HeldBy>),
}

/// Sets `touched` in the lock's document, if the grant is in it, and not over by the primary's time.
fn touching(fence: &Fence) -> RawDocumentBuf {
    let (key, holder, token) = (fence.key().as_str(), fence.holder().as_str(), token(fence));
    let is_it = rawdoc! { "$and": [
        { "$eq": ["$$grant.token", token] },
        { "$eq": ["$$grant.holder", { "$literal": holder }] },
        { "$or": [
            { "$eq": [{ "$type": "$$grant.lease.expiresAt" }, "missing"] },
            { "$gt": ["$$grant.lease.expiresAt", "$$NOW"] },
        ] },
    ] };
    let is_there = rawdoc! { "$anyElementTrue": {
        "$map": { "input": "$grants", "as": "grant", "in": is_it },
    } };
    rawdoc! {
        "findAndModify": LOCKS,
        "query": { "_id": key, "$expr": is_there },
        "update": { "$set": { "touched": ObjectId::new() } },
        "fields": { "grants.holder": 1, "grants.session": 1 },
    }
}

/// The session that a grant is bound to, if it is to any.
fn session_of(lock: &RawDocument, fence: &Fence) -> Option<i64> {
    let grants = lock.get_array("grants").ok()?.into_iter().flatten();
    let mut grants = grants.filter_map(RawBsonRef::as_document);
    let holder = fence.holder().as_str();
    let it = grants.find(|grant| grant.get_str("holder").is_ok_and(|name| name == holder))?;
    number(it, "session")
}

/// Finds a session while it lives.
fn finding_alive(session: i64) -> RawDocumentBuf {
    rawdoc! {
        "find": SESSIONS,
        "filter": { "_id": session, "closed": false, "$expr": { "$gt": ["$until", "$$NOW"] } },
        "limit": 1,
        "singleBatch": true,
        "projection": { "_id": 1 },
    }
}

/// Who holds the lock, which of their sessions live, and what time it is.
fn looking(fence: &Fence) -> RawDocumentBuf {
    let key = fence.key().as_str();
    rawdoc! {
        "aggregate": LOCKS,
        "pipeline": [
            { "$match": { "_id": key } },
            { "$lookup": {
                "from": SESSIONS,
                "localField": "grants.session",
                "foreignField": "_id",
                "pipeline": [{ "$match": { "closed": false, "$expr": { "$gt": ["$until", "$$NOW"] } } }],
                "as": "alive",
            } },
            { "$project": { "mode": 1, "grants": 1, "alive._id": 1, "now": "$$NOW" } },
        ],
        "cursor": {},
        "readConcern": { "level": "majority" },
    }
}

/// The grants of a lock that was looked at which are not over.
fn grants(seen: &RawDocument) -> Option<Vec<HeldBy>> {
    let batch = seen.get_document("cursor").ok()?.get_array("firstBatch").ok()?;
    let lock = batch.into_iter().next()?.ok()?.as_document()?;
    let now = lock.get_datetime("now").ok()?;
    let mode = match lock.get_str("mode").ok()? {
        "shared" => Mode::Shared,
        _ => Mode::Exclusive,
    };
    let alive = lock.get_array("alive").ok()?.into_iter().flatten();
    let alive: Vec<i64> =
        alive.filter_map(|session| number(session.as_document()?, "_id")).collect();
    let lives = |grant: &&RawDocument| {
        number(grant, "session").is_none_or(|session| alive.contains(&session))
    };
    let grants = lock.get_array("grants").ok()?.into_iter().flatten();
    let grants = grants.filter_map(RawBsonRef::as_document).filter(lives);
    Some(grants.filter_map(|grant| held_by(grant, mode, now)).collect())
}

fn held_by(grant: &RawDocument, mode: Mode, now: DateTime) -> Option<HeldBy> {
    let lease = grant.get_document("lease").ok();
    let remaining = match lease.and_then(|lease| lease.get_datetime("expiresAt").ok()) {
        Some(expires_at) => Some(left(expires_at, now)?),
        None => None,
    };
    let token = u64::try_from(number(grant, "token")?).ok().and_then(Token::new)?;
    let holder = Holder::new(grant.get_str("holder").ok()?).ok()?;
    Some(HeldBy { mode, holder, token, remaining })
}

/// How long it is until then, if it is not over.
fn left(until: DateTime, now: DateTime) -> Option<Duration> {
    let millis = until.timestamp_millis() - now.timestamp_millis();
    u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis)
}

fn token(fence: &Fence) -> i64 {
    fence.token().get().cast_signed()
}
