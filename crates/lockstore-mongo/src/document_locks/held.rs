//! `renewDocumentLock` and `inspectDocumentLock`: about a lock that is held.

use std::sync::Arc;

use bson::{Bson, RawArrayBuf, RawDocument, RawDocumentBuf, Uuid, rawdoc};
use lockcore::{Command, Granted, Instant, Lease, Outcome, Refusal, Renew, Ttl};
use lockstore::remote::LockAnswer;
use lockstore::remote::serving::document_locks::{error_of, holds, inspect, renew, renewed};
use lockstore::{Fence, ReleaseDocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::releasing::lost;
use super::side_grant::{Place, locked_by};
use super::transaction::{Ended, alone, find, of_lock, simple};
use crate::documents::{Failed, Limit, number};
use crate::locks::{Standing, number as stored};
use crate::time::date;

/// What one try of a renewal has come to.
enum Tried {
    /// It is done when the transaction is committed, with the lease by our clock.
    Done(Granted),
    /// Somebody is changing the document.
    Busy(Failed),
    Lost,
}

impl DocumentLocks {
    /// Begins the lease of a lock anew.
    pub(super) async fn renew(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (lock, ttl) = match renew(command) {
            Ok(asked) => asked,
            Err(refused) => return Ok(refused),
        };
        match self.renewed(place.clone(), lock, ttl, deadline).await {
            Ok(done) => Ok(renewed(done.map(|granted| granted.lease.map(|lease| lease.ttl)))),
            Err(ended) => ended.reply(),
        }
    }

    /// Renews a lock that is kept alive: it is lost with the document's lock.
    pub(crate) async fn keep(self: &Arc<Self>, kept: Renew) -> LockAnswer {
        let Renew { key, holder, token, ttl } = kept;
        let fence = token.and_then(|token| Fence::new(key.as_str(), &holder, token).ok());
        let (Some((place, _)), Some(fence)) = (Place::of(key.as_str()), fence) else {
            return LockAnswer::Refused(Refusal::NotHeld);
        };
        match self.renewed(place, fence, ttl, None).await {
            Ok(Ok(granted)) => LockAnswer::Done(Outcome::Renewed(granted)),
            Ok(Err(_)) => LockAnswer::Refused(Refusal::NotHeld),
            Err(Ended::Store(error)) => LockAnswer::Failed(error),
            Err(Ended::Refused(reply)) => {
                let what = error_of(&reply).to_string().into();
                LockAnswer::Failed(StoreError::Elsewhere { what })
            }
        }
    }

    async fn renewed(
        self: &Arc<Self>,
        place: Place,
        lock: Fence,
        ttl: Option<Ttl>,
        deadline: Option<Instant>,
    ) -> Result<Result<Granted, ReleaseDocumentError>, Ended> {
        let work = move |own: Arc<Self>, limit| async move {
            own.try_renewing(&place, &lock, ttl, limit).await
        };
        self.in_time(deadline, "renewing a lease", work).await
    }

    async fn try_renewing(
        &self,
        place: &Place,
        lock: &Fence,
        ttl: Option<Ttl>,
        limit: Limit,
    ) -> Result<Result<Granted, ReleaseDocumentError>, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(Err(lost(lock, None))) };
        let mut tries = limit.tries();
        // Who changes the document in a transaction is not to have a conflict with what keeps its lock.
        let mut shows = !self.documents.has_open_transaction();
        loop {
            let mut session = self.documents.session(limit).await?;
            let failed = match self.renew_in(&mut session, place, &id, lock, ttl, shows).await {
                Ok(Tried::Done(granted)) => {
                    // One of which it is not known whether it was done is done once more by the next heartbeat.
                    let command = rawdoc! { "renewDocumentLock": place.collection.as_str() };
                    match self.documents.commit(&mut session, limit, &command).await {
                        Ok(()) => return Ok(Ok(granted)),
                        Err(failed) => failed,
                    }
                }
                Ok(Tried::Busy(failed)) => {
                    self.abort(&mut session).await;
                    shows = false;
                    failed
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

    /// Renews the grant if the document is locked by it, which `shows` the new lease or stays as it is.
    async fn renew_in(
        &self,
        session: &mut ClientSession,
        place: &Place,
        id: &Bson,
        lock: &Fence,
        ttl: Option<Ttl>,
        shows: bool,
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
            self.locks.confirm(&seen).await.map_err(of_lock)?;
            return Ok(Tried::Lost);
        };
        let Outcome::Renewed(granted) = changed.outcome else {
            return Err(Failed::conflict("a lock has changed"));
        };
        let mut grants = seen.document.iter().flat_map(|lock| &lock.grants);
        let grant = grants.find(|grant| grant.token == stored(lock.token()));
        let lock_time = grant.and_then(|grant| grant.lock_time);
        let locked = locked_by(id, lock.holder().as_str(), lock_time);
        let is_locked = if shows {
            let command = showing(place, locked, granted.lease);
            match self.documents.run_in(session, &place.database, &command).await {
                Ok(reply) => number(&reply, "n") == Some(1),
                Err(failed @ Failed::Reply(_)) if failed.transient().is_some() => {
                    return Ok(Tried::Busy(failed));
                }
                Err(failed) => return Err(failed),
            }
        } else {
            self.find_in(session, place, &find(place, &alone(locked))).await?.is_some()
        };
        if is_locked {
            return Ok(Tried::Done(seen.moment.granted(granted)));
        }
        self.confirm(lock).await?;
        Ok(Tried::Lost)
    }

    /// Whether a document is locked by this grant.
    pub(super) async fn inspect(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let lock = match inspect(command) {
            Ok(lock) => lock,
            Err(refused) => return Ok(refused),
        };
        let place = place.clone();
        let work = move |own: Arc<Self>, _| async move { own.is_held(&place, &lock).await };
        match self.in_time(deadline, "looking at a lock", work).await {
            Ok(it_is) => Ok(holds(it_is)),
            Err(ended) => ended.reply(),
        }
    }

    async fn is_held(&self, place: &Place, lock: &Fence) -> Result<bool, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(false) };
        let seen = self.locks.seen(lock.key().as_str()).await?;
        let standing = Standing::new(&seen)?;
        let mut grants = standing.document().grants.iter();
        let Some(grant) = grants.find(|grant| grant.token == stored(lock.token())) else {
            return Ok(false);
        };
        let command = find(place, &alone(locked_by(&id, &grant.holder, grant.lock_time)));
        Ok(grant.holder == lock.holder().as_str() && self.read(place, &command).await?.is_some())
    }
}

/// Has a document that is locked so show until when it is.
fn showing(place: &Place, locked: RawDocumentBuf, lease: Option<Lease>) -> RawDocumentBuf {
    let update = if let Some(lease) = lease {
        rawdoc! { "$set": { "lock_expires_at": date(lease.expires_at) } }
    } else {
        rawdoc! { "$unset": { "lock_expires_at": 1 } }
    };
    let mut updates = RawArrayBuf::new();
    updates.push(rawdoc! { "q": locked, "u": update, "collation": simple() });
    rawdoc! { "update": place.collection.as_str(), "updates": updates }
}
