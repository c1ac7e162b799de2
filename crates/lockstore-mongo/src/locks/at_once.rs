//! The way of most calls: one conditional write, without a look before.
//!
//! It does what lockcore would decide of a lock that nobody holds or waits for, and of one that is released with nobody waiting. Whatever
//! else is found there goes the long way.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, Uuid, bson, doc};
use lockcore::{Acquire, Granted, Instant, Release};
use lockstore::StoreError;
use mongodb::ClientSession;
use mongodb::error::Error;
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use super::attempts::Attempts;
use super::lock_document::{LockDocument, StoredGrant, mode_name, new_rev};
use super::log::PAGES_MAX;
use super::stored::{millis, number, token};
use super::tokens::before_the_first;
use super::{COUNTERS, LOCKS, Locks};
use crate::failure::{Failure, damaged};
use crate::numbered::Lent;
use crate::time::{Moment, instant};

impl Locks {
    /// Acquires a lock that nobody holds or waits for; `None` if somebody does, or if it is not known what has become of it: then it is done by now, or
    /// never.
    pub(super) async fn acquire_at_once(
        &self,
        wanted: &Acquire,
        request: Uuid,
        attempts: &mut Attempts,
    ) -> Result<Option<Granted>, StoreError> {
        let asked_at = self.now();
        let mut lent = self.lend(attempts).await?;
        let granting = doc! {
            "findAndModify": LOCKS,
            "query": free(wanted),
            "update": granted(wanted, request, None),
            "upsert": true,
            "new": true,
            "fields": { "_id": 0, "grants": 1 },
        };
        let granted = self.write_once(&mut lent, granting).await.and_then(|mut reply| {
            let value = reply.remove("value").unwrap_or(Bson::Null);
            // What cannot be read may be done.
            let unread = |what: String| Failure::Unknown(Error::custom(what));
            let document = bson::deserialize_from_bson(value);
            let document = document.map_err(|error| unread(error.to_string()))?;
            match granted_at_once(document, request, asked_at) {
                Err(Failure::Store(error)) => Err(unread(error.to_string())),
                granted => granted,
            }
        });
        match granted {
            Ok((granted, moment)) => Ok(Some(moment.granted(granted))),
            // It is there, and is not free.
            Err(Failure::Conflict) => Ok(None),
            Err(failure) => {
                self.make_void(lent, failure, attempts).await?;
                Ok(None)
            }
        }
    }

    /// The same within a transaction, with the lease by the primary's time, for a document that is locked since `lock_time`. It is a conflict,
    /// which ends the transaction, if somebody holds the lock or waits for it.
    pub(crate) async fn acquire_at_once_in(
        &self,
        session: &mut ClientSession,
        wanted: &Acquire,
        request: Uuid,
        lock_time: Option<DateTime>,
    ) -> Result<(Granted, Moment), Failure> {
        let asked_at = self.now();
        let granting = self.collection.clone_with_type::<Granting>();
        let granted = granting
            .find_one_and_update(free(wanted), granted(wanted, request, lock_time))
            .upsert(true)
            .projection(doc! { "_id": 0, "grants": 1 })
            .return_document(ReturnDocument::After)
            .session(session);
        granted_at_once(granted.await.map_err(Failure::of)?, request, asked_at)
    }

    /// Releases a lock for which nobody waits; `false` if that is not how it stands, or if it is not known what has become of it: then it is done by
    /// now, or never.
    pub(super) async fn release_at_once(
        &self,
        release: &Release,
        request: Uuid,
        attempts: &mut Attempts,
    ) -> Result<bool, StoreError> {
        let mut lent = self.lend(attempts).await?;
        let mut held = held(release);
        // One that arrives late ends nothing on which its holder relies anew.
        held.insert("grants.0.joined", doc! { "$ne": true });
        let releasing = doc! {
            "update": LOCKS,
            "updates": [{ "q": held, "u": released(release, request) }],
        };
        match self.write_once(&mut lent, releasing).await {
            Ok(reply) => Ok(reply.get_i32("n").is_ok_and(|matched| matched > 0)),
            Err(failure) => {
                self.make_void(lent, failure, attempts).await?;
                Ok(false)
            }
        }
    }

    /// The same within a transaction. Gives the lock as it was.
    pub(crate) async fn release_at_once_in(
        &self,
        session: &mut ClientSession,
        release: &Release,
        request: Uuid,
    ) -> Result<Option<LockDocument>, Failure> {
        let released =
            self.collection.find_one_and_update(held(release), released(release, request));
        released.session(session).await.map_err(Failure::of)
    }

    /// A session for one call. What is written here does not depend on a state that was seen, as all other changes of locks do, so an attempt that the
    /// network has kept would be done whenever it arrives, but for its number.
    async fn lend(&self, attempts: &mut Attempts) -> Result<Lent, StoreError> {
        loop {
            match self.numbered.lend(&self.client).await {
                Ok(lent) => return Ok(lent),
                Err(error) => attempts.failed(Failure::of_reading(error), self).await?,
            }
        }
    }

    /// Sends a write, once. What it tells is on most members.
    async fn write_once(
        &self,
        lent: &mut Lent,
        mut command: Document,
    ) -> Result<Document, Failure> {
        let (session, number) = lent.next();
        let majority = bson::serialize_to_bson(&self.majority).map_err(damaged)?;
        command.extend(doc! { "txnNumber": number, "writeConcern": majority });
        let reply = self.database.run_command(command).session(session).await;
        let reply = reply.map_err(Failure::of_one_try)?;
        for error in ["writeErrors", "writeConcernError"] {
            if let Some(told) = reply.get(error) {
                return Err(Failure::Unknown(Error::custom(told.to_string())));
            }
        }
        Ok(reply)
    }

    /// Takes that a write has failed. When this returns, that attempt is done already, or refused whenever it arrives: the same session has done a
    /// write with a higher number.
    async fn make_void(
        &self,
        lent: Lent,
        failure: Failure,
        attempts: &mut Attempts,
    ) -> Result<(), StoreError> {
        attempts.sent_in = Some(lent);
        attempts.failed(failure, self).await?;
        while attempts.uncertain
            && let Some(lent) = &mut attempts.sent_in
        {
            match self.void(lent).await {
                Ok(()) => break,
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
        attempts.sent_in = None;
        Ok(())
    }

    /// Makes void what was written in a session before and is not done yet.
    pub(super) async fn void(&self, lent: &mut Lent) -> Result<(), Failure> {
        // A write that changes nothing would be forgotten in an election.
        let count =
            doc! { "q": { "_id": VOIDED }, "u": { "$inc": { "last": 1_i64 } }, "upsert": true };
        let counting = doc! { "update": COUNTERS, "updates": [count] };
        self.write_once(lent, counting).await.map(drop)
    }
}

/// Finds a lock that is held as it is to be released, and for which nobody waits.
fn held(release: &Release) -> Document {
    let mut held = doc! {
        "_id": release.key.as_str(),
        "grants": { "$size": 1 },
        "grants.0.holder": release.holder.as_str(),
        "grants.0.session": { "$exists": false },
        "waiters": {},
        "$or": [
            { "due": { "$exists": false } },
            { "$expr": { "$gt": ["$due", "$$NOW"] } },
        ],
    };
    if let Some(token) = release.token {
        held.insert("grants.0.token", number(token));
    }
    held
}

/// Finds a lock that nobody holds or waits for.
fn free(wanted: &Acquire) -> Document {
    doc! {
        "_id": wanted.key.as_str(),
        "grants.0": { "$exists": false },
        "waiters": {},
    }
}

/// What is wanted of a lock's document that grants: without its log, which would be most of it.
#[derive(Debug, Deserialize)]
struct Granting {
    grants: Vec<StoredGrant>,
}

/// What a call was granted, and when, by the primary's time. `asked_at` is our time before.
fn granted_at_once(
    document: Option<Granting>,
    request: Uuid,
    asked_at: Instant,
) -> Result<(Granted, Moment), Failure> {
    let grants = document.map(|document| document.grants).unwrap_or_default();
    let grant = grants.iter().find(|grant| grant.request == request).ok_or(Failure::Conflict)?;
    let moment = Moment { there: instant(grant.since), here: asked_at };
    let lease = grant.lease.map(|lease| lease.lease()).transpose()?;
    Ok((Granted { token: token(grant.token)?, lease, rejoined: false }, moment))
}

/// The update that grants.
fn granted(wanted: &Acquire, request: Uuid, lock_time: Option<DateTime>) -> Vec<Document> {
    let holder = bson!({ "$literal": wanted.holder.as_str() });
    let mode = mode_name::of(wanted.mode);
    let mut grant =
        doc! { "holder": &holder, "token": "$last", "request": request, "since": "$$NOW" };
    let mut what = doc! { "mode": mode, "waited": false };
    let mut due = bson!("$$REMOVE");
    if let Some(ttl) = wanted.ttl {
        let expires_at = bson!({ "$add": ["$$NOW", millis(ttl)] });
        let lease = doc! { "ttlMS": millis(ttl), "expiresAt": &expires_at };
        grant.insert("lease", &lease);
        what.insert("lease", lease);
        due = expires_at;
    }
    if let Some(time) = lock_time {
        grant.insert("lockTime", time);
    }
    let entry = doc! {
        "request": request, "holder": holder, "token": "$last", "what": { "granted": what },
    };
    let rev = new_rev();
    vec![
        numbered(rev, doc! { "mode": mode, "last": { "$add": [before_the_first(), 1_i64] } }),
        doc! { "$set": {
            "grants": [grant],
            "waiters": { "$literal": {} },
            "due": due,
            "freedAt": "$$REMOVE",
            "log": log(rev, entry, false),
        } },
    ]
}

/// The update that releases.
fn released(release: &Release, request: Uuid) -> Vec<Document> {
    let entry = doc! {
        "request": request,
        "holder": { "$literal": release.holder.as_str() },
        "token": { "$first": "$grants.token" },
        "what": { "ended": { "cause": "released" } },
    };
    let rev = new_rev();
    vec![
        numbered(rev, Document::new()),
        doc! { "$set": {
            "grants": [],
            "due": "$$REMOVE",
            "freedAt": "$$NOW",
            "log": log(rev, entry, true),
        } },
    ]
}

/// What every write sets first.
fn numbered(rev: ObjectId, mut fields: Document) -> Document {
    fields.insert("rev", rev);
    fields.insert("writes", doc! { "$add": [{ "$ifNull": ["$writes", 0_i64] }, 1_i64] });
    doc! { "$set": fields }
}

/// The log with one more page, and without those that are too old.
fn log(rev: ObjectId, entry: Document, is_free: bool) -> Bson {
    let pages = bson!({ "$objectToArray": { "$ifNull": ["$log", { "$literal": {} }] } });
    let recent = bson!({ "$gt": ["$$this.v.write", { "$subtract": ["$writes", PAGES_MAX] }] });
    let page = bson!({ "write": "$writes", "isFree": is_free, "entries": [entry] });
    bson!({ "$arrayToObject": { "$concatArrays": [
        { "$filter": { "input": pages, "cond": recent } },
        [{ "k": rev.to_hex(), "v": page }],
    ] } })
}

/// The `_id` of the counter that is written to make an earlier write void.
const VOIDED: &str = "voided";
