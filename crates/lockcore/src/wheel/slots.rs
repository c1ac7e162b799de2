//! The slots: 8 levels of 256 lists, with a bitmap for each level of the lists that are not empty.

use alloc::vec;
use alloc::vec::Vec;

use super::slab::{NIL, Place, Slab};

/// One level for each byte of a tick, one slot for each value of that byte.
pub(super) const LEVELS: u8 = 8;

/// The address of a list: all ticks whose byte `level` is `index`, and whose higher bytes are those
/// of the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) level: u8,
    pub(super) index: u8,
}

impl Slot {
    /// The slot of `level` that `tick` belongs to.
    pub(super) fn of(tick: u64, level: u8) -> Self {
        let index = tick.to_le_bytes()[usize::from(level)];
        Self { level, index }
    }

    /// The first tick of this slot's window, as seen from `position`: the position's bytes above
    /// the level, the slot's index, then zeros.
    pub(super) fn start(self, position: u64) -> u64 {
        let level = usize::from(self.level);
        let mut bytes = position.to_le_bytes();
        bytes[..level].fill(0);
        bytes[level] = self.index;
        u64::from_le_bytes(bytes)
    }
}

/// The highest byte in which two ticks differ; 0 when they are equal.
#[expect(clippy::cast_possible_truncation, reason = "63 / 8 is 7")]
pub(super) const fn level_between(tick: u64, position: u64) -> u8 {
    ((tick ^ position) | 1).ilog2() as u8 / 8
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

#[derive(Clone)]
struct Level {
    /// Bit `index` is set where the list of that slot is not empty.
    occupied: [u64; 4],
    lists: [List; 256],
}

#[derive(Clone)]
pub(super) struct Slots {
    levels: Vec<Level>,
}

impl Slots {
    pub(super) fn new() -> Self {
        let empty = List { head: NIL, tail: NIL };
        let level = Level { occupied: [0; 4], lists: [empty; 256] };
        Self { levels: vec![level; usize::from(LEVELS)] }
    }

    /// Puts an entry behind all others of `slot`.
    pub(super) fn push_back<T>(&mut self, slab: &mut Slab<T>, slot: Slot, index: u32) {
        let level = &mut self.levels[usize::from(slot.level)];
        let list = &mut level.lists[usize::from(slot.index)];
        let previous = core::mem::replace(&mut list.tail, index);
        if previous == NIL {
            list.head = index;
            level.occupied[usize::from(slot.index / 64)] |= 1 << (slot.index % 64);
        } else {
            slab.node_mut(previous).next = index;
        }
        let node = slab.node_mut(index);
        node.place = Place::Slot(slot);
        node.previous = previous;
        node.next = NIL;
    }

    /// Joins the neighbours of an entry that leaves `slot`.
    pub(super) fn unlink<T>(&mut self, slab: &mut Slab<T>, slot: Slot, previous: u32, next: u32) {
        let level = &mut self.levels[usize::from(slot.level)];
        let list = &mut level.lists[usize::from(slot.index)];
        if previous == NIL {
            list.head = next;
        } else {
            slab.node_mut(previous).next = next;
        }
        if next == NIL {
            list.tail = previous;
        } else {
            slab.node_mut(next).previous = previous;
        }
        if list.head == NIL {
            level.occupied[usize::from(slot.index / 64)] &= !(1 << (slot.index % 64));
        }
    }

    /// The oldest entry of a slot.
    pub(super) fn head(&self, slot: Slot) -> Option<u32> {
        let list = self.levels[usize::from(slot.level)].lists[usize::from(slot.index)];
        (list.head != NIL).then_some(list.head)
    }

    /// The first slot that is not empty, lowest level first; at most 32 words are looked at.
    pub(super) fn first(&self) -> Option<Slot> {
        (0..LEVELS).find_map(|level| self.occupied(level).next())
    }

    /// The slots of a level that are not empty, in the order of their ticks.
    pub(super) fn occupied(&self, level: u8) -> impl Iterator<Item = Slot> {
        let words = self.levels[usize::from(level)].occupied;
        (0..=255u8).step_by(64).zip(words).flat_map(move |(base, word)| {
            bits(word).map(move |bit| Slot { level, index: base + bit })
        })
    }

    /// The entries of a slot, oldest first.
    pub(super) fn list<T>(&self, slab: &Slab<T>, slot: Slot) -> impl Iterator<Item = u32> {
        core::iter::successors(self.head(slot), |&index| {
            let next = slab.node(index).next;
            (next != NIL).then_some(next)
        })
    }

    /// Checks bitmaps and links, and calls `visit` with each entry in the order of its list.
    pub(super) fn check_invariants<T>(&self, slab: &Slab<T>, mut visit: impl FnMut(Slot, u32)) {
        let mut visited = 0;
        for (level, lists) in (0..LEVELS).zip(&self.levels) {
            for (index, list) in (0..=255).zip(&lists.lists) {
                let slot = Slot { level, index };
                let bit = lists.occupied[usize::from(index / 64)] >> (index % 64) & 1 == 1;
                assert_eq!(bit, list.head != NIL, "bitmap and head of {slot:?}");
                let mut previous = NIL;
                for entry in self.list(slab, slot) {
                    let found = slab.node(entry).previous;
                    assert_eq!(found, previous, "back link of {entry} in {slot:?}");
                    visited += 1;
                    assert!(visited <= slab.len(), "{visited} entries linked, {} set", slab.len());
                    visit(slot, entry);
                    previous = entry;
                }
                assert_eq!(list.tail, previous, "tail and last entry of {slot:?}");
            }
        }
    }
}

/// The bits that are set in `word`, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u8> {
    core::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
        let bit = word.trailing_zeros() as u8;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_highest_byte_that_differs() {
        for (tick, position, level) in [
            (0, 0, 0),
            (255, 0, 0),
            (256, 255, 1),
            (65_535, 0, 1),
            (65_536, 65_535, 2),
            (1 << 24, 0, 3),
            (1 << 32, u32::MAX.into(), 4),
            (1 << 56, 0, 7),
            (u64::MAX, 0, 7),
            (u64::MAX, u64::MAX, 0),
        ] {
            assert_eq!(level_between(tick, position), level, "{tick} {position}");
        }
    }

    #[test]
    fn a_window_starts_with_zeros_below_its_level() {
        let position = 0x1122_3344_5566_7788;
        for (level, index, start) in [
            (0, 0x99, 0x1122_3344_5566_7799),
            (1, 0x99, 0x1122_3344_5566_9900),
            (6, 0x99, 0x1199_0000_0000_0000),
            (7, 0x99, 0x9900_0000_0000_0000),
        ] {
            assert_eq!(Slot { level, index }.start(position), start);
        }
    }
}
