//! Answers in time about locks of documents, as [of any](crate::locks::Locks::in_time).

use std::future::{Future, ready};
use std::sync::Arc;

use lockcore::Instant;
use lockstore::StoreError;
use lockstore::remote::serving::document_locks::HeldDocument;

use super::DocumentLocks;
use super::side_grant::Place;
use super::transaction::Ended;
use crate::documents::Limit;

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

    /// Gives back, behind the answer, what its caller is not told of. What the caller had before it keeps.
    pub(super) fn hand_on_later(self: &Arc<Self>, place: &Place, held: &HeldDocument) {
        if held.rejoined {
            return;
        }
        let (own, place, fence) = (Arc::clone(self), place.clone(), held.fence.clone());
        self.locks.later(async move {
            if let Err(error) = own.hand_on(&place, &fence).await {
                let (document, lock_id) = (fence.key(), fence.holder());
                tracing::warn!(%document, %lock_id, ?error, "a document that came too late was not given back");
            }
        });
    }
}

/// What [`lock`](DocumentLocks::lock) does.
pub(super) const LOCKING: &str = "locking a document";

/// That nobody knows what has become of it.
pub(super) fn unknown(what: &str) -> StoreError {
    StoreError::OutcomeUnknown { what: what.into() }
}
