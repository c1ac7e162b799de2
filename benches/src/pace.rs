//! How fast threads get on that call at once.

use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{Latencies, Series, float};

/// What a contender's rounds came to.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    pub(crate) calls_per_s: Series,
    pub(crate) p50_ns: Series,
    pub(crate) p99_ns: Series,
}

/// One thread's share of a round.
pub(crate) struct Turn<'r> {
    round: &'r Round,
    end: Instant,
    calls: u64,
    latencies: Latencies,
}

struct Round {
    ready: Barrier,
    start: OnceLock<Instant>,
    length: Duration,
}

impl Pace {
    /// Has `threads` threads call for `length`: each prepares itself, begins its turn, and calls until that is over.
    /// What counts is the calls that ended in time, and how long each took that began in time.
    pub(crate) fn round(
        &mut self,
        threads: usize,
        length: Duration,
        take_turn: impl Fn(usize, &mut Turn<'_>) + Sync,
    ) {
        let round = Round { ready: Barrier::new(threads), start: OnceLock::new(), length };
        let (calls, latencies) = thread::scope(|scope| {
            let (round, take_turn) = (&round, &take_turn);
            let run = |thread| {
                let end = Instant::now() + length;
                let mut turn = Turn { round, end, calls: 0, latencies: Latencies::new() };
                take_turn(thread, &mut turn);
                (turn.calls, turn.latencies)
            };
            let callers: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
            let mut sum = (0, Latencies::new());
            for caller in callers {
                let (calls, latencies) = caller.join().expect("no caller panics");
                sum.0 += calls;
                sum.1.add(&latencies);
            }
            sum
        });
        self.calls_per_s.push(float(calls) / length.as_secs_f64());
        self.p50_ns.push(latencies.quantile(0.5));
        self.p99_ns.push(latencies.quantile(0.99));
    }
}

impl Turn<'_> {
    /// Waits until all threads are ready. The time begins for all of them at once.
    pub(crate) fn begin(&mut self) {
        self.round.ready.wait();
        self.end = *self.round.start.get_or_init(Instant::now) + self.round.length;
    }

    /// Whether the thread is to stop.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Makes a call.
    pub(crate) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed();
        if start < self.end {
            self.latencies.record(took);
            self.calls += u64::from(start + took <= self.end);
        }
        result
    }
}
