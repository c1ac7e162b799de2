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
use super::transaction::{Change, Ended, Tried, alone, find, of_lock, simple};
use crate::documents::{Failed, Limit, number};
use crate::locks::{Standing, number as stored};
use crate::time::date;

/// A renewal that is asked for.
struct Renewing<'r> {
    place: &'r Place,
    lock: &'r Fence,
    ttl: Option<Ttl>,
    /// The `_id` of its document.
    id: &'r Bson,
    /// Whether the document shows the new lease.
    shows: bool,
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
        // Who changes the document in a transaction is not to have a conflict with what keeps its lock.
        let shows = !self.documents.has_open_transaction();
        match self.make(Renewing { place, lock, ttl, id: &id, shows }, limit).await? {
            Tried::Done(granted) => Ok(Ok(granted)),
            Tried::Left(()) => Ok(Err(lost(lock, self.now_held_by(place, lock).await?))),
        }
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

impl Change for Renewing<'_> {
    /// With the lease by our clock.
    type Done = Granted;
    /// It is lost.
    type Left = ();

    async fn attempt(
        &mut self,
        of: &DocumentLocks,
        session: &mut ClientSession,
    ) -> Result<Tried<Granted, ()>, Failed> {
        let Self { place, lock, ttl, id, .. } = *self;
        of.documents.begin(session).await?;
        let seen = of.locks.look_at(lock.key().as_str(), None, of.locks.now()).await;
        let seen = seen.map_err(of_lock)?;
        let (key, holder, token) = (lock.key().clone(), lock.holder().clone(), lock.token());
        let command = Command::Renew(Renew { key, holder, token: Some(token), ttl });
        let request = Uuid::new();
        let decide = |standing: &mut Standing| standing.execute(&command, request);
        let changed = of.locks.change_in(session, &seen, None, decide).await;
        let Ok(changed) = changed.map_err(of_lock)? else {
            of.locks.confirm(&seen).await.map_err(of_lock)?;
            return Ok(Tried::Left(()));
        };
        let Outcome::Renewed(granted) = changed.outcome else {
            return Err(Failed::conflict("a lock has changed"));
        };
        let mut grants = seen.document.iter().flat_map(|lock| &lock.grants);
        let grant = grants.find(|grant| grant.token == stored(lock.token()));
        let lock_time = grant.and_then(|grant| grant.lock_time);
        let locked = locked_by(id, lock.holder().as_str(), lock_time);
        let is_locked = if self.shows {
            let command = showing(place, locked, granted.lease);
            let shown = of.documents.run_in(session, &place.database, &command).await;
            // Somebody may be changing it for long: what it shows the next renewal sees to.
            self.shows = shown.is_ok();
            number(&shown?, "n") == Some(1)
        } else {
            of.find_in(session, place, &find(place, &alone(locked))).await?.is_some()
        };
        if is_locked {
            return Ok(Tried::Done(seen.moment.granted(granted)));
        }
        of.confirm(lock).await?;
        Ok(Tried::Left(()))
    }

    /// One of which it is not known whether it was done is done once more by the next heartbeat.
    async fn commit(
        &self,
        of: &DocumentLocks,
        session: &mut ClientSession,
        limit: Limit,
    ) -> Result<(), Failed> {
        let asked = rawdoc! { "renewDocumentLock": self.place.collection.as_str() };
        of.documents.commit(session, limit, &asked).await
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
