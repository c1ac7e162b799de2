//! `documents`: what documents cost.

mod filled;
mod filter;
mod growth;
/// The documents that are measured with.
pub(crate) mod job;
mod locks;
mod pipelines;
mod reads;
mod updates;

pub(crate) use filled::note_of;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::Result;
use crate::suite::{self, Scenario, Suite};
use crate::targets;

/// What to measure, and what to do with it. Where the environment variable MONGOD names a server's program, it is
/// measured too.
#[derive(Debug, Args)]
#[group(id = "documents_options")]
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
    /// How many documents there are.
    documents: usize,
    /// How many there are as the collection grows: few, more, very many.
    growth: [usize; 3],
    /// Among how many documents some are locked: few, many.
    locks: [usize; 2],
    /// How many times a document is handed on, in a round.
    handoffs: usize,
}

/// Runs the scenarios.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    SUITE.run(&options.options, options.only.as_deref())
}

const SUITE: Suite<Scale> = Suite {
    scenarios: &[
        Scenario { name: "updates", run: updates::run },
        Scenario { name: "reads", run: reads::run },
        Scenario { name: "pipelines", run: pipelines::run },
        Scenario { name: "filter", run: |_, scale| filter::run(scale) },
        Scenario { name: "growth", run: growth::run },
        Scenario { name: "locks", run: locks::run },
    ],
    full: FULL,
    quick: QUICK,
    targets: targets::DOCUMENTS,
};

const FULL: Scale = Scale {
    rounds: 5,
    round: Duration::from_secs(1),
    documents: 100_000,
    growth: [1_000, 100_000, 1_000_000],
    locks: [10_000, 100_000],
    handoffs: 2_000,
};

const QUICK: Scale = Scale {
    rounds: 2,
    round: Duration::from_millis(400),
    documents: 20_000,
    growth: [1_000, 5_000, 20_000],
    locks: [2_000, 10_000],
    handoffs: 200,
};
