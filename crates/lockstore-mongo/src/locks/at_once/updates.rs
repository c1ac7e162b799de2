//! The filters and updates of what is written without a look: what lockcore would decide, in MongoDB's words.

use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, Uuid, bson, doc};
use lockcore::{Acquire, Release};

use super::super::lock_document::mode_name;
use super::super::log::PAGES_AT_ONCE;
use super::super::stored::{millis, number, number_of};
use super::super::tokens::before_the_first;

/// Finds a lock that is held as it is to be released, bound to none but these sessions, and for which nobody waits.
pub(super) fn held(release: &Release, living: &[i64]) -> Document {
    let bound_to = living.iter().copied().map(Bson::from).chain([Bson::Null]);
    // By the name of the array: MongoDB takes `grants.0.session` also for a field `0` of each grant, and none has that.
    let mut held = doc! {
        "_id": release.key.as_str(),
        "grants": { "$size": 1 },
        "grants.0.holder": release.holder.as_str(),
        "grants.session": { "$in": bound_to.collect::<Vec<_>>() },
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
pub(super) fn free(wanted: &Acquire) -> Document {
    doc! {
        "_id": wanted.key.as_str(),
        "grants.0": { "$exists": false },
        "waiters": {},
    }
}

/// The update that grants.
pub(super) fn granted(
    wanted: &Acquire,
    request: Uuid,
    rev: ObjectId,
    lock_time: Option<DateTime>,
) -> Vec<Document> {
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
    if let Some(session) = wanted.session {
        grant.insert("session", number_of(session));
    }
    if let Some(time) = lock_time {
        grant.insert("lockTime", time);
    }
    let entry = doc! {
        "request": request, "holder": holder, "token": "$last", "what": { "granted": what },
    };
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
pub(super) fn released(release: &Release, request: Uuid, rev: ObjectId) -> Vec<Document> {
    let entry = doc! {
        "request": request,
        "holder": { "$literal": release.holder.as_str() },
        "token": { "$first": "$grants.token" },
        "what": { "ended": { "cause": "released" } },
    };
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
    let recent = bson!({ "$gt": ["$$this.v.write", { "$subtract": ["$writes", PAGES_AT_ONCE] }] });
    let page = bson!({ "write": "$writes", "isFree": is_free, "entries": [entry] });
    bson!({ "$arrayToObject": { "$concatArrays": [
        { "$filter": { "input": pages, "cond": recent } },
        [{ "k": rev.to_hex(), "v": page }],
    ] } })
}
