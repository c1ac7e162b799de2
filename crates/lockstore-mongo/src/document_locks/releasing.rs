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
use super::transaction::{Ended, alone, find, of_lock, simple};
use super::update::unlocking;
use crate::documents::{Failed, Limit, number};
use crate::locks::{Standing, StoredGrant, number as stored};

/// What one try has come to.
enum Tried {
    /// It is done when the transaction is committed.
    Done,
    /// Somebody else shares the lock: there is nothing to be done.
    Shared,
    /// It was not locked by this grant any more.
    Lost,
}

/// A release that is asked for.
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
        let reply = match self.try_releasing(&asked, limit).await {
            Ok(done) => return Ok(done),
            Err(Ended::Refused(reply)) => reply,
            Err(ended) => return Err(ended),
        };
        if !matches!(release, Release::Update(_) | Release::Delete) {
            return Err(Ended::Refused(reply));
        }
        let plain = Releasing { release: &Release::Unlock, fences: &[], ..asked };
        let done = self.try_releasing(&plain, limit).await?;
        Ok(done.and_then(|()| Err(ReleaseDocumentError::NotUpdated(error_of(&reply)))))
    }

    /// Gives back what a call has locked that nobody waits for any more, unless another call of its holder has joined it.
    pub(super) async fn hand_on(&self, place: &Place, lock: &Fence) -> Result<(), Ended> {
        let limit = self.documents.patient();
        self.release(place, lock, &Release::HandOn, &[], limit).await.map(drop)
    }

    async fn try_releasing(
        &self,
        asked: &Releasing<'_>,
        limit: Limit,
    ) -> Result<Result<(), ReleaseDocumentError>, Ended> {
        let mut tries = limit.tries();
        loop {
            let mut session = self.documents.session(limit).await?;
            let failed = match self.release_in(&mut session, asked).await {
                Ok(Tried::Done) => {
                    let command = rawdoc! { "unlockDocument": asked.place.collection.as_str() };
                    let (fences, changed) = (asked.fences(), [asked.lock.key()]);
                    let committed = self
                        .documents
                        .commit_relying(&mut session, fences, &changed, limit, &command)
                        .await;
                    match committed {
                        Ok(()) => return Ok(Ok(())),
                        Err(Failed::Store(error @ StoreError::OutcomeUnknown { .. })) => {
                            if !self.is_ended(asked.lock.key(), asked.request).await {
                                return Err(error.into());
                            }
                            return Ok(Ok(()));
                        }
                        Err(failed) => failed,
                    }
                }
                Ok(Tried::Shared) => {
                    self.abort(&mut session).await;
                    return Ok(Ok(()));
                }
                Ok(Tried::Lost) => {
                    self.abort(&mut session).await;
                    let holder = self.now_held_by(asked.place, asked.lock).await?;
                    return Ok(Err(lost(asked.lock, holder)));
                }
                Err(failed) => {
                    self.abort(&mut session).await;
                    failed
                }
            };
            self.again(failed, &mut tries).await?;
        }
    }

    async fn release_in(
        &self,
        session: &mut ClientSession,
        asked: &Releasing<'_>,
    ) -> Result<Tried, Failed> {
        self.documents.begin(session).await?;
        let ends = Ends {
            key: asked.lock.key().clone(),
            holder: asked.lock.holder().clone(),
            token: Some(asked.lock.token()),
        };
        let at_once = match asked.release {
            Release::HandOn => None,
            _ => self
                .locks
                .release_at_once_in(session, &ends, asked.request)
                .await
                .map_err(of_lock)?,
        };
        let is_it = |grant: &&StoredGrant| grant.token == stored(asked.lock.token());
        let grant = if let Some(was) = at_once {
            was.grants.into_iter().find(|grant| is_it(&grant))
        } else {
            let seen = self.locks.look_at(ends.key.as_str(), None, self.locks.now()).await;
            let seen = seen.map_err(of_lock)?;
            let grant = seen.document.iter().flat_map(|lock| &lock.grants).find(is_it);
            if matches!(asked.release, Release::HandOn) && grant.is_some_and(|grant| grant.joined) {
                return Ok(Tried::Shared);
            }
            let command = Command::Release(ends);
            let decide = |standing: &mut Standing| standing.execute(&command, asked.request);
            let changed = self.locks.change_in(session, &seen, None, decide).await;
            if changed.map_err(of_lock)?.is_err() {
                self.locks.confirm(&seen).await.map_err(of_lock)?;
                return Ok(Tried::Lost);
            }
            grant.cloned()
        };
        let command = asked.command(grant.and_then(|grant| grant.lock_time));
        let reply = self.documents.run_in(session, &asked.place.database, &command).await?;
        if number(&reply, "n") == Some(1) {
            return Ok(Tried::Done);
        }
        self.confirm(asked.lock).await?;
        Ok(Tried::Lost)
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
