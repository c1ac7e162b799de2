//! A lock that was acquired, and stays when this program has ended.

use lockstore::{Holder, Instant, Key, LockGuard, Mode, Token};

use crate::failure::Failure;
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::times::Lease;

/// A lock that was acquired.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) mode: Mode,
    pub(crate) token: Token,
    pub(crate) lease: Lease,
    /// Until when it is surely held: counted from before it was asked for. `None` when it has no end.
    pub(crate) valid_until: Option<Instant>,
    /// Whether its holder had it already.
    pub(crate) again: bool,
}

impl Grant {
    pub(crate) fn new(guard: LockGuard, lease: Lease) -> Self {
        let (mode, valid_until, again) = (guard.mode(), guard.valid_until(), guard.rejoined());
        let leaked = guard.leak();
        let (key, holder, token) = (leaked.key, leaked.holder, leaked.token);
        Self { key, holder, mode, token, lease, valid_until, again }
    }

    /// Gives the lock back.
    pub(crate) fn release(&self, place: &StorePlace) -> Result<(), Failure> {
        place.with(Access::Existing, |store| {
            Ok(store.release(&self.key, &self.holder, Some(self.token))?)
        })
    }
}
