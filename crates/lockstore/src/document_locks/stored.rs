//! A collection of a store, as the algorithm of document locks sees it: it looks on the caller's thread, and locks and waits in
//! the writer.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{Instant, LeaveCause, Refusal};

use super::{LockAnswer, LockableCollection, Looked, Take, Taken, TakenLock, Turn, Wanted};
use crate::documents::Namespace;
use crate::error::{DocumentError, LockDocumentError, unexpected};
use crate::operations::{Candidates, Place, Selector};
use crate::request::{Answer, Task};
use crate::store::Store;

/// A document that the caller has locked.
#[derive(Debug)]
pub(crate) struct HeldDocument {
    pub(crate) lock: TakenLock,
    /// Until when the lease may be relied on.
    pub(crate) valid_until: Option<Instant>,
}

/// Where a document is to be locked, and which one.
#[derive(Clone, Debug)]
pub(crate) struct StoredCollection {
    pub(crate) store: Store,
    pub(crate) namespace: Namespace,
    pub(crate) selector: Selector,
    /// How long one look may take.
    pub(crate) max_time: Option<Duration>,
    pub(crate) wanted: Arc<Wanted>,
}

impl StoredCollection {
    /// Looks, and gives what is to be asked of the writer; `None` when nothing matches.
    pub(crate) fn plan(&self, turn: Option<Turn>) -> Result<Option<Task>, DocumentError> {
        let engine = self.store.engine();
        let place = Place::new(engine, self.namespace.clone(), self.max_time);
        let query = place.query(&self.selector)?;
        let limit = engine.rivals.candidates();
        let Candidates { sequence, collection, records, error } =
            place.candidates(&query, Some(limit))?;
        if let Some(error) = error {
            return Err(error);
        }
        let Some(collection) = collection.filter(|_| !records.is_empty()) else { return Ok(None) };
        let take = Take {
            collection,
            candidates: records,
            filter: query.filter,
            order: query.order,
            wanted: Arc::clone(&self.wanted),
            seen: sequence,
            turn,
        };
        Ok(Some(Task::LockDocument(Box::new(take))))
    }

    /// What a look has come to, by the answer of the writer, who was asked then.
    pub(crate) fn looked(
        &self,
        asked_at: Instant,
        answer: Answer,
    ) -> Result<Looked<HeldDocument>, LockDocumentError> {
        let rivals = &self.store.engine().rivals;
        let taken = match answer {
            Answer::DocumentLock(answer) => match *answer {
                LockAnswer::Taken(taken) => taken,
                other => {
                    return Err(unexpected(&Answer::DocumentLock(Box::new(other))).into());
                }
            },
            Answer::Left(LeaveCause::SessionEnded) => return Err(LockDocumentError::SessionEnded),
            Answer::Failed(error) => return Err(error.into()),
            answer => return Err(unexpected(&answer).into()),
        };
        match taken {
            Taken::Locked(lock) => {
                // Who has waited has asked long ago; the lease counts from the hand-off, by the same clock.
                let valid_until = lock.lease.map(|lease| {
                    if lock.waited {
                        lease.expires_at
                    } else {
                        asked_at.saturating_add(lease.ttl.as_duration())
                    }
                });
                if !lock.waited {
                    rivals.note(Some(lock.tried));
                }
                Ok(Looked::Locked(HeldDocument { lock: *lock, valid_until }))
            }
            Taken::Unavailable(document) => Ok(Looked::Unavailable(document)),
            Taken::Again => {
                rivals.note(None);
                Ok(Looked::Changed(None))
            }
            Taken::LookAgain(number) => Ok(Looked::Changed(Some(number))),
            Taken::Failed(error) => Err(error.into()),
            Taken::Refused(refusal) => Err(self.refused(refusal)),
        }
    }

    fn refused(&self, refusal: Refusal) -> LockDocumentError {
        match refusal {
            Refusal::UnknownSession => LockDocumentError::SessionEnded,
            Refusal::OtherSession { .. } => {
                LockDocumentError::OtherSession { lock_id: self.wanted.lock_id.clone() }
            }
            Refusal::LimitReached { limit, max } => LockDocumentError::LimitReached { limit, max },
            refusal => unexpected(&Answer::Refused(refusal)).into(),
        }
    }
}

impl LockableCollection for StoredCollection {
    type Held = HeldDocument;
    type Error = LockDocumentError;

    fn now(&self) -> Instant {
        self.store.engine().clock.now()
    }

    fn take(&self, turn: Option<Turn>) -> Result<Looked<HeldDocument>, LockDocumentError> {
        let asked_at = self.now();
        match self.plan(turn)? {
            Some(task) => self.looked(asked_at, self.store.engine().call(task)),
            None => Ok(Looked::Nothing),
        }
    }

    fn wait(&self, _: Instant) {
        unreachable!("a stored collection waits in its writer")
    }
}
