//! The expiry wheel and its rivals, behind the same three calls.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::hint::black_box;
use std::task::Poll;
use std::time::Duration;

use lockcore::Instant;
use lockcore::wheel::{self, TimerId, Wheel};
use tokio::runtime::{Builder, Runtime};
use tokio::time;
use tokio_util::time::{DelayQueue, delay_queue};

/// Something that keeps timers in the order of their deadlines. Times are ms.
pub(crate) trait Timers {
    /// Names a timer that is set.
    type Id: Copy;

    /// Sets a timer for each of `deadlines_ms`, and puts their names into `ids`.
    fn set_all(&mut self, deadlines_ms: &[u64], ids: &mut Vec<Self::Id>);

    /// Takes these timers out.
    fn cancel_all(&mut self, ids: &[Self::Id]);

    /// Takes out what is due at `now_ms`, which never goes back, and tells how many that were.
    fn fire(&mut self, now_ms: u64) -> usize;
}

/// lockcore's.
#[derive(Debug)]
pub(crate) struct OurWheel(Wheel<u64>);

impl OurWheel {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Wheel::with_capacity(Instant::ZERO, capacity))
    }
}

impl Timers for OurWheel {
    type Id = TimerId;

    fn set_all(&mut self, deadlines_ms: &[u64], ids: &mut Vec<TimerId>) {
        let set = |&ms| self.0.set(Instant::from_millis(ms), ms);
        ids.extend(deadlines_ms.iter().map(set));
    }

    fn cancel_all(&mut self, ids: &[TimerId]) {
        for &id in ids {
            black_box(self.0.cancel(id));
        }
    }

    fn fire(&mut self, now_ms: u64) -> usize {
        let now = Instant::from_millis(now_ms);
        let mut fired = 0;
        loop {
            let mut budget = 1_024;
            match self.0.poll(now, &mut budget) {
                wheel::Poll::Due { id, .. } => {
                    black_box(self.0.cancel(id));
                    fired += 1;
                }
                wheel::Poll::Unfinished => {}
                wheel::Poll::Idle { .. } => return fired,
            }
        }
    }
}

/// A `BTreeSet<(deadline, sequence)>`: the simplest thing that keeps the same order.
#[derive(Debug, Default)]
pub(crate) struct OrderedSet {
    set: BTreeSet<(u64, u64)>,
    sequence: u64,
}

impl Timers for OrderedSet {
    type Id = (u64, u64);

    fn set_all(&mut self, deadlines_ms: &[u64], ids: &mut Vec<(u64, u64)>) {
        for &deadline_ms in deadlines_ms {
            self.sequence += 1;
            let id = (deadline_ms, self.sequence);
            self.set.insert(id);
            ids.push(id);
        }
    }

    fn cancel_all(&mut self, ids: &[(u64, u64)]) {
        for id in ids {
            black_box(self.set.remove(id));
        }
    }

    fn fire(&mut self, now_ms: u64) -> usize {
        let mut fired = 0;
        while self.set.first().is_some_and(|&(deadline_ms, _)| deadline_ms <= now_ms) {
            black_box(self.set.pop_first());
            fired += 1;
        }
        fired
    }
}

/// tokio-util's `DelayQueue`, in a runtime whose clock is moved by hand. It keeps no order among timers of
/// one millisecond.
#[derive(Debug)]
pub(crate) struct DelayQueueTimers {
    queue: DelayQueue<u64>,
    start: time::Instant,
    now_ms: u64,
    runtime: Runtime,
}

impl DelayQueueTimers {
    pub(crate) fn new(capacity: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O can be made");
        let start = runtime.block_on(async { time::Instant::now() });
        Self { queue: DelayQueue::with_capacity(capacity), start, now_ms: 0, runtime }
    }
}

impl Timers for DelayQueueTimers {
    type Id = delay_queue::Key;

    fn set_all(&mut self, deadlines_ms: &[u64], ids: &mut Vec<delay_queue::Key>) {
        let Self { queue, start, runtime, .. } = self;
        let _inside = runtime.enter();
        let set = |&ms| queue.insert_at(ms, *start + Duration::from_millis(ms));
        ids.extend(deadlines_ms.iter().map(set));
    }

    fn cancel_all(&mut self, ids: &[delay_queue::Key]) {
        let Self { queue, runtime, .. } = self;
        let _inside = runtime.enter();
        for id in ids {
            black_box(queue.remove(id));
        }
    }

    fn fire(&mut self, now_ms: u64) -> usize {
        let by = Duration::from_millis(now_ms - self.now_ms);
        self.now_ms = now_ms;
        let Self { queue, runtime, .. } = self;
        // Under tokio's budget the queue would be told to yield after 128 timers.
        runtime.block_on(tokio::task::unconstrained(async {
            time::advance(by).await;
            poll_fn(|context| {
                let mut fired = 0;
                while let Poll::Ready(Some(expired)) = queue.poll_expired(context) {
                    black_box(expired);
                    fired += 1;
                }
                Poll::Ready(fired)
            })
            .await
        }))
    }
}
