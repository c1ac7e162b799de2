//! The way of most calls: one conditional write, without a look before.
//!
//! It does what lockcore would decide of a lock that nobody holds or waits for, and of one that is released with nobody waiting. Whatever
//! else is found there goes the long way.

mod sending;
mod updates;

use bson::{Bson, DateTime, Document, Uuid, doc};
use lockcore::{Acquire, Granted, Instant, Release};
use lockstore::StoreError;
use mongodb::ClientSession;
use mongodb::error::Error;
use mongodb::options::ReturnDocument;
use serde::Deserialize;

use super::attempts::Attempts;
use super::lock_document::{LockDocument, StoredGrant, new_rev};
use super::stored::token;
use super::{LOCKS, Locks};
use crate::failure::Failure;
use crate::time::{Moment, instant};
use sending::Resting;
use updates::{free, granted, held, released};

impl Locks {
    /// Acquires a lock that nobody holds or waits for; `None` if somebody does, or if it is not known what has become of it: then it is done by now, or
    /// never.
    pub(super) async fn acquire_at_once(
        &self,
        wanted: &Acquire,
        request: Uuid,
        attempts: &mut Attempts,
    ) -> Result<Option<Granted>, StoreError> {
        let key = wanted.key.as_str();
        if let Some(rev) = self.known.rev(key) {
            match self.try_to_acquire(wanted, request, Resting::On(rev)).await {
                Ok(granted) => return Ok(Some(granted)),
                // Most likely another has had it meanwhile, and nobody has it now.
                Err(Failure::Conflict) => self.known.is_missed(key),
                Err(failure) => {
                    self.known.forget(key);
                    attempts.failed(failure, self).await?;
                    return Ok(None);
                }
            }
        }
        let mut lent = self.lend(attempts).await?;
        match self.try_to_acquire(wanted, request, Resting::Numbered(&mut lent)).await {
            Ok(granted) => Ok(Some(granted)),
            // It is there, and is not free.
            Err(Failure::Conflict) => Ok(None),
            Err(failure) => {
                self.make_void(lent, failure, attempts).await?;
                Ok(None)
            }
        }
    }

    async fn try_to_acquire(
        &self,
        wanted: &Acquire,
        request: Uuid,
        mut resting: Resting<'_>,
    ) -> Result<Granted, Failure> {
        let (asked_at, rev) = (self.now(), new_rev());
        let granting = doc! {
            "findAndModify": LOCKS,
            "query": resting.on(free(wanted)),
            "update": granted(wanted, request, rev, None),
            "upsert": matches!(resting, Resting::Numbered(_)),
            "new": true,
            "fields": { "_id": 0, "grants": 1 },
        };
        let mut reply = self.write_once(&mut resting, granting).await?;
        let value = reply.remove("value").unwrap_or(Bson::Null);
        // What cannot be read may be done.
        let unread = |what: String| Failure::Unknown(Error::custom(what));
        let document = bson::deserialize_from_bson(value);
        let document = document.map_err(|error| unread(error.to_string()))?;
        match granted_at_once(document, request, asked_at) {
            Ok((granted, moment)) => {
                self.known.is_written(wanted.key.as_str(), rev);
                Ok(moment.granted(granted))
            }
            Err(Failure::Store(error)) => Err(unread(error.to_string())),
            Err(failure) => Err(failure),
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
            .find_one_and_update(free(wanted), granted(wanted, request, new_rev(), lock_time))
            .upsert(true)
            .projection(doc! { "_id": 0, "grants": 1 })
            .return_document(ReturnDocument::After)
            .session(session);
        granted_at_once(granted.await.map_err(Failure::of)?, request, asked_at)
    }

    /// Releases a lock for which nobody waits; `false` if that is not how it stands, or if it is not known what has become of it: then it is done by
    /// now, or never. Whether any other session than those of this process is over, only a look shows.
    pub(super) async fn release_at_once(
        &self,
        release: &Release,
        request: Uuid,
        attempts: &mut Attempts,
    ) -> Result<bool, StoreError> {
        let key = release.key.as_str();
        if let Some(known) = self.known.rev(key) {
            return match self.try_to_release(release, request, Resting::On(known)).await {
                Ok(released) => {
                    if released.is_none() {
                        self.known.is_missed(key);
                    }
                    self.has_released(released, attempts).await
                }
                Err(failure) => {
                    self.known.forget(key);
                    attempts.failed(failure, self).await.map(|()| false)
                }
            };
        }
        let mut lent = self.lend(attempts).await?;
        match self.try_to_release(release, request, Resting::Numbered(&mut lent)).await {
            Ok(released) => self.has_released(released, attempts).await,
            Err(failure) => self.make_void(lent, failure, attempts).await.map(|()| false),
        }
    }

    /// Whether a release is done. One that was bound to a session may have ended with that just before.
    async fn has_released(
        &self,
        released: Option<Released>,
        attempts: &mut Attempts,
    ) -> Result<bool, StoreError> {
        let Some(Released { bound_to }) = released else { return Ok(false) };
        match bound_to {
            Some(session) if !self.lives_on(session, attempts).await? => Err(attempts.unknown()),
            _ => Ok(true),
        }
    }

    async fn try_to_release(
        &self,
        release: &Release,
        request: Uuid,
        mut resting: Resting<'_>,
    ) -> Result<Option<Released>, Failure> {
        let (living, rev) = (self.few_living(), new_rev());
        let mut held = resting.on(held(release, &living));
        // One that arrives late ends nothing on which its holder relies anew.
        held.insert("grants.0.joined", doc! { "$ne": true });
        let update = released(release, request, rev);
        let releasing = if living.is_empty() {
            doc! { "update": LOCKS, "updates": [{ "q": held, "u": update }] }
        } else {
            // Which of them it was bound to.
            let fields = doc! { "_id": 0, "grants.session": 1 };
            doc! { "findAndModify": LOCKS, "query": held, "update": update, "fields": fields }
        };
        let reply = self.write_once(&mut resting, releasing).await?;
        let before = reply.get_document("value").ok();
        if before.is_none() && !reply.get_i32("n").is_ok_and(|released| released > 0) {
            return Ok(None);
        }
        self.known.is_written(release.key.as_str(), rev);
        Ok(Some(Released { bound_to: before.and_then(session_of) }))
    }

    /// The same within a transaction. Gives the lock as it was.
    pub(crate) async fn release_at_once_in(
        &self,
        session: &mut ClientSession,
        release: &Release,
        request: Uuid,
    ) -> Result<Option<LockDocument>, Failure> {
        let released = self
            .collection
            .find_one_and_update(held(release, &[]), released(release, request, new_rev()));
        released.session(session).await.map_err(Failure::of)
    }
}

/// A grant that was released.
struct Released {
    /// The session that it was bound to.
    bound_to: Option<i64>,
}

/// The session of the only grant of a lock.
fn session_of(lock: &Document) -> Option<i64> {
    lock.get_array("grants").ok()?.first()?.as_document()?.get_i64("session").ok()
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
