//! Locks of documents that are held: prolonging them, and giving them back.

use std::sync::Arc;

use bson::RawDocumentBuf;
use lockcore::{Command, Outcome, Renew, Ttl};

use super::fields;
use super::side_grant::document_of;
use super::{DocumentAt, GiveBack, GivenBack, LockAnswer, Release, WorkedOut};
use crate::client_sessions::{Memo, ReplyOf, RetryableWrite};
use crate::engine::Engine;
use crate::error::{DocumentError, ReleaseDocumentError, StoreError, unexpected};
use crate::fence::Fence;
use crate::request::{Answer, Task};

/// What holding and releasing the locks of documents needs of the place where these are: the other half of
/// [`LockableCollection`](super::LockableCollection). A lock is known by the grant behind it.
pub(crate) trait HeldLocks {
    /// Whether a document is locked by this grant, as of the last commit.
    fn holds(&self, lock: &Fence) -> Result<bool, StoreError>;

    /// Begins the lease anew, for `ttl` or for its own TTL, and gives how long it lasts; `None` when it has no end.
    fn renew(&self, lock: &Fence, ttl: Option<Ttl>) -> Result<Option<Ttl>, ReleaseDocumentError>;

    /// Releases the document, in one step with its update or deletion, if it is still locked by this grant. An update that fails
    /// is left out.
    fn give_back(&self, lock: &Fence, release: Release) -> Result<(), ReleaseDocumentError>;

    /// As [`give_back`](Self::give_back), in the background: what goes wrong stands in the log.
    fn give_back_later(&self, lock: &Fence, release: Release);
}

/// The locks of documents of a store in this process.
#[derive(Debug)]
pub(crate) struct StoredLocks<'e> {
    engine: &'e Arc<Engine>,
    /// What updates and deletions on release rely on.
    fences: &'e [Fence],
    /// The command that this is part of, if it may come again: its release is remembered.
    write: Option<&'e RetryableWrite<'e>>,
}

impl<'e> StoredLocks<'e> {
    pub(crate) fn new(engine: &'e Arc<Engine>) -> Self {
        Self { engine, fences: &[], write: None }
    }

    /// The same, for a command that may come again.
    pub(crate) fn of(self, write: Option<&'e RetryableWrite<'e>>) -> Self {
        Self { write, ..self }
    }

    pub(crate) fn fenced_by(self, fences: &'e [Fence]) -> Self {
        Self { fences, ..self }
    }

    /// The release of a lock; `None` where there is no such document.
    fn task(&self, lock: &Fence, release: Release) -> Option<GiveBack> {
        let Fence { key, holder, token } = lock.clone();
        let at = document_of(&key)?;
        let fences = self.fences.to_vec();
        Some(GiveBack { at, key, lock_id: holder, token, release, worked_out: None, fences })
    }

    fn ask(&self, give_back: GiveBack) -> Result<GivenBack, StoreError> {
        let task = Task::UnlockDocument(Box::new(give_back));
        let answer = match self.write {
            Some(write) => {
                let of = ReplyOf::new(|answer| is_released(answer).then(RawDocumentBuf::new));
                write.call(task, Memo::Reply { statement: 0, of })
            }
            None => self.engine.call(task),
        };
        match answer {
            Answer::DocumentLock(answer) => match *answer {
                LockAnswer::GivenBack(outcome) => Ok(outcome),
                other => Err(unexpected(&Answer::DocumentLock(Box::new(other)))),
            },
            Answer::Failed(error) => Err(error),
            answer => Err(unexpected(&answer)),
        }
    }

    /// What the update on release makes of the document, as of now; `None` if it is gone.
    fn work_out(&self, give_back: &GiveBack) -> Result<Option<WorkedOut>, DocumentError> {
        let Release::Update(update) = &give_back.release else { return Ok(None) };
        let (collection, record) = give_back.at;
        let reading = self.engine.reading()?;
        if reading.catalog().collection_with(collection).is_none() {
            return Ok(None);
        }
        let Some(document) = reading.document(collection, record)? else { return Ok(None) };
        let now_ms = i64::try_from(self.engine.clock.wall().as_millis()).unwrap_or(i64::MAX);
        let after = update.apply(document.raw(), None, now_ms, u64::MAX, fields::unlocked)?;
        let seen = reading.sequence();
        Ok(after.map(|(after, _)| WorkedOut { record, seen, after }))
    }

    /// Who has locked a document now.
    fn now_held_by(&self, at: Option<DocumentAt>) -> Result<Option<String>, DocumentError> {
        let Some((collection, record)) = at else { return Ok(None) };
        let reading = self.engine.reading()?;
        if reading.catalog().collection_with(collection).is_none() {
            return Ok(None);
        }
        let document = reading.document(collection, record)?;
        Ok(document.and_then(|document| fields::holder(document.raw())))
    }
}

fn is_released(answer: &Answer) -> bool {
    let Answer::DocumentLock(answer) = answer else { return false };
    matches!(**answer, LockAnswer::GivenBack(GivenBack::Released))
}

impl HeldLocks for StoredLocks<'_> {
    fn holds(&self, lock: &Fence) -> Result<bool, StoreError> {
        self.engine.check_usable()?;
        let view = self.engine.published.view();
        let standing = view.lock(&lock.key).and_then(|held| held.grant_with(lock.token));
        Ok(standing.is_some_and(|grant| grant.holder == lock.holder))
    }

    fn renew(&self, lock: &Fence, ttl: Option<Ttl>) -> Result<Option<Ttl>, ReleaseDocumentError> {
        let Fence { key, holder, token } = lock.clone();
        let at = document_of(&key);
        let renew = Command::Renew(Renew { key, holder, token: Some(token), ttl });
        match self.engine.call(Task::Command(renew)) {
            Answer::Done(Outcome::Renewed(renewed)) => Ok(renewed.lease.map(|lease| lease.ttl)),
            Answer::Refused(_) => {
                // Who holds it now, only the document can tell: a grant stands behind few of its locks.
                let now_held_by = self.now_held_by(at)?;
                Err(ReleaseDocumentError::LockLost { lock_id: lock.holder.clone(), now_held_by })
            }
            Answer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    fn give_back(&self, lock: &Fence, release: Release) -> Result<(), ReleaseDocumentError> {
        let lost = |now_held_by| {
            Err(ReleaseDocumentError::LockLost { lock_id: lock.holder.clone(), now_held_by })
        };
        let Some(mut give_back) = self.task(lock, release) else { return lost(None) };
        let mut not_updated = None;
        loop {
            match self.ask(give_back.clone())? {
                GivenBack::Released => {
                    return not_updated
                        .map_or(Ok(()), |it| Err(ReleaseDocumentError::NotUpdated(it)));
                }
                GivenBack::NotUpdated(error) => {
                    return Err(ReleaseDocumentError::NotUpdated(error));
                }
                GivenBack::Lost(now_held_by) => return lost(now_held_by),
                GivenBack::TooMuch => match self.work_out(&give_back) {
                    Ok(worked_out) => give_back.worked_out = worked_out,
                    Err(error) => {
                        give_back.release = Release::Unlock;
                        not_updated = Some(error);
                    }
                },
                GivenBack::Failed(error) => return Err(error.into()),
            }
        }
    }

    fn give_back_later(&self, lock: &Fence, release: Release) {
        if let Some(give_back) = self.task(lock, release) {
            self.engine.post_or_warn(Task::UnlockDocument(Box::new(give_back)));
        }
    }
}
