//! The way of most calls: one conditional write, without a look before.
//!
//! It does what lockcore would decide of a lock that nobody holds or waits for, and of one that is released with nobody waiting. Whatever
//! else is found there goes the long way.

use bson::oid::ObjectId;
use bson::{Bson, Document, Uuid, bson, doc};
use lockcore::{Acquire, Granted, Instant, Mode, Release};
use mongodb::options::ReturnDocument;

use super::Locks;
use super::lock_document::new_rev;
use super::standing::{LOG_MAX, millis, number, token};
use super::tokens::before_the_first;
use crate::failure::Failure;
use crate::time::{Moment, instant};

impl Locks {
    /// Acquires a lock that nobody holds or waits for; `None` if somebody does. `asked_at` is our time before.
    pub(super) async fn acquire_at_once(
        &self,
        wanted: &Acquire,
        request: Uuid,
        asked_at: Instant,
    ) -> Result<Option<Granted>, Failure> {
        let free = doc! {
            "_id": wanted.key.as_str(),
            "grants.0": { "$exists": false },
            "waiters.0": { "$exists": false },
        };
        let granted = self
            .collection
            .find_one_and_update(free, granted(wanted, request))
            .upsert(true)
            .return_document(ReturnDocument::After)
            .write_concern(self.majority.clone());
        let document = match granted.await.map_err(Failure::of) {
            Ok(document) => document,
            // It is there, and is not free.
            Err(Failure::Conflict) => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let document = document.ok_or(Failure::Conflict)?;
        let grant = document.granted_to(request).ok_or(Failure::Conflict)?;
        let moment = Moment { there: instant(grant.since), here: asked_at };
        let lease = grant.lease.map(|lease| lease.lease()).transpose()?;
        let granted = Granted { token: token(grant.token)?, lease, rejoined: false };
        Ok(Some(moment.granted(granted)))
    }

    /// Releases a lock for which nobody waits; `false` if that is not how it stands.
    pub(super) async fn release_at_once(
        &self,
        release: &Release,
        request: Uuid,
    ) -> Result<bool, Failure> {
        let mut held = doc! {
            "_id": release.key.as_str(),
            "grants": { "$size": 1 },
            "grants.0.holder": release.holder.as_str(),
            "grants.0.session": { "$exists": false },
            "waiters.0": { "$exists": false },
            "$or": [
                { "due": { "$exists": false } },
                { "$expr": { "$gt": ["$due", "$$NOW"] } },
            ],
        };
        if let Some(token) = release.token {
            held.insert("grants.0.token", number(token));
        }
        let released = self
            .collection
            .update_one(held, released(release, request))
            .write_concern(self.majority.clone());
        Ok(released.await.map_err(Failure::of)?.matched_count > 0)
    }
}

/// The update that grants.
fn granted(wanted: &Acquire, request: Uuid) -> Vec<Document> {
    let holder = bson!({ "$literal": wanted.holder.as_str() });
    let mode = match wanted.mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    };
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
    let entry = doc! {
        "request": request, "holder": holder, "token": "$last", "what": { "granted": what },
    };
    let rev = new_rev();
    vec![
        numbered(rev, doc! { "mode": mode, "last": { "$add": [before_the_first(), 1_i64] } }),
        doc! { "$set": {
            "grants": [grant],
            "waiters": [],
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
    let recent = bson!({ "$gt": ["$$this.v.write", { "$subtract": ["$writes", LOG_MAX] }] });
    let page = bson!({ "write": "$writes", "isFree": is_free, "entries": [entry] });
    bson!({ "$arrayToObject": { "$concatArrays": [
        { "$filter": { "input": pages, "cond": recent } },
        [{ "k": rev.to_hex(), "v": page }],
    ] } })
}
