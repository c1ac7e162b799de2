//! `renewDocumentLock` and `inspectDocumentLock`: about a lock that is held.

use bson::{Bson, RawArrayBuf, RawDocument, RawDocumentBuf, Uuid, rawdoc};
use lockcore::{Command, Granted, Lease, Outcome, Refusal, Renew, Ttl};
use lockstore::remote::LockAnswer;
use lockstore::remote::serving::document_locks::{holds, inspect, renew, renewed};
use lockstore::{Fence, ReleaseDocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::releasing::lost;
use super::side_grant::{Place, locked_by};
use super::transaction::{Ended, alone, find, of_lock, simple};
use crate::documents::{Failed, number};
use crate::locks::Standing;
use crate::time::date;

/// What one try of a renewal has come to.
enum Tried {
    /// It is done when the transaction is committed: the lease lasts so long.
    Done(Option<Ttl>),
    Lost,
}

impl DocumentLocks {
    /// Begins the lease of a lock anew.
    pub(super) async fn renew(
        &self,
        place: &Place,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (lock, ttl) = match renew(command) {
            Ok(asked) => asked,
            Err(refused) => return Ok(refused),
        };
        match self.try_renewing(place, &lock, ttl).await {
            Ok(done) => Ok(renewed(done)),
            Err(ended) => ended.reply(),
        }
    }

    /// The same for who keeps a lock alive, and knows it by its side grant.
    pub(super) async fn keep_alive(&self, kept: Renew) -> LockAnswer {
        let asked_at = self.locks.now();
        let (Some((place, _)), Some(token)) = (Place::of(kept.key.as_str()), kept.token) else {
            return LockAnswer::Refused(Refusal::NotHeld);
        };
        let Ok(lock) = Fence::new(kept.key.as_str(), kept.holder.as_str(), token) else {
            return LockAnswer::Refused(Refusal::NotHeld);
        };
        match self.try_renewing(&place, &lock, kept.ttl).await {
            Ok(Ok(ttl)) => {
                let lease = ttl.map(|ttl| Lease::starting(asked_at, ttl));
                LockAnswer::Done(Outcome::Renewed(Granted { token, lease, rejoined: false }))
            }
            Ok(Err(_)) => LockAnswer::Refused(Refusal::NotHeld),
            Err(Ended::Store(error)) => LockAnswer::Failed(error),
            Err(Ended::Refused(reply)) => {
                let why = reply.get_str("errmsg").unwrap_or("a renewal was refused");
                LockAnswer::Failed(StoreError::Elsewhere { what: why.into() })
            }
        }
    }

    async fn try_renewing(
        &self,
        place: &Place,
        lock: &Fence,
        ttl: Option<Ttl>,
    ) -> Result<Result<Option<Ttl>, ReleaseDocumentError>, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(Err(lost(lock, None))) };
        let limit = self.documents.patient();
        let mut tries = limit.tries();
        loop {
            let mut session = self.documents.session(limit).await?;
            let failed = match self.renew_in(&mut session, place, &id, lock, ttl).await {
                Ok(Tried::Done(ttl)) => {
                    // One of which it is not known whether it was done is done once more by the next heartbeat.
                    let command = rawdoc! { "renewDocumentLock": place.collection.as_str() };
                    match self.documents.commit(&mut session, limit, &command).await {
                        Ok(()) => return Ok(Ok(ttl)),
                        Err(failed) => failed,
                    }
                }
                Ok(Tried::Lost) => {
                    self.abort(&mut session).await;
                    return Ok(Err(lost(lock, self.now_held_by(place, lock).await?)));
                }
                Err(failed) => {
                    self.abort(&mut session).await;
                    failed
                }
            };
            self.again(failed, &mut tries).await?;
        }
    }

    async fn renew_in(
        &self,
        session: &mut ClientSession,
        place: &Place,
        id: &Bson,
        lock: &Fence,
        ttl: Option<Ttl>,
    ) -> Result<Tried, Failed> {
        self.documents.begin(session).await?;
        let seen = self.locks.look_at(lock.key().as_str(), None, self.locks.now()).await;
        let seen = seen.map_err(of_lock)?;
        let (key, holder, token) = (lock.key().clone(), lock.holder().clone(), lock.token());
        let command = Command::Renew(Renew { key, holder, token: Some(token), ttl });
        let request = Uuid::new();
        let decide = |standing: &mut Standing| standing.execute(&command, request);
        let changed = self.locks.change_in(session, &seen, None, decide).await;
        let Ok(changed) = changed.map_err(of_lock)? else {
            return Ok(Tried::Lost);
        };
        let Outcome::Renewed(granted) = changed.outcome else {
            return Err(Failed::conflict("a lock has changed"));
        };
        let update = if let Some(lease) = granted.lease {
            rawdoc! { "$set": { "lock_expires_at": date(lease.expires_at) } }
        } else {
            rawdoc! { "$unset": { "lock_expires_at": 1 } }
        };
        let mut updates = RawArrayBuf::new();
        let locked = locked_by(id, lock.holder().as_str());
        updates.push(rawdoc! { "q": locked, "u": update, "collation": simple() });
        let command = rawdoc! { "update": place.collection.as_str(), "updates": updates };
        let reply = self.documents.run_in(session, &place.database, &command).await?;
        Ok(match number(&reply, "n") {
            Some(1) => Tried::Done(granted.lease.map(|lease| lease.ttl)),
            _ => Tried::Lost,
        })
    }

    /// Whether a document is locked by this grant.
    pub(super) async fn inspect(
        &self,
        place: &Place,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, StoreError> {
        let lock = match inspect(command) {
            Ok(lock) => lock,
            Err(refused) => return Ok(refused),
        };
        match self.is_held(place, &lock).await {
            Ok(it_is) => Ok(holds(it_is)),
            Err(ended) => ended.reply(),
        }
    }

    async fn is_held(&self, place: &Place, lock: &Fence) -> Result<bool, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(false) };
        let seen = self.locks.look_at(lock.key().as_str(), None, self.locks.now()).await;
        let seen = seen.map_err(|failure| Ended::Store(self.told(failure)))?;
        let standing = Standing::new(&seen)?;
        let grant = standing.lock().and_then(|standing| standing.grant_with(lock.token()));
        if grant.is_none_or(|grant| grant.holder != *lock.holder()) {
            return Ok(false);
        }
        let command = find(place, &alone(locked_by(&id, lock.holder().as_str())));
        Ok(self.read(place, &command).await?.is_some())
    }
}
