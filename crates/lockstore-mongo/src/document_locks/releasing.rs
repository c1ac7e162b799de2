//! `unlockDocument`: the document is unlocked, and changed or deleted, and its side grant ends.

use std::sync::Arc;

use bson::{DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockcore::{Command, Instant, Release as Ends};
use lockstore::remote::serving::document_locks::{Release, error_of, locked_by, released, unlock};
use lockstore::{Fence, ReleaseDocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::run_out::has_run_out;
use super::side_grant::{self, Place, by_id};
use super::transaction::{Change, Ended, Tried, alone, find, of_lock, simple};
use super::update::unlocking;
use crate::documents::{Failed, Limit, abort_in, number};
use crate::locks::{Standing, StoredGrant, number as stored};

/// Why there is nothing to be released.
enum Left {
    /// Somebody else shares the lock.
    Shared,
    /// It was not locked by this grant any more.
    Lost,
}

/// A release that is asked for.
#[derive(Clone, Copy)]
struct Releasing<'r> {
    place: &'r Place,
    lock: &'r Fence,
    release: &'r Release,
    fences: &'r [Fence],
    /// The `_id` of its document.
    id: &'r bson::Bson,
    /// By what it is known what has become of it.
    request: Uuid,
}

impl DocumentLocks {
    /// Releases a document.
    pub(super) async fn unlock(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (lock, release, fences) = match unlock(command, self.clock.wall()) {
            Ok(asked) => asked,
            Err(refused) => return Ok(refused),
        };
        let place = place.clone();
        let work = move |own: Arc<Self>, limit| async move {
            own.release(&place, &lock, &release, &fences, limit).await
        };
        match self.in_time(deadline, "releasing a document", work).await {
            Ok(done) => Ok(released(done)),
            Err(ended) => ended.reply(),
        }
    }

    /// An update that fails is left out.
    async fn release(
        &self,
        place: &Place,
        lock: &Fence,
        release: &Release,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<Result<(), ReleaseDocumentError>, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else {
            return Ok(Err(lost(lock, None)));
        };
        let (id, request) = (&id, Uuid::new());
        let asked = Releasing { place, lock, release, fences, id, request };
        let reply = match self.try_releasing(asked, limit).await {
            Ok(done) => return Ok(done),
            Err(Ended::Refused(reply)) => reply,
            Err(ended) => return Err(ended),
        };
        if !matches!(release, Release::Update(_) | Release::Delete) {
            return Err(Ended::Refused(reply));
        }
        let plain = Releasing { release: &Release::Unlock, fences: &[], ..asked };
        let done = self.try_releasing(plain, limit).await?;
        Ok(done.and_then(|()| Err(ReleaseDocumentError::NotUpdated(error_of(&reply)))))
    }

    /// Gives back what a call has locked that nobody waits for any more, unless another call of its holder has joined it. What was to be committed
    /// in `session` is done by then, or void.
    pub(super) async fn hand_on(
        &self,
        place: &Place,
        lock: &Fence,
        session: &mut ClientSession,
    ) -> Result<(), Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(()) };
        let (id, request) = (&id, Uuid::new());
        let asked = Releasing { place, lock, release: &Release::HandOn, fences: &[], id, request };
        let limit = self.documents.limit(Some(self.locks.patient_until()));
        if let Some(made) = limit.bound(self.make_in(session, asked, limit)).await {
            return made.map(drop);
        }
        // The driver begins none while one is open, and takes this one for aborted before it is asked to be.
        limit.bound(abort_in(session)).await;
        Err(self.documents.unreachable("no reply in time").into())
    }

    async fn try_releasing(
        &self,
        asked: Releasing<'_>,
        limit: Limit,
    ) -> Result<Result<(), ReleaseDocumentError>, Ended> {
        Ok(match self.make(asked, limit).await? {
            Tried::Done(()) | Tried::Left(Left::Shared) => Ok(()),
            Tried::Left(Left::Lost) => {
                Err(lost(asked.lock, self.now_held_by(asked.place, asked.lock).await?))
            }
        })
    }

    /// Makes sure that whoever tells of a lock is the primary.
    pub(super) async fn confirm(&self, lock: &Fence) -> Result<(), Failed> {
        let seen = self.locks.look_at(lock.key().as_str(), None, self.locks.now()).await;
        self.locks.confirm(&seen.map_err(of_lock)?).await.map_err(of_lock)
    }

    /// Who has locked the document of a lock that is lost. One that has run out nobody holds.
    pub(super) async fn now_held_by(
        &self,
        place: &Place,
        lock: &Fence,
    ) -> Result<Option<String>, Ended> {
        let Some(id) = place.id_of(lock.key().as_str()) else { return Ok(None) };
        let document = self.read(place, &find(place, &alone(by_id(&id)))).await?;
        let Some(document) = document else { return Ok(None) };
        let Some(holder) = locked_by(&document) else { return Ok(None) };
        let seen = self.locks.seen(lock.key().as_str()).await?;
        Ok((!has_run_out(&seen, &document)?).then_some(holder))
    }
}

impl Change for Releasing<'_> {
    type Done = ();
    type Left = Left;

    async fn attempt(
        &mut self,
        of: &DocumentLocks,
        session: &mut ClientSession,
    ) -> Result<Tried<(), Left>, Failed> {
        of.documents.begin(session).await?;
        let ends = Ends {
            key: self.lock.key().clone(),
            holder: self.lock.holder().clone(),
            token: Some(self.lock.token()),
        };
        let at_once = match self.release {
            Release::HandOn => {
                // From here on nothing comes of what was sent in this session before: what is looked at next is what has become of it.
                of.find_in(session, self.place, &find(self.place, &alone(by_id(self.id)))).await?;
                None
            }
            _ => {
                of.locks.release_at_once_in(session, &ends, self.request).await.map_err(of_lock)?
            }
        };
        let is_it = |grant: &&StoredGrant| grant.token == stored(self.lock.token());
        let grant = if let Some(was) = at_once {
            was.grants.into_iter().find(|grant| is_it(&grant))
        } else {
            let seen = of.locks.look_at(ends.key.as_str(), None, of.locks.now()).await;
            let seen = seen.map_err(of_lock)?;
            let grant = seen.document.iter().flat_map(|lock| &lock.grants).find(is_it);
            if matches!(self.release, Release::HandOn) && grant.is_some_and(|grant| grant.joined) {
                return Ok(Tried::Left(Left::Shared));
            }
            let command = Command::Release(ends);
            let decide = |standing: &mut Standing| standing.execute(&command, self.request);
            let changed = of.locks.change_in(session, &seen, None, decide).await;
            if changed.map_err(of_lock)?.is_err() {
                of.locks.confirm(&seen).await.map_err(of_lock)?;
                return Ok(Tried::Left(Left::Lost));
            }
            grant.cloned()
        };
        let command = self.command(grant.and_then(|grant| grant.lock_time));
        let reply = of.documents.run_in(session, &self.place.database, &command).await?;
        if number(&reply, "n") == Some(1) {
            return Ok(Tried::Done(()));
        }
        of.confirm(self.lock).await?;
        Ok(Tried::Left(Left::Lost))
    }

    async fn commit(
        &self,
        of: &DocumentLocks,
        session: &mut ClientSession,
        limit: Limit,
    ) -> Result<(), Failed> {
        let asked = rawdoc! { "unlockDocument": self.place.collection.as_str() };
        let (fences, changed) = (self.fences(), [self.lock.key()]);
        match of.documents.commit_relying(session, fences, &changed, limit, &asked).await {
            Err(Failed::Store(StoreError::OutcomeUnknown { .. }))
                if of.is_ended(self.lock.key(), self.request).await =>
            {
                Ok(())
            }
            committed => committed,
        }
    }
}

impl Releasing<'_> {
    /// What it relies on, if it does more than to unlock.
    fn fences(&self) -> &[Fence] {
        match self.release {
            Release::Update(_) | Release::Delete => self.fences,
            Release::Unlock | Release::HandOn => &[],
        }
    }

    /// MongoDB's command, which does nothing unless the document is locked so.
    fn command(&self, lock_time: Option<DateTime>) -> RawDocumentBuf {
        let collection = self.place.collection.as_str();
        let locked = side_grant::locked_by(self.id, self.lock.holder().as_str(), lock_time);
        let mut statement = rawdoc! { "q": locked, "collation": simple() };
        let mut statements = RawArrayBuf::new();
        let update = match self.release {
            Release::Delete => {
                statement.append(cstr!("limit"), 1);
                statements.push(statement);
                return rawdoc! { "delete": collection, "deletes": statements };
            }
            Release::Update(update) => Some(update),
            Release::Unlock | Release::HandOn => None,
        };
        let written = unlocking(update);
        statement.append(cstr!("u"), written.update);
        if let Some(filters) = written.array_filters {
            statement.append(cstr!("arrayFilters"), filters);
        }
        statements.push(statement);
        let mut command = rawdoc! { "update": collection, "updates": statements };
        if let Some(variables) = update.and_then(|update| update.variables.clone()) {
            command.append(cstr!("let"), RawBson::Document(variables));
        }
        command
    }
}

/// The lock is over.
pub(super) fn lost(lock: &Fence, now_held_by: Option<String>) -> ReleaseDocumentError {
    ReleaseDocumentError::LockLost { lock_id: lock.holder().clone(), now_held_by }
}
