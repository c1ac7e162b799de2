//! Answers in time about locks of documents, as [of any](crate::locks::Locks::in_time).

use std::future::{Future, ready};
use std::sync::Arc;

use lockcore::Instant;
use lockstore::remote::serving::document_locks::HeldDocument;
use lockstore::{Fence, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::side_grant::Place;
use super::transaction::Ended;
use crate::documents::Limit;
use crate::locks::pause;

impl DocumentLocks {
    /// What `work` comes to within its limit. Where nothing is known by then it goes on by itself.
    pub(super) async fn in_time<T, W>(
        self: &Arc<Self>,
        deadline: Option<Instant>,
        what: &str,
        work: impl FnOnce(Arc<Self>, Limit) -> W,
    ) -> Result<T, Ended>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Ended>> + Send + 'static,
    {
        let ends_at = deadline.unwrap_or_else(|| self.locks.patient_until());
        let work = work(Arc::clone(self), self.documents.limit(Some(ends_at)));
        let come = self.locks.in_time(ends_at, work, |_| ready(())).await;
        come.unwrap_or_else(|| Err(unknown(what).into()))
    }

    /// Gives back, behind the answer, what its caller is not told of: for as long as the store is open, unless that is refused. What the caller had
    /// before it keeps. `sent_in` is the session of a commit of which nobody knows what has become of it.
    pub(super) fn hand_on_later(
        self: &Arc<Self>,
        place: &Place,
        held: &HeldDocument,
        sent_in: Option<ClientSession>,
    ) {
        if held.rejoined {
            return;
        }
        let (own, place, fence) = (Arc::clone(self), place.clone(), held.fence.clone());
        self.locks.later(async move {
            let (mut session, mut failed) = (sent_in, 0);
            while let Err(ended) = own.try_to_hand_on(&place, &fence, &mut session).await {
                if ended.is_refused() {
                    let (document, lock_id) = (fence.key(), fence.holder());
                    tracing::warn!(%document, %lock_id, ?ended, "a document that came too late is not given back");
                    return;
                }
                pause(&mut failed, &ended).await;
            }
        });
    }

    /// Tries in the same session each time: so nothing stands in the way of a try that was sent by one before.
    async fn try_to_hand_on(
        &self,
        place: &Place,
        fence: &Fence,
        session: &mut Option<ClientSession>,
    ) -> Result<(), Ended> {
        let session = match session {
            Some(session) => session,
            None => session.insert(self.documents.session(self.documents.patient()).await?),
        };
        self.hand_on(place, fence, session).await
    }
}

/// What [`lock`](DocumentLocks::lock) does.
pub(super) const LOCKING: &str = "locking a document";

/// That nobody knows what has become of it.
pub(super) fn unknown(what: &str) -> StoreError {
    StoreError::OutcomeUnknown { what: what.into() }
}
