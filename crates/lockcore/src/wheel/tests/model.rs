//! A wheel and its model, moved in step, and the source of random steps.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::Instant;
use crate::wheel::{Found, TimerId, Wheel};

type Key = (u64, u64);

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Set(u64),
    Cancel(Which),
    Reset(Which, u64),
    /// Poll for this tick with this budget.
    Poll(u64, u32),
    /// The same, and cancel the timer that is due.
    Take(u64, u32),
}

/// One of all timers that were ever set, so that stale ids are tried too.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Oldest,
    Newest,
    Nth(usize),
}

#[derive(Clone)]
pub(super) struct Pair {
    pub(super) wheel: Wheel<usize>,
    model: BTreeMap<Key, usize>,
    /// The key is `None` once the timer has been cancelled.
    timers: Vec<(TimerId, Option<Key>)>,
    sequence: u64,
}

impl Pair {
    pub(super) fn new(position: u64) -> Self {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.position = position;
        Self { wheel, model: BTreeMap::new(), timers: Vec::new(), sequence: 0 }
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Set(tick) => {
                let timer = self.timers.len();
                let id = self.wheel.set_at(tick, timer);
                let key = self.key(tick);
                self.model.insert(key, timer);
                self.timers.push((id, Some(key)));
            }
            Step::Cancel(which) => {
                if let Some(timer) = self.which(which) {
                    self.cancel(timer);
                }
            }
            Step::Reset(which, tick) => {
                if let Some(timer) = self.which(which) {
                    self.reset(timer, tick);
                }
            }
            Step::Poll(now, budget) => drop(self.poll(now, budget)),
            Step::Take(now, budget) => drop(self.take(now, budget)),
        }
    }

    fn key(&mut self, tick: u64) -> Key {
        self.sequence += 1;
        (tick, self.sequence)
    }

    fn which(&self, which: Which) -> Option<usize> {
        let newest = self.timers.len().checked_sub(1)?;
        Some(match which {
            Which::Oldest => 0,
            Which::Newest => newest,
            Which::Nth(n) => n % (newest + 1),
        })
    }

    fn cancel(&mut self, timer: usize) {
        let (id, key) = self.timers[timer];
        assert_eq!(self.wheel.cancel(id), key.map(|_| timer));
        if let Some(key) = key {
            self.model.remove(&key);
        }
        self.timers[timer].1 = None;
    }

    fn reset(&mut self, timer: usize, tick: u64) {
        let (id, key) = self.timers[timer];
        assert_eq!(self.wheel.reset_at(id, tick), key.is_some());
        if let Some(key) = key {
            self.model.remove(&key);
            let key = self.key(tick);
            self.model.insert(key, timer);
            self.timers[timer].1 = Some(key);
        }
    }

    pub(super) fn poll(&mut self, now: u64, mut budget: u32) -> Found {
        let due = self.model.first_key_value();
        let due = due.filter(|((tick, _), _)| *tick <= now);
        let found = self.wheel.seek(now, &mut budget);
        match found {
            Found::Due(index) => {
                assert_eq!(Some(&self.wheel.slab.entry(index).value), due.map(|d| d.1));
            }
            Found::Unfinished => assert_eq!(budget, 0, "unfinished, with budget left"),
            Found::Idle(next) => {
                assert_eq!(due, None, "idle, and a timer is due");
                assert_eq!(next, self.wheel.next_tick());
                assert!(next.is_none_or(|next| next > now), "{next:?} at {now}");
            }
        }
        found
    }

    fn take(&mut self, now: u64, budget: u32) -> Found {
        let found = self.poll(now, budget);
        if let Found::Due(index) = found {
            self.cancel(self.wheel.slab.entry(index).value);
        }
        found
    }

    pub(super) fn check(&self, now: u64) {
        self.wheel.check_invariants();
        assert_eq!(self.wheel.len(), self.model.len());
        let earliest = self.model.first_key_value();
        let next = self.wheel.next_tick();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest.map(|((tick, _), _)| *tick), "{next:?}");
        let due = self.wheel.due_at(now);
        let due = due.map(|index| self.wheel.slab.entry(index).value);
        let expected = self.model.range(..=(now, u64::MAX)).map(|(_, timer)| *timer);
        for (due, expected) in due.zip(expected.map(Some).chain([None])) {
            assert_eq!(Some(due), expected, "due at {now}");
        }
    }

    /// Takes all timers, moving one entry in each call.
    pub(super) fn finish(&mut self) {
        for _ in 0..=8 * self.wheel.len() {
            if let Found::Idle(next) = self.take(u64::MAX, 1) {
                assert_eq!(next, None);
                break;
            }
        }
        assert!(self.model.is_empty(), "left: {:?}", self.model);
        self.wheel.check_invariants();
    }
}

/// A xorshift generator.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    /// A tick near `now`, near the start of a window not far from it, or of any size.
    pub(super) fn tick(&mut self, now: u64) -> u64 {
        let level = self.below(8);
        let window = 1u64 << (8 * level);
        match self.below(8) {
            0..3 => (now.saturating_sub(100)).saturating_add(self.below(400)),
            3..6 => (now - now % window)
                .saturating_add(window.saturating_mul(self.below(3)))
                .saturating_add(self.below(4))
                .saturating_sub(1),
            6 => now.saturating_add(self.next() >> (8 * level)),
            _ => u64::MAX - self.below(3),
        }
    }
}
