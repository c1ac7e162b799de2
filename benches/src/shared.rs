//! `shared`: what one file costs many processes.

mod calls;
/// One process of a contender's, and how it is talked to.
mod child;
mod handoff;
mod restart;
/// The contenders: their servers, and where these are.
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::Result;
use crate::suite::{self, Scenario, Suite};
use crate::targets;

pub(crate) use child::Child;
pub(crate) use servers::connect;

/// What to measure, and what to do with it. Redis is measured where `redis-server` is on PATH or the environment variable
/// `REDIS_SERVER` names it, and a mongod where MONGOD does. The program `lockstore` must have been built with this.
#[derive(Debug, Args)]
#[group(id = "shared_options")]
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
    /// How long a round of calls takes.
    round: Duration,
    /// How many processes call at once: one, some, many.
    processes: [usize; 3],
    /// How many documents there are.
    documents: usize,
    /// How many times a lock is handed on, in a round.
    handoffs: usize,
    /// How many locks a killed server's file has.
    locks: usize,
}

/// Runs the scenarios.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    SUITE.run(&options.options, options.only.as_deref())
}

const SUITE: Suite<Scale> = Suite {
    scenarios: &[
        Scenario { name: "locks", run: calls::locks },
        Scenario { name: "updates", run: calls::updates },
        Scenario { name: "handoff", run: handoff::run },
        Scenario { name: "restart", run: restart::run },
    ],
    full: FULL,
    quick: QUICK,
    targets: targets::SHARED,
};

const FULL: Scale = Scale {
    rounds: 5,
    round: Duration::from_secs(1),
    processes: [1, 4, 16],
    documents: 10_000,
    handoffs: 100,
    locks: 100_000,
};

const QUICK: Scale = Scale {
    rounds: 2,
    round: Duration::from_millis(300),
    processes: [1, 2, 4],
    documents: 1_000,
    handoffs: 10,
    locks: 10_000,
};
