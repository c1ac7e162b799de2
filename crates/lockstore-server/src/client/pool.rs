//! The connections for calls that are answered soon: each has one call at a time.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::RawDocumentBuf;

use super::limit::Limit;
use super::link::Link;

/// The slots that calls take turns with.
#[derive(Debug)]
pub(super) struct Pool {
    slots: Mutex<Slots>,
    given_back: Condvar,
    slots_max: usize,
}

#[derive(Debug, Default)]
struct Slots {
    /// The one used last is at the end, and used next: the others may be let go of.
    idle: Vec<Slot>,
    /// How many there are, those in use included.
    made: usize,
}

/// A place for one call at a time: a connection, and the client session by which the server knows a call that it gets again.
/// The session outlives the connection.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) link: Option<Link>,
    pub(super) session: SlotSession,
}

/// The client session of a slot.
#[derive(Clone, Debug, Default)]
pub(super) enum SlotSession {
    /// Not yet.
    #[default]
    None,
    /// The server does not have such sessions.
    Unsupported,
    /// The session as the server named it, and the number of its last call.
    Open { lsid: RawDocumentBuf, txn_number: i64 },
}

/// A slot that is in use. It goes back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'p> {
    pool: &'p Pool,
    slot: Slot,
}

impl Pool {
    pub(super) fn new(slots_max: usize) -> Self {
        Self { slots: Mutex::default(), given_back: Condvar::new(), slots_max }
    }

    /// Takes a slot, and waits for one while all are in use. `None` when the time is over.
    pub(super) fn take(&self, limit: Limit<'_>) -> Option<Taken<'_>> {
        let mut slots = self.slots();
        loop {
            if let Some(slot) = slots.idle.pop() {
                return Some(Taken { pool: self, slot });
            }
            if slots.made < self.slots_max {
                slots.made += 1;
                return Some(Taken { pool: self, slot: Slot::default() });
            }
            if limit.is_over() {
                return None;
            }
            let left = limit.left().map_or(LOOK, |left| left.min(LOOK));
            let waited = self.given_back.wait_timeout(slots, left);
            slots = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets go of all connections that are idle, and names the sessions.
    pub(super) fn empty(&self) -> Vec<RawDocumentBuf> {
        let slots = std::mem::take(&mut self.slots().idle);
        let session = |slot: Slot| match slot.session {
            SlotSession::Open { lsid, .. } => Some(lsid),
            SlotSession::None | SlotSession::Unsupported => None,
        };
        slots.into_iter().filter_map(session).collect()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut slot = std::mem::take(&mut self.slot);
        let mut slots = self.pool.slots();
        if slots.idle.len() >= IDLE_LINKS_MAX {
            // The oldest is let go of: the server has a thread for each.
            let oldest = slots.idle.len() - IDLE_LINKS_MAX;
            slots.idle[oldest].link = None;
        }
        if matches!(slot.session, SlotSession::Unsupported) && slot.link.is_none() {
            // The next server may have them.
            slot.session = SlotSession::None;
        }
        slots.idle.push(slot);
        drop(slots);
        self.pool.given_back.notify_one();
    }
}

impl Deref for Taken<'_> {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Slot {
        &mut self.slot
    }
}

/// So many idle connections are kept.
const IDLE_LINKS_MAX: usize = 8;

/// How long one wait takes at most.
const LOOK: Duration = Duration::from_secs(3_600);
