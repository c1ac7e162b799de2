//! The expiry wheel: timers that fire in the exact order of their deadlines, in bounded steps.
//!
//! # The rules of the road
//!
//! A *tick* is a whole millisecond. A deadline is rounded up to its tick and `now` is rounded down,
//! so a timer may fire up to 1 ms late and never early. Each timer that is set takes the next
//! *sequence* number; the order of expiry is (tick, sequence), exactly as in a
//! `BTreeSet<(tick, sequence)>`.
//!
//! **Slots.** The *position* is a tick that the wheel has reached. There is one level for each byte
//! of a tick and one slot for each value of that byte. A timer with `tick >= position` is kept at
//! the level of the highest byte in which its tick and the position differ, in the slot of its own
//! value of that byte. So a slot of level 0 holds one tick; a slot of level L holds a *window* of
//! 256^L ticks that begins where the lower bytes are zero; and whatever is at a lower level comes
//! before whatever is at a higher one (but see the drain, below). A timer with `tick < position` is
//! kept in an ordered set beside the slots: it comes before all that is in them, and neither is
//! ever compared with the other.
//!
//! **There is no wrap-around.** A slot is named by the bytes of the tick itself, not by a distance
//! from the position. As the tick is not smaller than the position, neither is its byte at the
//! level where they first differ: no slot in use lies below the position's own byte at its level,
//! the lowest bit of a bitmap is the next slot, and no slot ever means "the next turn". Eight bytes
//! are all of a `u64`, so no deadline is too far.
//!
//! **The position moves** only where that rewrites no slot: to any tick that is not past the start
//! of the first window in use (every tick in the slots still differs from it first in the same
//! byte), and to that start itself if the window is then *drained*, its entries being placed anew,
//! at lower levels. The lower levels are all empty then, or the window would not be the first. The
//! position never passes `now`: timers for ticks that are due but not yet taken still get a slot.
//!
//! **A drain can be interrupted**, by its budget, and timers are set and cancelled before it goes
//! on. Order holds because every list is in the order of the sequence numbers at all times:
//!
//! 1. The position is the window's start W from the first step of the drain to the last, so all
//!    that is moved is placed as seen from W. It is taken from the front of the drained list and
//!    goes to the back of its new list; both keep their order.
//! 2. Until the drain has ended, a timer set for a tick of the window goes to the back of the list
//!    that is being drained (`intake` is that list's level, and no timer is set below it). It is
//!    younger than all others there, and reaches its final list after all of them, equals included.
//!    When the drain has ended, it goes to its final list at once; it is younger than all that the
//!    drain put there.
//! 3. A timer set for a tick before W goes to the ordered set, and one after the window to the slot
//!    of its own, at the level of the drain or above. Neither touches a list below.
//! 4. Nothing in the slots is handed out before the drain has ended, as the earliest timer may be
//!    one that still waits in the list. What is in the ordered set may be handed out: it comes
//!    first anyway.

mod invariants;
mod slab;
mod slots;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeSet;
use core::fmt;

use crate::Instant;
use slab::{Node, Place, Slab};
use slots::{Slot, Slots, level_between};

pub use slab::TimerId;

/// Timers with a value each, in the order (deadline in whole milliseconds, then order in which they
/// were set).
///
/// Setting, cancelling and resetting take constant time (logarithmic among the timers that were set
/// for a moment the wheel had passed), but for the growth of the slab: see
/// [`with_capacity`](Self::with_capacity). [`poll`](Self::poll) shows the first timer that is due
/// and leaves it there: the caller takes it with [`cancel`](Self::cancel) when its expiry has
/// become durable. A wheel takes 16 KiB and about 32 bytes and the value for each timer; the memory
/// of cancelled timers is used again and not given back. It holds at most `u32::MAX` timers, and
/// setting one more panics: the caller bounds their number.
///
/// ```
/// use lockcore::Instant;
/// use lockcore::wheel::{Poll, Wheel};
///
/// let mut wheel = Wheel::new(Instant::ZERO);
/// wheel.set(Instant::from_millis(300), "b");
/// let c = wheel.set(Instant::from_millis(300), "c");
/// wheel.set(Instant::from_millis(20), "a");
/// wheel.set(Instant::from_millis(9_000), "d");
/// assert!(wheel.reset(c, Instant::from_millis(300)));
///
/// let now = Instant::from_millis(1_000);
/// let mut expired = Vec::new();
/// let next = loop {
///     let mut budget = 100; // entries that one call may move
///     match wheel.poll(now, &mut budget) {
///         Poll::Due { id, value, .. } => {
///             expired.push(*value); // decide, and make it durable; only then:
///             wheel.cancel(id);
///         }
///         Poll::Unfinished => {} // other work may be done before the next call
///         Poll::Idle { next } => break next,
///     }
/// };
/// assert_eq!(expired, ["a", "b", "c"]);
/// // When to come back: not after the earliest deadline, at times before it.
/// assert!(next > Some(now) && next <= Some(Instant::from_millis(9_000)));
/// ```
#[derive(Clone)]
pub struct Wheel<T> {
    slab: Slab<T>,
    slots: Slots,
    /// (tick, sequence, index) of the entries that were set for a tick before the position.
    overdue: BTreeSet<(u64, u64, u32)>,
    /// No entry in a slot has an earlier tick.
    position: u64,
    /// The lowest level that takes timers from callers: 0, or, while a slot is being drained, its
    /// level. That slot is then the one of the position.
    intake: u8,
    /// The sequence number of the timer that is set next.
    sequence: u64,
}

/// What a wheel has to say at some time: the answer of [`Wheel::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a timer that is due stays so until it is cancelled"]
pub enum Poll<'a, T> {
    /// The first timer that is due. It stays set.
    Due {
        /// The timer, for [`Wheel::cancel`] or [`Wheel::reset`].
        id: TimerId,
        /// Its deadline, as it was rounded up to a whole millisecond.
        deadline: Instant,
        /// Its value.
        value: &'a T,
    },
    /// The budget is used up, and there may be a timer that is due: call again, with a new budget.
    Unfinished,
    /// No timer is due.
    Idle {
        /// When to call again, later than `now`: see [`Wheel::next_deadline`].
        next: Option<Instant>,
    },
}

/// As [`Poll`], in ticks and indexes.
enum Found {
    Due(u32),
    Unfinished,
    Idle(Option<u64>),
}

impl<T> Wheel<T> {
    /// An empty wheel, at `now`.
    pub fn new(now: Instant) -> Self {
        Self::with_capacity(now, 0)
    }

    /// An empty wheel, at `now`, with memory for `capacity` timers. One more, and all are copied to
    /// a larger piece of memory by the call that sets it.
    pub fn with_capacity(now: Instant, capacity: usize) -> Self {
        Self {
            slab: Slab::with_capacity(capacity),
            slots: Slots::new(),
            overdue: BTreeSet::new(),
            position: now.millis_floor(),
            intake: 0,
            sequence: 0,
        }
    }

    /// How many timers are set.
    pub const fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether no timer is set.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets a timer, behind all others of the same millisecond. A deadline in the past is accepted:
    /// it is due at once, in its order.
    ///
    /// # Panics
    ///
    /// When `u32::MAX` timers are set.
    pub fn set(&mut self, deadline: Instant, value: T) -> TimerId {
        self.set_at(deadline.millis_ceil(), value)
    }

    fn set_at(&mut self, tick: u64, value: T) -> TimerId {
        let sequence = self.next_sequence();
        let id = self.slab.insert(tick, sequence, value);
        self.place(id.index(), tick, sequence);
        id
    }

    /// Takes a timer out and returns its value; `None` when it was taken out before.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.slab.find(id)?;
        let entry = self.slab.remove(id.index());
        self.displace(id.index(), &entry.node);
        Some(entry.value)
    }

    /// Gives a timer another deadline, as if it were cancelled and set anew: it goes behind all
    /// others of that millisecond. Its id stays. `false`, and nothing is changed, when the timer
    /// was taken out before.
    pub fn reset(&mut self, id: TimerId, deadline: Instant) -> bool {
        self.reset_at(id, deadline.millis_ceil())
    }

    fn reset_at(&mut self, id: TimerId, tick: u64) -> bool {
        let Some(entry) = self.slab.find(id) else {
            return false;
        };
        let node = entry.node;
        self.displace(id.index(), &node);
        let sequence = self.next_sequence();
        let node = self.slab.node_mut(id.index());
        node.tick = tick;
        node.sequence = sequence;
        self.place(id.index(), tick, sequence);
        true
    }

    /// The value of a timer, and its deadline as it was rounded up to a whole millisecond; `None`
    /// when it was taken out before.
    pub fn get(&self, id: TimerId) -> Option<(&T, Instant)> {
        let entry = self.slab.find(id)?;
        Some((&entry.value, Instant::from_millis(entry.node.tick)))
    }

    /// All timers with their deadlines and values, in an order that means nothing.
    pub fn iter(&self) -> impl Iterator<Item = (TimerId, Instant, &T)> {
        let entries = self.slab.iter();
        entries.map(|(id, entry)| (id, Instant::from_millis(entry.node.tick), &entry.value))
    }

    /// Moves the wheel towards `now` and shows the first timer that is due, without taking it out.
    ///
    /// Each entry that is moved between levels takes 1 from `budget`, and so bounds the work of a
    /// call; empty slots are skipped by 32 words of bitmap. When the budget is used up and there is
    /// more to move, the answer is [`Poll::Unfinished`], and the next call goes on where this one
    /// stopped. An entry is moved at most 7 times in its life. A caller that, call after call, sets
    /// more timers for the same moments than the budget moves is never finished: the budget should
    /// be the larger.
    ///
    /// A `now` earlier than that of a former call is harmless: nothing is shown that is not due
    /// then.
    pub fn poll(&mut self, now: Instant, budget: &mut u32) -> Poll<'_, T> {
        match self.seek(now.millis_floor(), budget) {
            Found::Due(index) => {
                let (id, deadline, value) = self.show(index);
                Poll::Due { id, deadline, value }
            }
            Found::Unfinished => Poll::Unfinished,
            Found::Idle(next) => Poll::Idle { next: next.map(Instant::from_millis) },
        }
    }

    fn seek(&mut self, now: u64, budget: &mut u32) -> Found {
        loop {
            if let Some(&(tick, _, index)) = self.overdue.first() {
                return if tick <= now { Found::Due(index) } else { Found::Idle(Some(tick)) };
            }
            if !self.drain(budget) {
                return Found::Unfinished;
            }
            let first = self.slots.first();
            let start = first.map(|slot| slot.start(self.position));
            let Some(slot) = first.filter(|_| start <= Some(now)) else {
                self.position = self.position.max(now);
                return Found::Idle(start);
            };
            if slot.level == 0 {
                let head = self.slots.head(slot);
                return Found::Due(head.expect("an occupied slot has a head"));
            }
            self.position = slot.start(self.position);
            self.intake = slot.level;
        }
    }

    /// Goes on with the drain, if one is under way; `false` when the budget does not suffice.
    fn drain(&mut self, budget: &mut u32) -> bool {
        if self.intake == 0 {
            return true;
        }
        let slot = Slot::of(self.position, self.intake);
        while let Some(index) = self.slots.head(slot) {
            let Some(rest) = budget.checked_sub(1) else {
                return false;
            };
            *budget = rest;
            let &Node { tick, next, .. } = self.slab.node(index);
            self.slots.unlink(&mut self.slab, slot, slab::NIL, next);
            let target = Slot::of(tick, level_between(tick, self.position));
            self.slots.push_back(&mut self.slab, target, index);
        }
        self.intake = 0;
        true
    }

    /// The timers that are due at `now` and ready to be taken, in order: the first is the one that
    /// [`poll`](Self::poll) shows, and the rest those that it would show if the ones before were
    /// cancelled. It may end before the last that is due, where the wheel has to be moved;
    /// cancelling those seen and polling again brings the next ones.
    pub fn due(&self, now: Instant) -> impl Iterator<Item = (TimerId, Instant, &T)> {
        self.due_at(now.millis_floor()).map(|index| self.show(index))
    }

    fn due_at(&self, now: u64) -> impl Iterator<Item = u32> {
        let overdue = self.overdue.iter();
        let overdue = overdue.take_while(move |(tick, ..)| *tick <= now).map(|&(.., index)| index);
        // In the midst of a drain, what has reached level 0 may stand behind what has not.
        let ready = (self.intake == 0).then(|| self.slots.occupied(0));
        let ready = ready.into_iter().flatten();
        let ready = ready.take_while(move |slot| slot.start(self.position) <= now);
        overdue.chain(ready.flat_map(move |slot| self.slots.list(&self.slab, slot)))
    }

    /// When to call [`poll`](Self::poll) again: never later than the earliest deadline; `None` when
    /// no timer is set. It looks at 32 words at most.
    ///
    /// It is the deadline itself once [`poll`](Self::poll) has answered [`Poll::Idle`] in the same
    /// 256 ms (counted from the clock's origin). Before that it may be the start of the window that
    /// the timer waits in: a caller that polls then finds nothing due, and is told a closer moment,
    /// at most 7 times.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next_tick().map(Instant::from_millis)
    }

    fn next_tick(&self) -> Option<u64> {
        if let Some(&(tick, ..)) = self.overdue.first() {
            return Some(tick);
        }
        let drained = Slot::of(self.position, self.intake);
        if self.slots.head(drained).is_some() {
            return Some(self.position);
        }
        let first = self.slots.first()?;
        Some(first.start(self.position))
    }

    fn show(&self, index: u32) -> (TimerId, Instant, &T) {
        let entry = self.slab.entry(index);
        let deadline = Instant::from_millis(entry.node.tick);
        (self.slab.id(index), deadline, &entry.value)
    }

    fn next_sequence(&mut self) -> u64 {
        let sequence = self.sequence;
        self.sequence += 1;
        sequence
    }

    /// Gives an entry that a caller has set its place.
    fn place(&mut self, index: u32, tick: u64, sequence: u64) {
        if tick < self.position {
            self.overdue.insert((tick, sequence, index));
            self.slab.node_mut(index).place = Place::Overdue;
        } else {
            let level = level_between(tick, self.position).max(self.intake);
            let slot = Slot::of(tick, level);
            self.slots.push_back(&mut self.slab, slot, index);
        }
    }

    /// Takes an entry away from its place.
    fn displace(&mut self, index: u32, node: &Node) {
        match node.place {
            Place::Overdue => {
                let key = (node.tick, node.sequence, index);
                assert!(self.overdue.remove(&key), "{key:?} is overdue");
            }
            Place::Slot(slot) => {
                self.slots.unlink(&mut self.slab, slot, node.previous, node.next);
            }
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len())
            .field("overdue", &self.overdue.len())
            .field("position", &self.position)
            .field("next_tick", &self.next_tick())
            .finish_non_exhaustive()
    }
}
