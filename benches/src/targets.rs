//! What is to be reached, as ratios and sizes of one run.

use crate::report::{self, Report};

/// A figure and its bound.
#[derive(Debug)]
pub(crate) struct Target {
    figure: &'static str,
    bound: Bound,
    unit: Unit,
    says: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    Times,
    Nanos,
    Bytes,
    Mebibytes,
}

/// How many targets were reached, and how many missed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    passed: usize,
    failed: usize,
}

impl Verdict {
    pub(crate) fn all_reached(self) -> bool {
        self.failed == 0
    }
}

/// Prints a line for each of `targets` whose figure was measured, and how many were reached.
pub(crate) fn check(targets: &[Target], report: &Report) -> Verdict {
    let mut verdict = Verdict::default();
    println!("\nTargets{}:", if report.quick { ", not judged by a quick run" } else { "" });
    for target in targets {
        let Some(value) = report.figure(target.figure) else { continue };
        let reached = target.bound.holds(value);
        *(if reached { &mut verdict.passed } else { &mut verdict.failed }) += 1;
        println!("{} {}", if reached { "ok    " } else { "FAILED" }, target.describe(value));
    }
    let Verdict { passed, failed } = verdict;
    println!("{passed} passed, {failed} failed");
    verdict
}

impl Target {
    fn describe(&self, value: f64) -> String {
        let (word, bound) = match self.bound {
            Bound::AtLeast(bound) => ("at least", bound),
            Bound::AtMost(bound) => ("at most", bound),
        };
        let (value, bound) = (self.unit.show(value), self.unit.show(bound));
        format!("{}: {value} ({word} {bound})", self.says)
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Times => report::ratio(value),
            Self::Nanos => report::time(value),
            Self::Bytes => format!("{value:.0} bytes"),
            Self::Mebibytes => report::mebibytes(value),
        }
    }
}

const fn at_least(figure: &'static str, bound: f64, unit: Unit, says: &'static str) -> Target {
    Target { figure, bound: Bound::AtLeast(bound), unit, says }
}

const fn at_most(figure: &'static str, bound: f64, unit: Unit, says: &'static str) -> Target {
    Target { figure, bound: Bound::AtMost(bound), unit, says }
}

/// Of `locks`.
pub(crate) const LOCKS: &[Target] = &[
    at_least("calls.1.over_redb", 0.85, Unit::Times, "calls of 1 thread, beside redb"),
    at_least("calls.64.over_redb", 4.0, Unit::Times, "calls of 64 threads, beside redb"),
    at_least("calls.512.over_redb", 5.0, Unit::Times, "calls of 512 threads, beside redb"),
    at_most("calls.512.p99_over_redb", 0.2, Unit::Times, "p99 of 512 threads, beside redb"),
    at_most("handoff.commits", 1.5, Unit::Times, "hand-off, in redb commits"),
    at_most("reads.hit_ns", 300.0, Unit::Nanos, "is_locked of a held lock"),
    at_most("reads.miss_ns", 300.0, Unit::Nanos, "is_locked of a free lock"),
    at_most("reads.busy_ns", 300.0, Unit::Nanos, "is_locked beside a busy writer"),
    at_most("machine.pair_ns", 2_000.0, Unit::Nanos, "acquire and release in the state machine"),
    at_most("wheel.set_ns", 50.0, Unit::Nanos, "setting a timer of the wheel"),
    at_most("wheel.cancel_ns", 100.0, Unit::Nanos, "cancelling a timer of the wheel"),
    at_most("million.lock_bytes", 400.0, Unit::Bytes, "memory of a lock"),
    at_most("million.clean_ns", 3e9, Unit::Nanos, "reopening a million locks"),
    at_most("million.killed_ns", 3e9, Unit::Nanos, "reopening a million locks after a kill"),
    at_most("churn.file_bytes", 8.0 * 1_048_576.0, Unit::Mebibytes, "the file after the churn"),
];

/// Of `shared`.
pub(crate) const SHARED: &[Target] = &[
    at_most("locks.1.extra_ns", 100e3, Unit::Nanos, "a joined process's call, beyond a commit"),
    at_least("locks.16.over_one", 3.0, Unit::Times, "locks of 16 processes, beside one"),
    at_least("updates.16.over_one", 3.0, Unit::Times, "updates of 16 processes, beside one"),
    at_least("locks.1.over_mongod", 2.0, Unit::Times, "locks of 1 process, beside mongod"),
    at_least("locks.16.over_mongod", 2.0, Unit::Times, "locks of 16 processes, beside mongod"),
    at_least("updates.1.over_mongod", 2.0, Unit::Times, "updates of 1 process, beside mongod"),
    at_least("updates.16.over_mongod", 2.0, Unit::Times, "updates of 16 processes, beside mongod"),
    at_most("handoff.extra_ns", 300e3, Unit::Nanos, "hand-off between processes, beyond a commit"),
    at_most("restart.granted_ns", 500e6, Unit::Nanos, "a killed server's locks, served again"),
];

/// Of `mongo`.
pub(crate) const MONGO: &[Target] = &[
    at_most("locks.1.lease_writes", 2.2, Unit::Times, "acquire and release, in majority writes"),
    at_most("handoff.extra_ns", 10e6, Unit::Nanos, "hand-off, beyond a majority write"),
];

/// Of `documents`.
pub(crate) const DOCUMENTS: &[Target] = &[
    at_most("updates.1.commits", 1.3, Unit::Times, "an indexed update, in redb commits"),
    at_least("updates.64.over_redb", 4.0, Unit::Times, "updates of 64 threads, beside redb"),
    at_least("reads.id.over_sqlite", 1.0, Unit::Times, "reads by _id, beside SQLite"),
    at_least("reads.index.over_sqlite", 1.0, Unit::Times, "reads by index, beside SQLite"),
    at_least("pipelines.group.over_mongod", 1.0, Unit::Times, "sums by group, beside mongod"),
    at_least("pipelines.sort.over_mongod", 1.0, Unit::Times, "a sorted selection, beside mongod"),
    at_least("pipelines.lookup.over_mongod", 1.0, Unit::Times, "a join by an index, beside mongod"),
    at_least("reads.scan.over_sqlite", 2.0, Unit::Times, "an unindexed find, beside SQLite"),
    at_least("reads.id.over_mongod", 10.0, Unit::Times, "reads by _id, beside mongod"),
    at_least("reads.index.over_mongod", 10.0, Unit::Times, "reads by index, beside mongod"),
    at_least("reads.scan.over_mongod", 2.0, Unit::Times, "an unindexed find, beside mongod"),
    at_most("growth.write", 2.0, Unit::Times, "an update among the most, to one among the fewest"),
    at_most("locks.handoff.commits", 1.5, Unit::Times, "hand-off of a document, in redb commits"),
    at_least("locks.index.1.over_mongod", 1.8, Unit::Times, "locks of 1 thread, beside mongod"),
    at_least("locks.index.64.over_mongod", 2.0, Unit::Times, "locks of 64 threads, beside mongod"),
    at_least("locks.queue.1.over_mongod", 1.8, Unit::Times, "a queue of 1 thread, beside mongod"),
    at_least("locks.queue.64.over_mongod", 2.0, Unit::Times, "a queue of 64, beside mongod"),
    at_most("growth.read", 6.0, Unit::Times, "a read among the most, to one among the fewest"),
];
