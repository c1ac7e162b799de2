//! Subscriptions that are read by commands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockcore::Instant;

use crate::error::StoreError;
use crate::events::{SUBSCRIPTIONS_MAX, Subscription};
use crate::presence::Instance;

/// The subscriptions of a store that commands have begun, by number.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    open: Mutex<HashMap<u64, Arc<Open>>>,
    last: AtomicU64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) subscription: Subscription,
    /// Whose it is, if that is known.
    owner: Option<Instance>,
    /// When somebody last asked for it, in ns.
    used: AtomicU64,
    /// Whether somebody waits for its events.
    is_read: AtomicBool,
}

/// The right to read a subscription: nobody else reads it meanwhile.
#[derive(Debug)]
pub(super) struct Reader(Arc<Open>);

impl Subscriptions {
    /// Keeps a subscription until it is ended, its owner is gone, or nobody has read it for a while.
    pub(super) fn keep(
        &self,
        subscription: Subscription,
        owner: Option<Instance>,
        now: Instant,
    ) -> Result<u64, StoreError> {
        let mut open = self.lock();
        open.retain(|_, open| open.is_in_use(now));
        if open.len() >= SUBSCRIPTIONS_MAX {
            let subscriptions_max = SUBSCRIPTIONS_MAX;
            return Err(StoreError::TooManySubscriptions { subscriptions_max });
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (used, is_read) = (AtomicU64::new(now.as_nanos()), AtomicBool::new(false));
        open.insert(number, Arc::new(Open { subscription, owner, used, is_read }));
        Ok(number)
    }

    /// Begins to read a subscription. `None` when there is none of that number, or it is being read.
    pub(super) fn read(&self, number: u64, now: Instant) -> Option<Reader> {
        let open = Arc::clone(self.lock().get(&number)?);
        if open.is_read.swap(true, Ordering::AcqRel) {
            return None;
        }
        open.used.store(now.as_nanos(), Ordering::Release);
        Some(Reader(open))
    }

    /// Ends a subscription; nothing happens when there is none of that number.
    pub(super) fn end(&self, number: u64) {
        self.lock().remove(&number);
    }

    /// A client is gone: its subscriptions end.
    pub(crate) fn end_of(&self, owner: Instance) {
        self.lock().retain(|_, open| open.owner != Some(owner));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn is_in_use(&self, now: Instant) -> bool {
        let used = Instant::from_nanos(self.used.load(Ordering::Acquire));
        self.is_read.load(Ordering::Acquire) || now.saturating_since(used) < IDLE_MAX
    }
}

impl Reader {
    pub(super) fn subscription(&self) -> &Subscription {
        &self.0.subscription
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.is_read.store(false, Ordering::Release);
    }
}

/// How long a subscription lives that nobody reads: as cursors do.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);
