//! Those who wait for documents.
//!
//! A waiter waits for its own look to succeed, not for one document. It has a *candidate*, the document that it would be given
//! now if nobody had locked it; each document that changes is compared with that, in the order in which the waiters came. So a
//! document that is released is locked by the first waiter that it concerns in the same commit. What cannot be told from
//! one document, the waiter's own thread finds out by looking again.

use std::collections::BTreeMap;
use std::sync::Arc;

use docquery::sort::SortKey;
use lockcore::wheel::{Poll, TimerId, Wheel};
use lockcore::{Instant, LeaveCause, Limit, Refusal, SessionId};

use super::lock_document::NotTaken;
use super::{Moment, Writer};
use crate::disk::Direction;
use crate::document_locks::{
    DocumentAt, LockAnswer, Meeting, Take, Taken, TakenLock, Ticket, Turn,
};
use crate::documents::contained::contained;
use crate::documents::plan::Order;
use crate::documents::{CollectionId, Match, RecordId};
use crate::error::DocumentError;
use crate::request::{Answer, Reply};
use crate::slot::{Slot, Waiting};

/// Those who wait, in the order of their arrival within each collection.
#[derive(Debug)]
pub(super) struct DocumentWaiters {
    waiters: BTreeMap<Ticket, Waiter>,
    /// When they look again at the latest.
    wheel: Wheel<Ticket>,
    next_number: u64,
    /// How many documents may still be compared with candidates in this batch.
    comparisons_left: usize,
}

#[derive(Debug)]
struct Waiter {
    take: Arc<Take>,
    candidate: Candidate,
    timer: TimerId,
    slot: Arc<Slot>,
}

/// The document that a waiter would be given.
#[derive(Clone, Debug)]
struct Candidate {
    record: RecordId,
    /// Where it stands in the waiter's order; `None` when that does not matter.
    rank: Option<Rank>,
}

/// A place in an order. Of documents that sort alike, the first that was inserted comes first.
type Rank = (Option<SortKey>, u64);

/// What a document that has changed is to a waiter.
#[derive(Debug)]
enum Concern {
    Nothing,
    /// It is the one that the waiter is given, and can be had.
    Takeable,
    /// It is the one that the waiter is given, and is locked.
    Candidate(Candidate),
    /// It was, and is no more: which one is now, only a look can tell.
    Lost,
    /// That is too much work for the writer to find out.
    Unknown,
}

impl DocumentWaiters {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiters: BTreeMap::new(),
            wheel: Wheel::new(now),
            next_number: 0,
            comparisons_left: COMPARISONS_PER_BATCH,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.comparisons_left = COMPARISONS_PER_BATCH;
    }

    /// When somebody is to look again.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// Everybody, when the store stops.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Reply> {
        let waiters = std::mem::take(&mut self.waiters).into_values();
        waiters.map(|waiter| Reply::Caller(waiter.slot))
    }

    fn insert(
        &mut self,
        ticket: Ticket,
        turn: Turn,
        take: Arc<Take>,
        candidate: Candidate,
        slot: Arc<Slot>,
    ) {
        let timer = self.wheel.set(turn.look_again_at, ticket);
        let before = self.waiters.insert(ticket, Waiter { take, candidate, timer, slot });
        assert!(before.is_none(), "{ticket:?} waits twice");
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiters.remove(&ticket)?;
        self.wheel.cancel(waiter.timer);
        Some(waiter)
    }

    /// The number of somebody who waits: its own, if it has waited before.
    fn number(&mut self, turn: Turn) -> u64 {
        turn.number.unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number
        })
    }

    fn of(&self, collection: CollectionId) -> Vec<Ticket> {
        let [first, last] = [0, u64::MAX].map(|number| Ticket { collection, number });
        self.waiters.range(first..=last).map(|(ticket, _)| *ticket).collect()
    }
}

impl Writer {
    /// Has the caller wait, whose look has found that `document` is locked by another. It does not when something that concerns
    /// it has changed since that look.
    pub(super) fn await_document(
        &mut self,
        take: Take,
        turn: Turn,
        candidate: RecordId,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let taken = match self.may_wait(&take, candidate, moment) {
            Ok(Some(candidate)) => {
                let Reply::Caller(slot) = reply else { return };
                let number = self.document_waiters.number(turn);
                let ticket = Ticket { collection: take.collection, number };
                if slot.queued(Waiting::Document(ticket)) {
                    let take = Arc::new(take);
                    self.document_waiters.insert(ticket, turn, take, candidate, slot);
                }
                return;
            }
            Ok(None) => Taken::Again,
            Err(error) => error.into(),
        };
        self.answer_taken(reply, taken);
    }

    /// The candidate of somebody who may wait; `None` when it is worth looking again.
    fn may_wait(
        &mut self,
        take: &Take,
        record: RecordId,
        moment: Moment<'_>,
    ) -> Result<Option<Candidate>, NotTaken> {
        let waiters_max = moment.around.waiters_max;
        if self.table.waiters_len() + self.document_waiters.len() >= waiters_max {
            return Err(Refusal::LimitReached { limit: Limit::Waiters, max: waiters_max }.into());
        }
        if take.wanted.session.is_some_and(|session| !self.table.session_lives(session)) {
            return Err(Refusal::UnknownSession.into());
        }
        let at = (take.collection, record);
        let nobody = Candidate { record, rank: None };
        let seen = Some(take.seen);
        let candidate = match self.concern(take, &nobody, at, seen, moment)? {
            Concern::Candidate(candidate) => candidate,
            Concern::Nothing => nobody,
            Concern::Takeable | Concern::Lost | Concern::Unknown => return Ok(None),
        };
        let Some(changed) = self.documents.changed_since(take.seen, take.collection) else {
            return Ok(None);
        };
        let others = changed.filter(|changed| *changed != record);
        let changed: Vec<_> = others.take(LOOKED_AT_MAX + 1).collect();
        if changed.len() > LOOKED_AT_MAX {
            return Ok(None);
        }
        for changed in changed {
            let at = (take.collection, changed);
            let is_news =
                !matches!(self.concern(take, &candidate, at, None, moment)?, Concern::Nothing);
            if is_news || self.documents.has_no_steps_left() {
                return Ok(None);
            }
        }
        Ok(Some(candidate))
    }

    /// What a document is, as it is now, to somebody who waits. On the reading of `seen` it matched.
    fn concern(
        &mut self,
        take: &Take,
        candidate: &Candidate,
        at: DocumentAt,
        seen: Option<u64>,
        moment: Moment<'_>,
    ) -> Result<Concern, DocumentError> {
        let is_candidate = candidate.record == at.1;
        let document = match self.documents.matching(&take.filter, seen, at, moment.ground)? {
            Match::Found(document) => document,
            Match::Passed if is_candidate => return Ok(Concern::Lost),
            Match::Passed => return Ok(Concern::Nothing),
            Match::Left => return Ok(Concern::Unknown),
        };
        let rank = contained(|| {
            Ok(match &take.order {
                Order::Found => None,
                Order::Natural(Direction::Forward) => Some((None, at.1.get())),
                Order::Natural(Direction::Backward) => Some((None, u64::MAX - at.1.get())),
                Order::By { sort, .. } => Some((Some(sort.key((&*document).into())?), at.1.get())),
            })
        })?;
        let is_takeable = take.wanted.meets(&document) != Meeting::Held;
        Ok(match (rank, &candidate.rank) {
            // Without an order, any that can be had is the first.
            (None, _) if is_takeable => Concern::Takeable,
            (None, _) => Concern::Nothing,
            (Some(rank), Some(before)) if is_candidate && rank > *before => Concern::Lost,
            (Some(rank), Some(before)) if !is_candidate && rank > *before => Concern::Nothing,
            (Some(_), _) if is_takeable => Concern::Takeable,
            (rank, _) => Concern::Candidate(Candidate { record: at.1, rank }),
        })
    }

    /// A document has changed: tells the waiters whom it concerns, in their order, and locks it for the first who gets it.
    pub(super) fn serve_waiters(&mut self, at: DocumentAt, moment: Moment<'_>) {
        for ticket in self.document_waiters.of(at.0) {
            let Some(waiter) = self.document_waiters.waiters.get(&ticket) else { continue };
            if waiter.slot.is_closed() {
                self.document_waiters.remove(ticket);
                continue;
            }
            let left = self.document_waiters.comparisons_left.checked_sub(1);
            let Some(left) = left.filter(|_| !self.documents.has_no_steps_left()) else {
                self.tell_waiter(ticket, Taken::LookAgain(ticket.number));
                continue;
            };
            self.document_waiters.comparisons_left = left;
            let (take, candidate) = (Arc::clone(&waiter.take), waiter.candidate.clone());
            match self.concern(&take, &candidate, at, None, moment) {
                Ok(Concern::Nothing) => {}
                Ok(Concern::Lost | Concern::Unknown) => {
                    self.tell_waiter(ticket, Taken::LookAgain(ticket.number));
                }
                Ok(Concern::Candidate(candidate)) => {
                    if let Some(waiter) = self.document_waiters.waiters.get_mut(&ticket) {
                        waiter.candidate = candidate;
                    }
                }
                Ok(Concern::Takeable) => match self.take_matching(&take, at, moment) {
                    Ok(Some(lock)) => {
                        let lock = TakenLock { waited: true, ..lock };
                        self.tell_waiter(ticket, Taken::Locked(Box::new(lock)));
                        // The document has changed once more, and the others are told of that.
                        return;
                    }
                    Ok(None) => self.tell_waiter(ticket, Taken::LookAgain(ticket.number)),
                    // It looks again with the update worked out.
                    Err(NotTaken::TooMuch) => {
                        self.tell_waiter(ticket, Taken::TooMuch(Some(ticket.number)));
                    }
                    Err(error) => self.tell_waiter(ticket, error.into()),
                },
                Err(error) => self.tell_waiter(ticket, Taken::Failed(error)),
            }
        }
    }

    /// Has those look again whose time has come: a bounded number.
    pub(super) fn serve_waiting_times(&mut self, moment: Moment<'_>) {
        let mut moves_left = super::TIMERS_MOVED_MAX;
        for _ in 0..super::TIMERS_FIRED_MAX {
            let waiters = &mut self.document_waiters;
            let Poll::Due { value: &ticket, .. } =
                waiters.wheel.poll(moment.now.instant, &mut moves_left)
            else {
                return;
            };
            self.tell_waiter(ticket, Taken::LookAgain(ticket.number));
        }
    }

    /// The collections of some are gone: their waiters look again.
    pub(super) fn send_waiters_of_dropped(&mut self) {
        let catalog = self.documents.catalog();
        let is_gone = |ticket: &&Ticket| catalog.collection_with(ticket.collection).is_none();
        let gone: Vec<_> = self.document_waiters.waiters.keys().filter(is_gone).copied().collect();
        for ticket in gone {
            self.tell_waiter(ticket, Taken::LookAgain(ticket.number));
        }
    }

    /// A session ends, and the waits that are bound to it.
    pub(super) fn end_waits_of(&mut self, session: SessionId) {
        let waiters = &mut self.document_waiters;
        let is_bound = |waiter: &Waiter| waiter.take.wanted.session == Some(session);
        let bound = waiters.waiters.iter().filter(|(_, waiter)| is_bound(waiter));
        let bound: Vec<_> = bound.map(|(ticket, _)| *ticket).collect();
        for ticket in bound {
            if let Some(waiter) = waiters.remove(ticket) {
                let answer = Answer::Left(LeaveCause::SessionEnded);
                self.batch.answers.push((Reply::Caller(waiter.slot), answer));
            }
        }
    }

    /// Somebody waits no longer.
    pub(super) fn cancel_document(&mut self, ticket: Ticket) {
        self.document_waiters.remove(ticket);
    }

    fn tell_waiter(&mut self, ticket: Ticket, taken: Taken) {
        if let Some(waiter) = self.document_waiters.remove(ticket) {
            let answer = Answer::DocumentLock(Box::new(LockAnswer::Taken(taken)));
            self.answer_waiter(waiter.slot, answer);
        }
    }

    pub(super) fn answer_taken(&mut self, reply: Reply, taken: Taken) {
        self.answer_lock(reply, LockAnswer::Taken(taken));
    }
}

/// How many documents one batch compares with the candidates of waiters: whoever is not reached looks again by itself.
const COMPARISONS_PER_BATCH: usize = 4_096;

/// How many documents that have changed since a look are compared before somebody waits. Where more have, it is cheaper to
/// look again.
const LOOKED_AT_MAX: usize = 4_096;
