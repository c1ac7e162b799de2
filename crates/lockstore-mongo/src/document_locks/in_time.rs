//! Answers in time about locks of documents, as [of any](crate::locks::Locks::in_time).

use std::future::{Future, ready};
use std::sync::Arc;

use lockcore::Instant;
use lockstore::StoreError;

use super::DocumentLocks;
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
}

/// That nobody knows what has become of it.
pub(super) fn unknown(what: &str) -> StoreError {
    StoreError::OutcomeUnknown { what: what.into() }
}
