//! The wheel beside its model, a `BTreeMap<(tick, sequence), timer>`: small cases completely, large
//! ones at random. Steps are in ticks, as an [`Instant`] does not reach the highest levels.

mod model;

extern crate std;

use alloc::vec;
use alloc::vec::Vec;

use std::eprintln;

use super::*;
use model::{Pair, Random, Step, Which};

/// Says on failure what led to it.
struct Story<F: Fn()>(F);

impl<F: Fn()> Drop for Story<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.0)();
        }
    }
}

/// Runs every sequence of `depth` steps from `alphabet` after those of `trail`.
fn enumerate(pair: &Pair, alphabet: &[Step], depth: usize, trail: &mut Vec<Step>) {
    for &step in alphabet {
        trail.push(step);
        let mut pair = pair.clone();
        {
            let _story = Story(|| eprintln!("after {trail:?}"));
            pair.step(step);
            match step {
                Step::Poll(now, _) | Step::Take(now, _) => pair.check(now),
                Step::Set(tick) | Step::Reset(_, tick) => pair.check(tick),
                Step::Cancel(_) => pair.check(u64::MAX),
            }
            if depth == 1 {
                pair.finish();
            }
        }
        if depth > 1 {
            enumerate(&pair, alphabet, depth - 1, trail);
        }
        trail.pop();
    }
}

/// All that can happen around the start of a window of `level`, at `start`.
#[track_caller]
fn check_boundary(position: u64, start: u64, level: u8, prelude: &[Step], depth: usize) {
    let below = if level == 1 { 255 } else { 256 };
    let window = 1 << (8 * u32::from(level));
    let alphabet = [
        Step::Set(start - 1),
        Step::Set(start),
        Step::Set(start + 1),
        Step::Set(start + below),
        Step::Set(start.saturating_add(window)),
        Step::Cancel(Which::Oldest),
        Step::Cancel(Which::Newest),
        Step::Reset(Which::Oldest, start),
        Step::Reset(Which::Newest, start + 1),
        Step::Poll(start - 1, 1),
        Step::Poll(start, 1),
        Step::Take(start + 1, 1),
    ];
    let mut pair = Pair::new(position);
    for &step in prelude {
        pair.step(step);
    }
    enumerate(&pair, &alphabet, depth, &mut prelude.to_vec());
}

#[test]
fn every_short_history_at_each_level_keeps_the_order() {
    for level in 1..slots::LEVELS {
        let depth = if level <= 2 { 4 } else { 3 };
        check_boundary(0, 1 << (8 * u32::from(level)), level, &[], depth);
    }
    // The last window of all: nothing lies behind it.
    check_boundary(1, !0xff, 1, &[], 4);
}

#[test]
fn every_short_history_of_an_interrupted_drain_keeps_the_order() {
    for level in 1..slots::LEVELS {
        let start = 1 << (8 * u32::from(level));
        let prelude = [
            Step::Set(start + 1),
            Step::Set(start),
            Step::Set(start + 1),
            Step::Poll(start + 1, 1),
        ];
        check_boundary(start / 2, start, level, &prelude, 4);
    }
}

#[test]
fn random_histories_keep_the_order() {
    for seed in 1..=100 {
        let mut random = Random(seed);
        let _story = Story(|| eprintln!("with the seed {seed}"));
        let mut pair = Pair::new(random.tick(0));
        let mut now = pair.wheel.position;
        for _ in 0..600 {
            let timer = Which::Nth(usize::try_from(random.below(1 << 16)).unwrap());
            let step = match random.below(16) {
                0..6 => Step::Set(random.tick(now)),
                6..8 => Step::Cancel(timer),
                8..10 => Step::Reset(timer, random.tick(now)),
                kind => {
                    match random.below(8) {
                        0 => now = random.tick(now),
                        1 => now = now.saturating_sub(random.below(300)),
                        _ => now = now.saturating_add(random.below(300)),
                    }
                    let budget = u32::try_from(random.below(4)).unwrap();
                    if kind < 13 { Step::Poll(now, budget) } else { Step::Take(now, budget) }
                }
            };
            pair.step(step);
            pair.check(now);
        }
        pair.finish();
    }
}

#[test]
fn a_cascade_of_a_million_equal_deadlines_resumes_where_it_stopped() {
    const BUDGET: u32 = 4_096;
    let tick = 70_000_000;
    let mut wheel = Wheel::new(Instant::ZERO);
    let mut expected: Vec<u32> = (0..1_000_000).collect();
    let ids: Vec<TimerId> = expected.iter().map(|&n| wheel.set_at(tick, n)).collect();

    // Levels 3, 2 and 1 are drained; what is set meanwhile waits its turn, what is cancelled is not
    // moved.
    let (mut moved, mut calls) = (0, 0u32);
    let head = loop {
        let mut budget = BUDGET;
        let found = wheel.seek(tick, &mut budget);
        moved += BUDGET - budget;
        calls += 1;
        match found {
            Found::Due(index) => break index,
            Found::Unfinished => assert_eq!(budget, 0),
            Found::Idle(next) => panic!("idle until {next:?}, at {tick}"),
        }
        if calls % 100 == 0 {
            wheel.check_invariants();
            let n = 1_000_000 + calls;
            wheel.set_at(tick, n);
            expected.push(n);
            assert_eq!(wheel.cancel(ids[calls as usize]), Some(calls));
        }
    };
    assert_eq!(head, ids[0].index());
    assert_eq!(calls, moved.div_ceil(BUDGET));
    assert!((2_990_000..=3_000_100).contains(&moved), "{moved} moved");
    wheel.check_invariants();

    expected.retain(|n| *n == 0 || *n % 100 != 0 || *n >= calls);
    let due = |wheel: &Wheel<u32>| -> Vec<u32> {
        let due = wheel.due_at(tick);
        due.map(|index| wheel.slab.entry(index).value).collect()
    };
    assert_eq!(due(&wheel), expected);
    for n in expected {
        let mut budget = 0;
        let Found::Due(index) = wheel.seek(tick, &mut budget) else {
            panic!("{n} is due");
        };
        assert_eq!(wheel.cancel(wheel.slab.id(index)), Some(n));
    }
    assert!(wheel.is_empty());
    wheel.check_invariants();
}

#[test]
fn a_timer_is_never_early_and_less_than_a_millisecond_late() {
    let mut wheel = Wheel::new(Instant::from_nanos(1_999_999));
    let id = wheel.set(Instant::from_nanos(5_000_001), 'a');
    let deadline = Instant::from_millis(6);
    assert_eq!(wheel.get(id), Some((&'a', deadline)));
    assert_eq!(wheel.next_deadline(), Some(deadline));
    let idle = Poll::Idle { next: Some(deadline) };
    assert_eq!(wheel.poll(Instant::from_nanos(5_999_999), &mut 9), idle);
    let due = Poll::Due { id, deadline, value: &'a' };
    assert_eq!(wheel.poll(deadline, &mut 9), due);
    assert_eq!(wheel.poll(deadline, &mut 9), due, "it stays until taken");
    // The clock of a caller that went back.
    assert_eq!(wheel.poll(Instant::ZERO, &mut 9), idle);
    assert_eq!(wheel.due(Instant::ZERO).count(), 0);
    assert_eq!(wheel.due(deadline).collect::<Vec<_>>(), [(id, deadline, &'a')]);
}

#[test]
fn an_idle_wheel_moves_along_so_that_near_deadlines_are_exact() {
    let mut wheel = Wheel::new(Instant::ZERO);
    let far = Instant::from_millis(1 << 40);
    wheel.set(far, 'z');
    let now = Instant::from_millis(0x0012_3400);
    assert_eq!(wheel.poll(now, &mut 0), Poll::Idle { next: Some(far) });
    let near = Instant::from_millis(0x0012_34ff);
    wheel.set(near, 'a');
    assert_eq!(wheel.next_deadline(), Some(near));
    assert_eq!(wheel.due(near).count(), 1, "nothing has to be moved");
}

#[test]
fn the_end_of_time_is_a_deadline_that_is_never_reached() {
    let mut wheel = Wheel::new(Instant::ZERO);
    let id = wheel.set(Instant::MAX, 'z');
    assert_eq!(wheel.get(id), Some((&'z', Instant::MAX)));
    let idle = Poll::Idle { next: Some(Instant::MAX) };
    assert_eq!(wheel.poll(Instant::MAX, &mut 9), idle);
    wheel.check_invariants();
    // The past is due at once, in its order.
    wheel.set(Instant::from_millis(7), 'b');
    wheel.set(Instant::ZERO, 'a');
    wheel.set(Instant::from_millis(7), 'c');
    let due = wheel.due(Instant::from_millis(8));
    assert_eq!(due.map(|(.., value)| *value).collect::<Vec<_>>(), ['a', 'b', 'c']);
}

#[test]
fn a_stale_id_reaches_no_other_timer() {
    let mut wheel = Wheel::new(Instant::ZERO);
    let stale = wheel.set(Instant::from_millis(5), 'a');
    assert_eq!(wheel.cancel(stale), Some('a'));
    let id = wheel.set(Instant::from_millis(5), 'b');
    assert_eq!(id.index(), stale.index(), "the cell is used again");
    assert_eq!(wheel.cancel(stale), None);
    assert_eq!(wheel.get(stale), None);
    assert!(!wheel.reset(stale, Instant::ZERO));
    assert!(wheel.reset(id, Instant::from_millis(9)));
    let all = vec![(id, Instant::from_millis(9), &'b')];
    assert_eq!(wheel.iter().collect::<Vec<_>>(), all);
}
