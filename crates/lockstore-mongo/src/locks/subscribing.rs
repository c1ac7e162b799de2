//! Subscribing to what happens, and seeing to it that what runs out is told.

use std::sync::Arc;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use lockstore::StoreError;
use lockstore::remote::OnEvents;

use super::lapsed::is_due;
use super::{LOCKS, Locks, SESSIONS};
use crate::failure::Failure;

impl Locks {
    /// Begins a subscription, and gives its number.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        prefix: String,
        events_max: Option<usize>,
    ) -> Result<u64, StoreError> {
        let look = self
            .read("subscribing", || async { self.look_at(NO_KEY, None, self.now()).await })
            .await?;
        let number = self.watching.subscriptions().open(&prefix, events_max, look.moment)?;
        self.watching.follow(&tokio::runtime::Handle::current());
        // What happens from when this returns on is told.
        if tokio::time::timeout(self.patience, self.watching.live()).await.is_err() {
            self.watching.subscriptions().close(number);
            let reason = "there is no change stream".into();
            return Err(StoreError::Unreachable { socket: Arc::clone(&self.address), reason });
        }
        self.sweep();
        Ok(number)
    }

    pub(crate) fn next_events(&self, subscription: u64, on_events: OnEvents) {
        self.watching.subscriptions().next(subscription, on_events);
    }

    pub(crate) fn leave_events(&self, subscription: u64) {
        self.watching.subscriptions().leave(subscription);
    }

    pub(crate) fn unsubscribe(&self, subscription: u64) {
        self.watching.subscriptions().close(subscription);
    }

    /// While somebody has subscribed, leases that run out are ended soon, and not only when somebody wants the lock.
    fn sweep(self: &Arc<Self>) {
        let locks = Arc::downgrade(self);
        self.watching.sweep(move || {
            let locks = locks.upgrade();
            async move {
                let Some(locks) = locks else { return false };
                if locks.watching.subscriptions().is_empty() {
                    return false;
                }
                let settled = match locks.end_lapsed_sessions().await {
                    Ok(()) => locks.settle_due().await,
                    failed => failed,
                };
                if let Err(failure) = settled {
                    tracing::debug!(?failure, "leases that have run out were not ended");
                }
                tokio::time::sleep(locks.look_again).await;
                true
            }
        });
    }

    /// Ends the sessions of which no sign of life has come in time.
    async fn end_lapsed_sessions(&self) -> Result<(), Failure> {
        let lapsed = doc! { "closed": false, "$expr": { "$lte": ["$until", "$$NOW"] } };
        let sessions = self.database.collection::<Document>(SESSIONS);
        let found = sessions.find(lapsed).projection(doc! { "_id": 1 }).limit(SWEPT_MAX).await;
        let found = found.map_err(Failure::of_reading)?.try_collect::<Vec<_>>().await;
        let found = found.map_err(Failure::of_reading)?;
        let numbers: Vec<i64> = found.iter().filter_map(|it| it.get_i64("_id").ok()).collect();
        if !numbers.is_empty() {
            self.bury(&numbers).await?;
        }
        // Whoever else has closed one has not seen to all that it has left behind.
        for number in self.dead_now("").await? {
            match self.settle_bound_to(number).await {
                Ok(()) => {}
                Err(failure) if failure.is_of_all() => return Err(failure),
                // What somebody else was changing just then, or cannot be settled, is found again, and does not hold up the others.
                Err(failure) => {
                    tracing::debug!(?failure, number, "what a dead session has left was not ended");
                }
            }
        }
        Ok(())
    }

    async fn settle_due(&self) -> Result<(), Failure> {
        let locks = self.database.collection::<Document>(LOCKS);
        let found = locks.find(is_due()).projection(doc! { "_id": 1 }).limit(SWEPT_MAX).await;
        let keys = found.map_err(Failure::of_reading)?.try_collect::<Vec<_>>().await;
        for key in keys.map_err(Failure::of_reading)? {
            if let Ok(key) = key.get_str("_id") {
                match self.settle(key).await {
                    // Somebody else has seen to it.
                    Ok(()) | Err(Failure::Conflict) => {}
                    // One that cannot be settled does not hold up the others.
                    Err(failure) => {
                        tracing::debug!(?failure, key, "a lease that has run out was not ended");
                    }
                }
            }
        }
        Ok(())
    }
}

/// A key that nobody can have.
const NO_KEY: &str = "";
/// How many locks are swept at once.
const SWEPT_MAX: i64 = 100;
