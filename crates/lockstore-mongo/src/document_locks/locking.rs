//! `lockDocument`: looks, and between them waits.

use bson::{Bson, RawDocument, RawDocumentBuf};
use lockcore::Instant;
use lockstore::StoreError;
use lockstore::remote::serving::document_locks::{
    Acquisition, Found, LockDocument, Looked as Come, Mode, Next, locked,
};

use super::DocumentLocks;
use super::side_grant::Place;
use super::taking::{Looked, Which};
use super::transaction::Ended;
use super::wants::Wants;
use crate::documents::Limit;
use crate::locks::GivenUp;

impl DocumentLocks {
    /// Locks a document, and waits for it as long as the command says, or until whoever has asked gives up.
    pub(super) async fn lock(
        &self,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
        given_up: &mut GivenUp,
    ) -> Result<RawDocumentBuf, StoreError> {
        let wanted = match LockDocument::parse(command, self.clock.now(), self.clock.wall()) {
            Ok(wanted) => wanted,
            Err(refused) => return Ok(refused),
        };
        self.freeing.begin(&self.locks);
        let limit = deadline.map(|deadline| deadline.saturating_add(LAST_LOOK));
        let limit = self.documents.limit(limit);
        match self.found(place, &wanted, limit, given_up).await {
            Ok(found) => Ok(locked(&wanted.lock_id, Ok(found))),
            Err(ended) => ended.reply(),
        }
    }

    async fn found(
        &self,
        place: &Place,
        wanted: &LockDocument,
        limit: Limit,
        given_up: &mut GivenUp,
    ) -> Result<Found<lockstore::remote::serving::document_locks::HeldDocument>, Ended> {
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
                    self.hand_on(place, &held.fence).await?;
                    return Err(StoreError::Closed.into());
                }
                Looked::Locked(held) => Come::Locked(*held),
                Looked::Unavailable(document, until) => {
                    for_now = until;
                    // Without an order any other will do as well.
                    in_the_way = wanted.finding.sort.as_ref().and_then(|_| id(&document));
                    Come::Unavailable(document)
                }
                Looked::Nothing => Come::Nothing,
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
