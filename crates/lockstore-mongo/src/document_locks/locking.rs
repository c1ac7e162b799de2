//! `lockDocument`: looks, and between them waits.

use std::future::ready;
use std::sync::Arc;

use bson::{Bson, RawDocument, RawDocumentBuf};
use lockcore::Instant;
use lockstore::StoreError;
use lockstore::remote::serving::document_locks::{
    Acquisition, Found, HeldDocument, LockDocument, Looked as Come, Mode, Next, locked,
};

use super::DocumentLocks;
use super::in_time::{LOCKING, unknown};
use super::looking::Looked;
use super::side_grant::Place;
use super::taking::{Left, Which};
use super::transaction::Ended;
use super::wants::{Wants, names_one};
use crate::documents::Limit;
use crate::locks::GivenUp;

impl DocumentLocks {
    /// Locks a document, and waits for it as long as the command says, or until whoever has asked gives up. What is locked too late is given
    /// back.
    pub(super) async fn lock(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
        given_up: &GivenUp,
    ) -> Result<RawDocumentBuf, StoreError> {
        let wanted = match LockDocument::parse(command, self.clock.now(), self.clock.wall()) {
            Ok(wanted) => wanted,
            Err(refused) => return Ok(refused),
        };
        self.freeing.begin(&self.locks);
        let deadline = deadline.or(wanted.patience.map(|patience| patience.deadline));
        let ends_at = deadline.map(|deadline| deadline.saturating_add(LAST_LOOK));
        let ends_at = ends_at.unwrap_or_else(|| self.locks.patient_until());
        let limit = self.documents.limit(Some(ends_at));
        let lock_id = wanted.lock_id.clone();
        let (late, mut given_up) = given_up.or_late();
        let (own, there) = (Arc::clone(self), place.clone());
        let work = async move { own.found(&there, &wanted, limit, &mut given_up).await };
        let (own, there) = (Arc::clone(self), place.clone());
        let give_back = move |found| {
            if let Ok(Found::Locked(held)) = found {
                own.hand_on_later(&there, &held, None);
            }
            ready(())
        };
        match self.locks.in_time(ends_at, work, give_back).await {
            Some(Ok(found)) => Ok(locked(&lock_id, Ok(found))),
            Some(Err(ended)) => ended.reply(),
            None => {
                late.give_up();
                Err(unknown(LOCKING))
            }
        }
    }

    async fn found(
        self: &Arc<Self>,
        place: &Place,
        wanted: &LockDocument,
        limit: Limit,
        given_up: &mut GivenUp,
    ) -> Result<Found<HeldDocument>, Ended> {
        if wanted.is_new_lock_id
            && wanted.is_resent
            && let Some(held) = self.locked_before(place, wanted).await?
        {
            return Ok(Found::Locked(held));
        }
        if wanted.mode == Mode::Pass {
            self.sweep_if_due(place).await;
        }
        let mut acquisition = Acquisition::new(wanted.patience);
        let mut turn = None;
        loop {
            // The time that a look may take is MongoDB's to see to.
            let _ = acquisition.look(self.clock.now());
            let (mut for_now, mut in_the_way) = (None, None);
            let which = match (&turn, &wanted.finding.sort) {
                (Some(_), None) => Which::Any,
                _ => Which::First,
            };
            let come = match self.look(place, wanted, which, limit, given_up).await? {
                Looked::Locked(held) if given_up.is_closing() => {
                    // Whoever has asked could not release it any more.
                    self.hand_on_later(place, &held, None);
                    return Err(StoreError::Closed.into());
                }
                Looked::Locked(held) => Come::Locked(*held),
                Looked::Left(Left::Unavailable(document, until)) => {
                    for_now = until;
                    // Without an order any other will do as well, if there may be another.
                    let is_the_one = wanted.finding.sort.is_some() || names_one(&wanted.finding);
                    in_the_way = id(&document).filter(|_| is_the_one);
                    Come::Unavailable(document)
                }
                Looked::Left(Left::Nothing) => Come::Nothing,
            };
            let now = self.clock.now();
            let until = match acquisition.looked(come, now) {
                Next::Done(found) => return Ok(found),
                Next::Look => continue,
                Next::Wait(until) => until,
            };
            if given_up.is_closing() {
                return Err(StoreError::Closed.into());
            }
            if given_up.is_given_up() {
                return Ok(Found::Nothing);
            }
            let Some(turn) = &mut turn else {
                // What happens from now on is told; what has happened before, the next look shows.
                turn = Some(self.watching.join(place, Wants::new(&wanted.finding)));
                continue;
            };
            let mut pause = until.saturating_since(now);
            if let Some(for_now) = for_now {
                pause = pause.min(for_now + AFTER);
            }
            if !turn.is_live() {
                pause = pause.min(self.locks.look_again());
            }
            turn.news(in_the_way, pause, given_up).await;
        }
    }
}

/// The `_id` of a document.
fn id(document: &RawDocument) -> Option<Bson> {
    Bson::try_from(document.get("_id").ok()??).ok()
}

/// How long the last look may take, which begins when the wait is over.
const LAST_LOOK: std::time::Duration = std::time::Duration::from_secs(5);
/// Dates are whole milliseconds.
const AFTER: std::time::Duration = std::time::Duration::from_millis(1);
