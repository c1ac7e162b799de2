//! Those who wait at one lock.

use alloc::collections::BTreeMap;

use crate::transition::{Waiter, Want};
use crate::wheel::TimerId;
use crate::{Holder, Mode, Ttl, WaiterId};

/// The waiters of one lock. Waiter numbers rise, so the order of the numbers is the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Those who want the lock, first come, first served.
    acquirers: BTreeMap<WaiterId, Queued>,
    /// Those who want to see it free; they stand in nobody's way.
    watchers: BTreeMap<WaiterId, Queued>,
}

/// A waiter and its deadline's timer.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) waiter: Waiter,
    pub(crate) timer: Option<TimerId>,
}

/// What an acquirer asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) waiter: &'a Waiter,
    pub(crate) holder: &'a Holder,
    pub(crate) mode: Mode,
    pub(crate) ttl: Option<Ttl>,
}

impl Queue {
    pub(crate) fn push(&mut self, waiter: Waiter, timer: Option<TimerId>) {
        let list = match waiter.want {
            Want::Grant { .. } => &mut self.acquirers,
            Want::Free => &mut self.watchers,
        };
        list.insert(waiter.id, Queued { waiter, timer });
    }

    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Queued> {
        self.acquirers.remove(&id).or_else(|| self.watchers.remove(&id))
    }

    pub(crate) fn get(&self, id: WaiterId) -> Option<&Queued> {
        self.acquirers.get(&id).or_else(|| self.watchers.get(&id))
    }

    /// The acquirers in the order in which they came.
    pub(crate) fn wishes(&self) -> impl Iterator<Item = Wish<'_>> {
        self.acquirers.values().filter_map(|queued| match &queued.waiter.want {
            Want::Grant { holder, mode, ttl } => {
                Some(Wish { waiter: &queued.waiter, holder, mode: *mode, ttl: *ttl })
            }
            Want::Free => None,
        })
    }

    pub(crate) fn watchers(&self) -> impl Iterator<Item = &Waiter> {
        self.watchers.values().map(|queued| &queued.waiter)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Queued> {
        self.acquirers.values().chain(self.watchers.values())
    }

    /// How many want the lock.
    pub(crate) fn acquirers_len(&self) -> usize {
        self.acquirers.len()
    }

    /// How many wait in all.
    pub(crate) fn len(&self) -> usize {
        self.acquirers.len() + self.watchers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
