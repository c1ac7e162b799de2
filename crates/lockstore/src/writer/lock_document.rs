//! The lock of a document, in the writer: decided on the document as it is now, and made with its update and its grant at once.

use bson::{RawDocument, RawDocumentBuf};
use docquery::Filter;
use lockcore::{
    Acquire, Command, Granted, Holder, Key, Lease, Mode, Outcome, Refusal, Token, Transition, Wait,
};

use super::document_locks::{millis, shown};
use super::{Moment, Writer};
use crate::document_locks::fields::{self, LockFields, with_expiry};
use crate::document_locks::{DocumentAt, LockUpdate, Meeting, Take, Taken, TakenLock, WorkedOut};
use crate::documents::contained::contained;
use crate::documents::{Match, RecordId, STEPS_PER_TASK};
use crate::error::DocumentError;
use crate::request::Reply;

/// What a document is to somebody who wants to lock it.
enum Look {
    /// It is gone, or does not match any more.
    Passed,
    Locked(Box<TakenLock>),
    /// It is locked by another.
    Held(RawDocumentBuf, RecordId),
}

/// A side grant that can be had.
enum Grantable {
    Now(Box<Transition>),
    /// Once the grant of this token is over.
    OnceOver(Token),
}

/// Why a document was not locked. Nothing has changed.
pub(super) enum NotTaken {
    Refused(Refusal),
    Failed(DocumentError),
    /// Whether the document matches is too much work to find out.
    LookAgain,
    /// What the update makes of it is too much work.
    TooMuch,
}

impl Writer {
    /// Locks the first document that still matches, if it is to be had.
    pub(super) fn lock_document(&mut self, take: Take, reply: Reply, moment: Moment<'_>) {
        let taken = match (self.look_at_candidates(&take, moment), take.turn) {
            (Ok(Look::Held(_, record)), Some(turn)) => {
                return self.await_document(take, turn, record, reply, moment);
            }
            (Ok(Look::Held(document, _)), None) => Taken::Unavailable(document),
            (Ok(Look::Locked(lock)), _) => Taken::Locked(lock),
            (Ok(Look::Passed), _) => Taken::Again,
            (Err(error), _) => error.into(),
        };
        self.answer_taken(reply, taken);
    }

    fn look_at_candidates(&mut self, take: &Take, moment: Moment<'_>) -> Result<Look, NotTaken> {
        if self.documents.catalog().collection_with(take.collection).is_none() {
            return Ok(Look::Passed);
        }
        for (index, record) in take.candidates.iter().enumerate() {
            let at = (take.collection, *record);
            match self.look(take, at, moment)? {
                Look::Passed => {}
                Look::Locked(lock) => {
                    return Ok(Look::Locked(Box::new(TakenLock { tried: index + 1, ..*lock })));
                }
                held @ Look::Held(..) => return Ok(held),
            }
        }
        Ok(Look::Passed)
    }

    /// Looks at one document, and locks it if it is to be had.
    fn look(&mut self, take: &Take, at: DocumentAt, moment: Moment<'_>) -> Result<Look, NotTaken> {
        // A lease that has run out does not have to wait for its expiry's turn.
        if moment.around.with_timers && self.expire_overdue(at, moment) {
            self.follow(moment);
        }
        let seen = Some(take.seen);
        let before = match self.documents.matching(&take.filter, seen, at, moment.ground)? {
            Match::Found(before) => before,
            Match::Passed => return Ok(Look::Passed),
            Match::Left => return Err(NotTaken::LookAgain),
        };
        let locked = self.take_if_had(take, at, &before, moment)?;
        Ok(match locked {
            Some(lock) => Look::Locked(Box::new(lock)),
            None => Look::Held(before, at.1),
        })
    }

    /// Locks a document for somebody who waits, if it matches and is to be had.
    pub(super) fn take_matching(
        &mut self,
        take: &Take,
        at: DocumentAt,
        moment: Moment<'_>,
    ) -> Result<Option<TakenLock>, NotTaken> {
        match self.documents.matching(&take.filter, None, at, moment.ground)? {
            Match::Found(before) => self.take_if_had(take, at, &before, moment),
            Match::Passed | Match::Left => Ok(None),
        }
    }

    fn take_if_had(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<Option<TakenLock>, NotTaken> {
        let meeting = take.wanted.meets(before);
        if meeting != Meeting::Held {
            self.check_fences(&take.wanted.fences, moment)?;
        }
        match meeting {
            Meeting::Takeable => self.grant_document(take, at, before, moment).map(Some),
            Meeting::Own => self.rejoin_document(take, at, before, moment).map(Some),
            Meeting::Held => Ok(None),
        }
    }

    /// Ends the side grant of a document if its lease has run out, and tells whether it did.
    fn expire_overdue(&mut self, at: DocumentAt, moment: Moment<'_>) -> bool {
        let Some((key, _)) = self.side_grant(at) else { return false };
        let Some(expire) = self.table.overdue(key, moment.now.instant) else { return false };
        let expired = self.table.decide(moment.now, &expire);
        self.apply(&expired.expect("what is overdue can expire"), moment);
        true
    }

    /// Locks a document: from whoever held it, if the caller breaks locks.
    fn grant_document(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<TakenLock, NotTaken> {
        let wanted = &take.wanted;
        let key = self.side_key(at);
        let acquire = acquire(take, &key);
        let grantable = self.grantable(&acquire, moment)?;
        let token = self.table.next_token();
        let lease = wanted.ttl.map(|ttl| Lease::starting(moment.now.instant, ttl));
        let lock_fields = LockFields {
            lock_id: &wanted.lock_id,
            since_ms: millis(moment),
            expires_at_ms: lease.map(|lease| shown(lease, moment)),
            token: wanted.show_token.then_some(token),
        };
        let stamp = |document: &RawDocument| lock_fields.stamp(document);
        let after = match &wanted.update {
            Some(update) => {
                let filter = Some(&*take.filter);
                let source = (update, filter, take.worked_out.as_ref());
                self.updated(at, before, source, stamp, moment)?.ok_or(NotTaken::TooMuch)?
            }
            None => stamp(before),
        };
        let prepared = self.documents.prepare(at, before, Some(after.clone()), moment.ground)?;
        // From here on nothing can fail.
        let transition = match grantable {
            Grantable::Now(transition) => *transition,
            Grantable::OnceOver(token) => {
                self.end_grant(&key, token, moment);
                let granted = self.table.decide(moment.now, &Command::Acquire(acquire));
                granted.expect("it was found out that it can be granted")
            }
        };
        self.apply(&transition, moment);
        let granted = granted(&transition);
        assert!(granted.token == token, "the document shows {token}: {granted:?}");
        self.documents.put(prepared);
        Ok(TakenLock::new(after, at, key, wanted.lock_id.clone(), granted))
    }

    /// What an update makes of a document; `None` when the caller is to work that out, and has not on what is there now.
    pub(super) fn updated(
        &mut self,
        at: DocumentAt,
        before: &RawDocument,
        (update, filter, worked_out): (&LockUpdate, Option<&Filter>, Option<&WorkedOut>),
        mark: impl Fn(&RawDocument) -> RawDocumentBuf,
        moment: Moment<'_>,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        let is_good =
            |it: &&WorkedOut| it.record == at.1 && self.documents.is_unchanged(it.seen, at.0, at.1);
        if let Some(worked_out) = worked_out.filter(is_good) {
            return Ok(Some(mark(&worked_out.after)));
        }
        let updated =
            contained(|| update.apply(before, filter, millis(moment), STEPS_PER_TASK, mark))?;
        Ok(updated.map(|(after, steps)| {
            self.documents.spend(steps);
            after
        }))
    }

    /// Whether a side grant can be had, now or once the one that is there is over.
    fn grantable(&self, acquire: &Acquire, moment: Moment<'_>) -> Result<Grantable, Refusal> {
        let mut probe = acquire.clone();
        let standing = self.table.lock(&acquire.key).and_then(|lock| lock.grants().next());
        let Some(standing) = standing else {
            let transition = self.table.decide(moment.now, &Command::Acquire(probe))?;
            return Ok(Grantable::Now(Box::new(transition)));
        };
        // Somebody who is another than who holds it is asked whether the session has room for one more.
        if standing.session != acquire.session {
            probe.holder = other_than(&standing.holder);
        }
        match self.table.decide(moment.now, &Command::Acquire(probe)) {
            Ok(_) | Err(Refusal::Held(_)) => Ok(Grantable::OnceOver(standing.token)),
            Err(refusal) => Err(refusal),
        }
    }

    /// The caller's own lock once more: the same grant with a new lease, and the document is not updated.
    fn rejoin_document(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<TakenLock, NotTaken> {
        let key = self.side_key(at);
        let command = Command::Acquire(acquire(take, &key));
        let transition = self.table.decide(moment.now, &command)?;
        let granted = granted(&transition);
        let (token, lease) = (granted.token, granted.lease);
        let mut after = with_expiry(before, lease.map(|lease| shown(lease, moment)));
        if take.wanted.show_token {
            after = fields::with_token(&after, token);
        }
        let prepared = if *after == *before {
            None
        } else {
            Some(self.documents.prepare(at, before, Some(after.clone()), moment.ground)?)
        };
        self.apply(&transition, moment);
        if granted.rejoined {
            self.joined.insert(token);
        }
        if let Some(prepared) = prepared {
            self.documents.put(prepared);
        }
        Ok(TakenLock::new(after, at, key, take.wanted.lock_id.clone(), granted))
    }
}

/// What somebody who does not wait was granted.
fn granted(transition: &Transition) -> &Granted {
    let Outcome::Granted(granted) = &transition.outcome else {
        unreachable!("who does not wait is granted something or refused")
    };
    granted
}

fn acquire(take: &Take, key: &Key) -> Acquire {
    Acquire {
        key: key.clone(),
        holder: take.wanted.lock_id.clone(),
        mode: Mode::Exclusive,
        ttl: take.wanted.ttl,
        session: take.wanted.session,
        wait: Wait::No,
    }
}

/// Some holder that is another.
fn other_than(holder: &Holder) -> Holder {
    let other = if holder.as_str() == "a" { "b" } else { "a" };
    Holder::new(other).expect("it is short, and not empty")
}

impl From<NotTaken> for Taken {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Refused(refusal) => Self::Refused(refusal),
            NotTaken::Failed(error) => Self::Failed(error),
            NotTaken::LookAgain => Self::Again,
            NotTaken::TooMuch => Self::TooMuch(None),
        }
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DocumentError> for NotTaken {
    fn from(error: DocumentError) -> Self {
        Self::Failed(error)
    }
}
