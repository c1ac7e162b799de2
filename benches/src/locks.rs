//! `locks`: what locks cost.

mod calls;
mod churn;
mod handoff;
mod live;
mod machine;
mod million;
mod reads;
mod wheel;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::Result;
use crate::suite::{self, Scenario, Suite};
use crate::targets;

pub(crate) use million::Child as MillionChild;

/// What to measure, and what to do with it.
#[derive(Debug, Args)]
#[group(id = "locks_options")]
pub(crate) struct Options {
    #[command(flatten)]
    options: suite::Options,
    /// Run this scenario only
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SUITE.names()))]
    only: Option<String>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// How many rounds each contender gets.
    rounds: usize,
    /// How long a round of durable calls takes.
    round: Duration,
    /// How many locks are held by others meanwhile.
    live: usize,
    /// How many hand-offs there are in a round, and commits beside them.
    handoffs: usize,
    /// How many locks a large store has, and timers a large wheel.
    many: usize,
    /// How many locks are acquired and released in the churn.
    churned: usize,
}

/// Runs the scenarios.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    SUITE.run(&options.options, options.only.as_deref())
}

const SUITE: Suite<Scale> = Suite {
    scenarios: &[
        Scenario { name: "calls", run: calls::run },
        Scenario { name: "handoff", run: handoff::run },
        Scenario { name: "reads", run: reads::run },
        Scenario { name: "machine", run: |_, scale| machine::run(scale) },
        Scenario { name: "wheel", run: |_, scale| Ok(wheel::run(scale)) },
        Scenario { name: "million", run: million::run },
        Scenario { name: "churn", run: churn::run },
    ],
    full: FULL,
    quick: QUICK,
    targets: targets::LOCKS,
};

const FULL: Scale = Scale {
    rounds: 5,
    round: Duration::from_secs(2),
    live: 100_000,
    handoffs: 500,
    many: 1_000_000,
    churned: 1_000_000,
};

const QUICK: Scale = Scale {
    rounds: 2,
    round: Duration::from_millis(500),
    live: 100_000,
    handoffs: 150,
    many: 100_000,
    churned: 50_000,
};
