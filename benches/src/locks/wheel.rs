//! The expiry wheel beside an ordered set and tokio-util's `DelayQueue`.

use super::Scale;
use crate::measure::{Series, float, nanos_per_call};
use crate::peers::{DelayQueueTimers, OrderedSet, OurWheel, Timers};
use crate::random::Random;
use crate::report::{Section, count, ratio, time};

/// The ns of a call, in each round.
#[derive(Debug, Default)]
struct Figures {
    set: Series,
    cancel: Series,
    fire: Series,
}

/// The same work for all contenders of a round.
struct Work {
    /// The deadlines of those that are set before anything is measured.
    standing: Vec<u64>,
    /// The deadlines of those that are set then.
    setting: Vec<u64>,
    /// Which of all of them are cancelled then.
    cancelled: Vec<usize>,
}

pub(super) fn run(scale: &Scale) -> Section {
    let mut random = Random::new();
    let mut figures: [Figures; 3] = Default::default();
    for _ in 0..scale.rounds {
        let work = Work::new(&mut random, scale.many);
        let [wheel, set, queue] = &mut figures;
        wheel.round(&work, OurWheel::new(work.len()));
        set.round(&work, OrderedSet::default());
        queue.round(&work, DelayQueueTimers::new(work.len()));
    }
    let mut section = Section::new(
        format!("wheel: {} timers within an hour", count(scale.many)),
        &["timers", "set", "cancel", "fire", "set, to ours", "cancel, to ours", "fire, to ours"],
    );
    let [ours, ..] = &figures;
    for (name, theirs) in ["lockcore", "BTreeSet", "DelayQueue"].into_iter().zip(&figures) {
        section.row([
            name.into(),
            time(theirs.set.median()),
            time(theirs.cancel.median()),
            time(theirs.fire.median()),
            ratio(theirs.set.over(&ours.set)),
            ratio(theirs.cancel.over(&ours.cancel)),
            ratio(theirs.fire.over(&ours.fire)),
        ]);
    }
    section
        .note("timers are cancelled in a random order, and fire as the time moves on by 1 s steps");
    section.note("DelayQueue keeps no order within a millisecond, and its steps include tokio's");
    section.figure("wheel.set_ns", ours.set.median());
    section.figure("wheel.cancel_ns", ours.cancel.median());
    section.figure("wheel.fire_ns", ours.fire.median());
    section
}

impl Work {
    fn new(random: &mut Random, timers: usize) -> Self {
        let mut deadlines = |count| (0..count).map(|_| 1 + random.below(HOUR_MS)).collect();
        let (standing, setting): (Vec<_>, Vec<_>) = (deadlines(timers), deadlines(timers / 10));
        let mut cancelled: Vec<_> = (0..standing.len() + setting.len()).collect();
        random.shuffle(&mut cancelled);
        cancelled.truncate(setting.len());
        Self { standing, setting, cancelled }
    }

    /// How many timers there are at most.
    fn len(&self) -> usize {
        self.standing.len() + self.setting.len()
    }
}

impl Figures {
    fn round<T: Timers>(&mut self, work: &Work, mut timers: T) {
        let mut ids = Vec::with_capacity(work.len());
        timers.set_all(&work.standing, &mut ids);

        let set = nanos_per_call(work.setting.len(), || timers.set_all(&work.setting, &mut ids));
        self.set.push(set);

        let cancelled: Vec<_> = work.cancelled.iter().map(|&index| ids[index]).collect();
        let cancel = nanos_per_call(cancelled.len(), || timers.cancel_all(&cancelled));
        self.cancel.push(cancel);

        let mut fired = 0;
        let all = nanos_per_call(1, || {
            fired = (1..=HOUR_MS / STEP_MS / 10).map(|step| timers.fire(step * STEP_MS)).sum();
        });
        assert!(fired > 0, "a tenth of the hour has passed");
        self.fire.push(all / float(fired as u64));
    }
}

const HOUR_MS: u64 = 60 * 60 * 1_000;
const STEP_MS: u64 = 1_000;
