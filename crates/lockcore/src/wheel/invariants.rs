//! What must hold between any two calls.

use super::Wheel;
use super::slab::Place;
use super::slots::{Slot, level_between};

impl<T> Wheel<T> {
    /// Panics, with what was found and what was expected, when the parts of the wheel disagree. It
    /// is for tests: it looks at every timer and every slot.
    ///
    /// # Panics
    ///
    /// When there is a mistake in this module.
    pub fn check_invariants(&self) {
        self.slab.check_invariants();
        for &(tick, sequence, index) in &self.overdue {
            let node = self.slab.node(index);
            assert_eq!((tick, sequence), (node.tick, node.sequence), "key of {index}");
            assert_eq!(node.place, Place::Overdue, "place of {index}");
            assert!(tick < self.position, "{tick} before {}", self.position);
        }
        let mut counted = self.overdue.len();
        let drained = Slot::of(self.position, self.intake);
        let waiting = self.slots.head(drained);
        let waiting = waiting.map_or(u64::MAX, |index| self.slab.node(index).sequence);
        let mut last = None;
        self.slots.check_invariants(&self.slab, |slot, index| {
            let node = self.slab.node(index);
            let (tick, sequence) = (node.tick, node.sequence);
            assert_eq!(node.place, Place::Slot(slot), "place of {index}");
            assert_eq!(Slot::of(tick, slot.level), slot, "slot of {tick}");
            assert!(tick >= self.position, "{tick}, at {}", self.position);
            assert!(sequence < self.sequence, "{sequence} of {}", self.sequence);
            if let Some((_, older)) = last.replace((slot, sequence)).filter(|l| l.0 == slot) {
                assert!(older < sequence, "{older} before {sequence} in {slot:?}");
            }
            let level = level_between(tick, self.position);
            if slot == drained {
                assert!(level <= slot.level, "{tick} in {slot:?}, level {level}");
            } else {
                assert_eq!(slot.level, level, "{tick}, at {}", self.position);
            }
            if slot.level < self.intake {
                assert!(sequence < waiting, "{sequence} drained, {waiting} not");
            }
            counted += 1;
        });
        assert_eq!(counted, self.len(), "entries found, and their count");
    }
}
