//! Rounds, medians, ratios and percentiles.
//!
//! Whatever is compared is measured in rounds, A B C, A B C, and so on, so that a machine that grows slower
//! in the middle does so for all. A figure is the median of its rounds; a ratio is taken within each round,
//! and the median of these is the figure.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// One measurement, once a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds a round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The figure.
    pub(crate) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// How much more than `other` this is.
    pub(crate) fn less(&self, other: &Self) -> f64 {
        assert_eq!(self.0.len(), other.0.len(), "both were measured in each round");
        median(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine - theirs).collect())
    }

    /// How many times `other` this is.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        assert_eq!(self.0.len(), other.0.len(), "both were measured in each round");
        median(self.0.iter().zip(&other.0).map(|(mine, theirs)| mine / theirs).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "there is no median of no rounds");
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// How long single calls took.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new(3).expect("three digits can be kept"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.record(nanos).expect("a histogram that grows takes every value");
    }

    /// Makes a call, and records how long it took.
    pub(crate) fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        self.record(start.elapsed());
        result
    }

    /// How often a call took so many ns.
    pub(crate) fn recorded(&self) -> Vec<(u64, u64)> {
        let values = self.0.iter_recorded();
        values
            .map(|value| (value.value_iterated_to(), value.count_since_last_iteration()))
            .collect()
    }

    /// What was [recorded](Self::recorded).
    pub(crate) fn of(recorded: &[(u64, u64)]) -> Self {
        let mut latencies = Self::new();
        for &(nanos, times) in recorded {
            latencies.0.record_n(nanos, times).expect("a histogram that grows takes every value");
        }
        latencies
    }

    pub(crate) fn add(&mut self, others: &Self) {
        self.0.add(&others.0).expect("a histogram that grows takes every value");
    }

    /// The latency in ns that `quantile` of the calls did not exceed.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        float(self.0.value_at_quantile(quantile))
    }
}

/// How many ns each of `calls` took that are made by `run`.
pub(crate) fn nanos_per_call(calls: usize, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64() * 1e9 / float(calls)
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^52")]
pub(crate) fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}
