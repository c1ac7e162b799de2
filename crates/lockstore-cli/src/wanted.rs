//! A lock that is to be acquired, and waiting for it.

use std::time::Duration;

use lockstore::{AcquireError, Holder, Key, LockGuard, LockRequest, Mode, Store};

use crate::event::Events;
use crate::failure::Failure;
use crate::grant::Grant;
use crate::holders;
use crate::store_file::{Access, closing};
use crate::store_place::StorePlace;
use crate::times::{Lease, Patience, rough};

/// A lock that is to be acquired.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) mode: Mode,
    pub(crate) lease: Lease,
}

impl Wanted {
    /// Acquires the lock, or fails when it has not become free in time.
    ///
    /// A lock that is free is acquired as every command does its work. Who has to wait does so at the store's server, which is started if
    /// there is none: there the waiters of all processes stand in one queue.
    pub(crate) fn acquire(
        &self,
        place: &StorePlace,
        patience: Patience,
        events: &Events,
    ) -> Result<Grant, Failure> {
        let until = patience.until(place.now());
        let opening = place.clone();
        let store = events.wait_for_call(None, move || opening.open(Access::OrNew))??;
        let tried = closing(store, |store| match self.request(store).try_acquire() {
            Ok(guard) => Ok(Some(Grant::new(guard, self.lease))),
            Err(AcquireError::Held { .. }) if until.is_some_and(|until| until <= place.now()) => {
                Err(self.not_acquired(store, patience))
            }
            Err(AcquireError::Held { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        })?;
        if let Some(grant) = tried {
            return Ok(grant);
        }
        let connecting = place.clone();
        let store = events.wait_for_call(None, move || connecting.connect())??;
        closing(store, |store| {
            let left = until.map(|until| until.saturating_since(place.now()));
            match self.wait(self.request(store), left, events)? {
                Ok(guard) => Ok(Grant::new(guard, self.lease)),
                Err(AcquireError::TimedOut { .. }) => Err(self.not_acquired(store, patience)),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// The request for it.
    pub(crate) fn request<'a>(&'a self, store: &'a Store) -> LockRequest<'a> {
        let request = store.lock(&self.key).holder(&self.holder);
        let request = if self.mode == Mode::Shared { request.shared() } else { request };
        match self.lease.ttl() {
            Some(ttl) => request.ttl(ttl),
            None => request,
        }
    }

    /// Waits for it, for as long as is `left`.
    pub(crate) fn wait(
        &self,
        request: LockRequest<'_>,
        left: Option<Duration>,
        events: &Events,
    ) -> Result<Result<LockGuard, AcquireError>, Failure> {
        tracing::debug!(key = %self.key, "waiting");
        events.wait_for(match left {
            Some(left) => request.acquire_timeout_async(left),
            None => request.acquire_async(),
        })
    }

    /// The failure of who has waited for so long.
    pub(crate) fn not_acquired(&self, store: &Store, patience: Patience) -> Failure {
        let why = match store.inspect(&self.key) {
            Ok(Some(lock)) => format!("it is held {}", holders::by_all(&lock)),
            Ok(None) => "it was held until a moment ago".to_owned(),
            Err(error) => return error.into(),
        };
        self.not_acquired_since(&why, patience)
    }

    /// The same, where it is known why.
    pub(crate) fn not_acquired_since(&self, why: &str, patience: Patience) -> Failure {
        let Self { key, .. } = self;
        Failure::no(match patience {
            Patience::For(Duration::ZERO) | Patience::Forever => {
                format!("{key:?} was not acquired: {why}")
            }
            Patience::For(time) => format!("{key:?} was not acquired in {}: {why}", rough(time)),
        })
    }
}
