//! A collection of a store, as the algorithm of document locks sees it: it looks on the caller's thread, and locks and waits in
//! the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use docquery::Filter;
use lockcore::{Instant, LeaveCause, Refusal, Ttl};

use super::{
    LockAnswer, LockFields, LockUpdate, LockableCollection, Look, Looked, Take, Taken, TakenLock,
    Wanted, WorkedOut,
};
use crate::client_sessions::Origin;
use crate::documents::{CollectionId, Namespace, RecordId, Scope};
use crate::engine::Engine;
use crate::error::{DocumentError, LockDocumentError, unexpected};
use crate::fence::Fence;
use crate::operations::{Candidates, Place, Selector};
use crate::request::{Answer, Task};

/// A document that the caller has locked.
#[derive(Debug, PartialEq)]
pub struct HeldDocument {
    /// What it is now, as it is shown.
    pub document: RawDocumentBuf,
    /// The grant behind its lock.
    pub fence: Fence,
    /// How long a lease lasts, if it has one.
    pub ttl: Option<Ttl>,
    /// Until when the lease may be relied on.
    pub valid_until: Option<Instant>,
    /// Whether the same `lock_id` held it already.
    pub rejoined: bool,
}

impl HeldDocument {
    /// A document that was locked just now.
    pub(crate) fn of(lock: TakenLock, valid_until: Option<Instant>) -> Self {
        Self {
            document: lock.document,
            fence: Fence { key: lock.key, holder: lock.lock_id, token: lock.token },
            ttl: lock.lease.map(|lease| lease.ttl),
            valid_until,
            rejoined: lock.rejoined,
        }
    }
}

/// Where a document is to be locked, and which one.
#[derive(Debug)]
pub(crate) struct StoredCollection {
    pub(crate) engine: Arc<Engine>,
    pub(crate) namespace: Namespace,
    pub(crate) selector: Selector,
    /// How long one look may take.
    pub(crate) max_time: Option<Duration>,
    pub(crate) wanted: Arc<Wanted>,
    /// By what the answer is remembered, if it is.
    pub(crate) origin: Option<Arc<Origin>>,
    /// Whether the update is more work than the writer has time for.
    pub(crate) works_out: AtomicBool,
}

impl StoredCollection {
    /// Looks, and gives what is to be asked of the writer; `None` when nothing matches.
    pub(crate) fn plan(&self, look: Look) -> Result<Option<Task>, DocumentError> {
        let engine = &self.engine;
        let scope = Scope::new(engine, None, Vec::new());
        let passed = engine.clock.now().saturating_since(look.began);
        let time_left = self.max_time.map(|limit| limit.saturating_sub(passed));
        let place = Place::new(scope, self.namespace.clone(), time_left);
        place.check_time()?;
        let query = place.query(&self.selector)?;
        let limit = engine.rivals.candidates();
        let Candidates { sequence, collection, records, error } =
            place.candidates(&query, Some(limit))?;
        if let Some(error) = error {
            return Err(error);
        }
        let Some(collection) = collection.filter(|_| !records.is_empty()) else { return Ok(None) };
        let worked_out = match &self.wanted.update {
            Some(update) if self.works_out.load(Ordering::Relaxed) => {
                self.work_out(update, &query.filter, collection, records[0])?
            }
            _ => None,
        };
        let take = Take {
            collection,
            candidates: records,
            filter: query.filter,
            order: query.order,
            wanted: Arc::clone(&self.wanted),
            seen: sequence,
            worked_out,
            turn: look.turn,
        };
        Ok(Some(Task::LockDocument(Box::new(take)).remembered_by(self.origin.clone())))
    }

    /// What the update makes of a document, as of now; `None` if it is gone or does not match any more.
    fn work_out(
        &self,
        update: &LockUpdate,
        filter: &Filter,
        collection: CollectionId,
        record: RecordId,
    ) -> Result<Option<WorkedOut>, DocumentError> {
        let engine = &self.engine;
        let reading = engine.reading()?;
        if reading.catalog().collection_with(collection).is_none() {
            return Ok(None);
        }
        let Some(document) = reading.document(collection, record)? else { return Ok(None) };
        if !filter.matches(document.raw())? {
            return Ok(None);
        }
        let now_ms = i64::try_from(engine.clock.wall().as_millis()).unwrap_or(i64::MAX);
        let fields = LockFields {
            lock_id: &self.wanted.lock_id,
            since_ms: now_ms,
            expires_at_ms: self.wanted.ttl.map(|ttl| {
                now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
            }),
            token: None,
        };
        let stamp = |document: &RawDocument| fields.stamp(document);
        let seen = reading.sequence();
        let after = update.apply(document.raw(), Some(filter), now_ms, u64::MAX, stamp)?;
        Ok(after.map(|(after, _)| WorkedOut { record, seen, after }))
    }

    /// What a look has come to, by the answer of the writer, who was asked then.
    pub(crate) fn looked(
        &self,
        asked_at: Instant,
        answer: Answer,
    ) -> Result<Looked<HeldDocument>, LockDocumentError> {
        let rivals = &self.engine.rivals;
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
                Ok(Looked::Locked(HeldDocument::of(*lock, valid_until)))
            }
            Taken::Unavailable(document) => Ok(Looked::Unavailable(document)),
            Taken::Again => {
                rivals.note(None);
                Ok(Looked::Changed(None))
            }
            Taken::LookAgain(number) => Ok(Looked::Changed(Some(number))),
            Taken::TooMuch(number) => {
                self.works_out.store(true, Ordering::Relaxed);
                Ok(Looked::Changed(number))
            }
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
        self.engine.clock.now()
    }

    fn take(&self, look: Look) -> Result<Looked<HeldDocument>, LockDocumentError> {
        let asked_at = self.now();
        match self.plan(look)? {
            Some(task) => self.looked(asked_at, self.engine.call(task)),
            None => Ok(Looked::Nothing),
        }
    }

    fn wait(&self, _: Instant) {
        unreachable!("a stored collection waits in its writer")
    }
}
