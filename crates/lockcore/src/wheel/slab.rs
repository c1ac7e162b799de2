//! Where the entries live: a slab whose freed cells are used again, under a new generation.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::slots::Slot;

/// Names one timer of one wheel, for as long as the timer is set and never after: once it has been
/// cancelled the id is stale, and no later timer is ever reached by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId {
    index: u32,
    /// Never 0, so that an `Option` of an id takes no more room.
    generation: NonZeroU32,
}

impl TimerId {
    pub(super) const fn index(self) -> u32 {
        self.index
    }
}

/// No entry: the end of a list.
pub(super) const NIL: u32 = u32::MAX;

/// One timer.
#[derive(Clone)]
pub(super) struct Entry<T> {
    pub(super) node: Node,
    pub(super) value: T,
}

/// When a timer is due, where it is kept, and its neighbours in the list of its slot.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) tick: u64,
    pub(super) sequence: u64,
    pub(super) previous: u32,
    pub(super) next: u32,
    generation: NonZeroU32,
    pub(super) place: Place,
}

/// Where an entry is kept. It is written down when the entry is put there, never worked out again
/// from the position, which may have moved since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the ordered set of those whose tick was past when they were set.
    Overdue,
    /// In the list of a slot.
    Slot(Slot),
}

/// The discriminant hides in `Place`, so that a cell is no larger than its entry.
#[derive(Clone)]
enum Cell<T> {
    Occupied(Entry<T>),
    Vacant { generation: NonZeroU32, next_free: u32 },
}

#[derive(Clone)]
pub(super) struct Slab<T> {
    cells: Vec<Cell<T>>,
    first_free: u32,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { cells: Vec::with_capacity(capacity), first_free: NIL, len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry into a free cell; the caller then gives it its place.
    pub(super) fn insert(&mut self, tick: u64, sequence: u64, value: T) -> TimerId {
        let (index, generation) = self.free_cell();
        let node =
            Node { tick, sequence, previous: NIL, next: NIL, generation, place: Place::Overdue };
        self.cells[index as usize] = Cell::Occupied(Entry { node, value });
        self.len += 1;
        TimerId { index, generation }
    }

    /// Takes a vacant cell off the free list, or makes one.
    fn free_cell(&mut self) -> (u32, NonZeroU32) {
        if self.first_free == NIL {
            let index = u32::try_from(self.cells.len()).unwrap_or(NIL);
            assert!(index < NIL, "a wheel holds at most {NIL} timers");
            let generation = NonZeroU32::MIN;
            self.cells.push(Cell::Vacant { generation, next_free: NIL });
            return (index, generation);
        }
        let index = self.first_free;
        match self.cells[index as usize] {
            Cell::Vacant { generation, next_free } => {
                self.first_free = next_free;
                (index, generation)
            }
            Cell::Occupied(_) => unreachable!("cell {index} is free and occupied"),
        }
    }

    /// Takes an entry out. Its cell gets the next generation; after the last one it is retired, so
    /// that no id ever comes twice (a cell is lost for each 2^32 timers that lived in it).
    pub(super) fn remove(&mut self, index: u32) -> Entry<T> {
        let generation = self.node(index).generation;
        let retired = generation == NonZeroU32::MAX;
        let vacant = Cell::Vacant {
            generation: generation.saturating_add(1),
            next_free: if retired { NIL } else { self.first_free },
        };
        if !retired {
            self.first_free = index;
        }
        self.len -= 1;
        match core::mem::replace(&mut self.cells[index as usize], vacant) {
            Cell::Occupied(entry) => entry,
            Cell::Vacant { .. } => unreachable!("cell {index} was occupied a moment ago"),
        }
    }

    /// The entry that an id names, unless the id is stale.
    pub(super) fn find(&self, id: TimerId) -> Option<&Entry<T>> {
        match self.cells.get(id.index as usize)? {
            Cell::Occupied(entry) if entry.node.generation == id.generation => Some(entry),
            Cell::Occupied(_) | Cell::Vacant { .. } => None,
        }
    }

    pub(super) fn entry(&self, index: u32) -> &Entry<T> {
        match &self.cells[index as usize] {
            Cell::Occupied(entry) => entry,
            Cell::Vacant { .. } => unreachable!("cell {index} is linked and vacant"),
        }
    }

    pub(super) fn node(&self, index: u32) -> &Node {
        &self.entry(index).node
    }

    pub(super) fn node_mut(&mut self, index: u32) -> &mut Node {
        match &mut self.cells[index as usize] {
            Cell::Occupied(entry) => &mut entry.node,
            Cell::Vacant { .. } => unreachable!("cell {index} is linked and vacant"),
        }
    }

    pub(super) fn id(&self, index: u32) -> TimerId {
        let generation = self.node(index).generation;
        TimerId { index, generation }
    }

    /// All entries, in the order of their cells.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TimerId, &Entry<T>)> {
        (0..).zip(&self.cells).filter_map(|(index, cell)| {
            let Cell::Occupied(entry) = cell else {
                return None;
            };
            let generation = entry.node.generation;
            Some((TimerId { index, generation }, entry))
        })
    }

    pub(super) fn check_invariants(&self) {
        let (mut occupied, mut retired) = (0, 0);
        for cell in &self.cells {
            match cell {
                Cell::Occupied(_) => occupied += 1,
                // A cell with the last generation may have it yet to give; if so, the free list
                // below has it.
                Cell::Vacant { generation, .. } => {
                    retired += usize::from(*generation == NonZeroU32::MAX);
                }
            }
        }
        assert_eq!(occupied, self.len, "occupied cells, and their count");
        let (mut free, mut index) = (0, self.first_free);
        while index != NIL {
            match self.cells[index as usize] {
                Cell::Vacant { generation, next_free } => {
                    retired -= usize::from(generation == NonZeroU32::MAX);
                    index = next_free;
                }
                Cell::Occupied(_) => panic!("cell {index} is on the free list and occupied"),
            }
            free += 1;
            assert!(
                free <= self.cells.len(),
                "the free list is longer than the {} cells",
                self.cells.len()
            );
        }
        assert_eq!(
            occupied + free + retired,
            self.cells.len(),
            "{occupied} occupied, {free} free and {retired} retired cells, and all cells"
        );
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use core::mem::size_of;

    use super::*;

    #[test]
    fn a_cell_and_an_id_stay_small() {
        assert_eq!(size_of::<Option<TimerId>>(), 8);
        assert_eq!(size_of::<Cell<[u64; 3]>>(), 56);
        assert_eq!(size_of::<Cell<String>>(), 56);
        assert_eq!(size_of::<Cell<u64>>(), 40);
    }

    #[test]
    fn a_cell_is_retired_after_its_last_generation() {
        let mut slab = Slab::with_capacity(0);
        let old = slab.insert(0, 0, 'a');
        slab.node_mut(old.index).generation = NonZeroU32::new(u32::MAX - 1).unwrap();
        slab.remove(old.index);
        slab.check_invariants();

        let last = slab.insert(0, 1, 'b');
        assert_eq!((last.index, last.generation), (old.index, NonZeroU32::MAX));
        slab.remove(last.index);
        slab.check_invariants();

        let fresh = slab.insert(0, 2, 'c');
        assert_ne!(fresh.index, last.index);
        assert!(slab.find(last).is_none());
        slab.check_invariants();
    }
}
