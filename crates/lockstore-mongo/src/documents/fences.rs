//! What writes rely on.
//!
//! A grant that a transaction relies on is [held](super::hold) while that is committed. What is looked at and changed for that, to no effect, is
//! here: the document of the lock, the session that the grant is bound to, and if it is the lock of a document, that document.

use bson::oid::ObjectId;
use bson::{DateTime, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::Fence;
use lockstore::remote::serving;
use mongodb::ClientSession;

use super::Documents;
use super::body::number;
use super::lock_transitions::Stands;
use super::within::Failed;
use crate::document_locks::{Locked, first_of};
use crate::locks::{LOCKS, SESSIONS};

/// Whether a grant can be relied on, as a transaction sees it.
pub(super) enum Checked {
    There,
    /// There is no such grant, or its session is over.
    Gone,
    /// The document of its lock is not locked by it.
    Unlocked,
    /// Somebody is changing that document: perhaps the transaction that relies on it.
    Busy(Failed),
}

/// What becomes of the document of a document's lock.
#[derive(Clone, Copy)]
pub(super) enum Document {
    /// It is changed, in a transaction that is never committed.
    Change,
    Read,
}

impl Documents {
    /// Checks a grant within a transaction, and changes the document of its lock to no effect: so nobody can end it before the transaction is over.
    pub(super) async fn check(
        &self,
        session: &mut ClientSession,
        fence: &Fence,
        document: Document,
    ) -> Result<Checked, Failed> {
        let found = self.run_in(session, &self.options.database, &touching(fence)).await?;
        let lock = found.get_document("value").ok();
        let Some(grant) = lock.and_then(|lock| grant(lock, fence)) else {
            return Ok(Checked::Gone);
        };
        if let Some(number) = number(grant, "session") {
            let living = self.run_in(session, &self.options.database, &living(number)).await?;
            if first_of(&living).is_none() {
                return Ok(Checked::Gone);
            }
        }
        let (key, holder) = (fence.key().as_str(), fence.holder().as_str());
        let Some(locked) = Locked::of(key, holder, lock_time(grant)) else {
            return Ok(Checked::There);
        };
        let is_locked = match document {
            Document::Read => {
                let found = self.run_in(session, locked.database(), &locked.find()).await?;
                first_of(&found).is_some()
            }
            Document::Change => {
                match self.run_in(session, locked.database(), &locked.unlock()).await {
                    Ok(changed) => number(&changed, "n") == Some(1),
                    Err(failed @ Failed::Reply(_)) if failed.transient().is_some() => {
                        return Ok(Checked::Busy(failed));
                    }
                    Err(failed) => return Err(failed),
                }
            }
        };
        Ok(if is_locked { Checked::There } else { Checked::Unlocked })
    }

    /// Checks a grant within the very transaction that relies on it, because that changes the lock too.
    pub(super) async fn touch(
        &self,
        session: &mut ClientSession,
        fence: &Fence,
    ) -> Result<(), Failed> {
        self.touch_document(session, fence).await?;
        match self.check(session, fence, Document::Read).await? {
            Checked::There => Ok(()),
            Checked::Unlocked => Err(lost(fence, None)),
            Checked::Gone => Err(self.gone(fence).await?),
            Checked::Busy(failed) => Err(failed),
        }
    }

    /// Has a transaction change the document of a document's lock, and change it back: it is a conflict if anybody else has changed it since the
    /// transaction began.
    pub(super) async fn touch_document(
        &self,
        session: &mut ClientSession,
        fence: &Fence,
    ) -> Result<(), Failed> {
        let (key, holder) = (fence.key().as_str(), fence.holder().as_str());
        let Some(locked) = Locked::of(key, holder, None) else { return Ok(()) };
        self.run_in(session, locked.database(), &locked.touch()).await.map(drop)
    }

    /// Makes sure that a transaction began under the grants that it relies on: what it has read since nobody else has changed.
    pub(super) async fn check_beginning(
        &self,
        session: &mut ClientSession,
        fences: &[Fence],
    ) -> Result<(), Failed> {
        for fence in fences {
            let found = self.run_in(session, &self.options.database, &looking(fence)).await?;
            if first_of(&found).and_then(|lock| grant(&lock, fence).map(drop)).is_none() {
                return Err(self.gone(fence).await?);
            }
        }
        Ok(())
    }

    /// What it means that a transaction does not see a grant.
    pub(super) async fn gone(&self, fence: &Fence) -> Result<Failed, Failed> {
        Ok(match self.locks.stands(fence).await.map_err(Failed::Store)? {
            Stands::There => Failed::conflict("the lock has changed"),
            Stands::Gone(now_held_by) => lost(fence, now_held_by.map(|by| *by)),
        })
    }
}

/// The reply of what relies on a grant that is over.
pub(super) fn lost(fence: &Fence, now_held_by: Option<lockstore::HeldBy>) -> Failed {
    Failed::Reply(serving::failed_in_transaction(&serving::lock_lost(fence, now_held_by)))
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
        "fields": { "grants": 1 },
    }
}

/// Finds the grants of the lock.
fn looking(fence: &Fence) -> RawDocumentBuf {
    rawdoc! {
        "find": LOCKS,
        "filter": { "_id": fence.key().as_str() },
        "projection": { "grants": 1 },
        "limit": 1,
        "singleBatch": true,
    }
}

/// Finds a session if it lives.
fn living(session: i64) -> RawDocumentBuf {
    rawdoc! {
        "find": SESSIONS,
        "filter": { "_id": session, "closed": false, "$expr": { "$gt": ["$until", "$$NOW"] } },
        "projection": { "_id": 1 },
        "limit": 1,
        "singleBatch": true,
    }
}

/// The grant of a lock.
fn grant<'l>(lock: &'l RawDocument, fence: &Fence) -> Option<&'l RawDocument> {
    let grants = lock.get_array("grants").ok()?.into_iter().flatten();
    let mut grants = grants.filter_map(bson::RawBsonRef::as_document);
    grants.find(|grant| {
        number(grant, "token") == Some(token(fence))
            && grant.get_str("holder").is_ok_and(|it| it == fence.holder().as_str())
    })
}

/// When the document of a document's lock was locked, as it says itself.
fn lock_time(grant: &RawDocument) -> Option<DateTime> {
    grant.get_datetime("lockTime").ok()
}

fn token(fence: &Fence) -> i64 {
    fence.token().get().cast_signed()
}
