//! `locks`: what locks cost.

mod calls;
mod churn;
mod handoff;
mod live;
mod machine;
mod million;
mod reads;
mod wheel;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::Result;
use crate::place::Place;
use crate::report::{Report, Section};
use crate::targets;

pub(crate) use million::Child as MillionChild;

/// What to measure, and what to do with it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Shorten all: less than a minute, with 100,000 locks instead of a million
    #[arg(long)]
    quick: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare the figures with the targets, and exit with 1 if one of a full run is missed
    #[arg(long)]
    check: bool,
    /// Run this scenario only
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|s| s.name)))]
    only: Option<String>,
    /// Measure in this folder, which must be on a disk [default: the folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
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

/// One thing to measure.
struct Scenario {
    name: &'static str,
    run: fn(&Place, &Scale) -> Result<Section>,
}

/// In the order in which they are run.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "calls", run: calls::run },
    Scenario { name: "handoff", run: handoff::run },
    Scenario { name: "reads", run: reads::run },
    Scenario { name: "machine", run: |_, scale| machine::run(scale) },
    Scenario { name: "wheel", run: |_, scale| Ok(wheel::run(scale)) },
    Scenario { name: "million", run: million::run },
    Scenario { name: "churn", run: churn::run },
];

/// Runs the scenarios, prints what they measure, and tells whether the targets were reached if asked to.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let scale = if options.quick { &QUICK } else { &FULL };
    let folder = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    let place = Place::new(&folder)?;
    let mut report = Report::new(&place, options.quick);
    for scenario in SCENARIOS {
        if options.only.as_ref().is_none_or(|only| only == scenario.name) {
            report.add((scenario.run)(&place, scale)?);
        }
    }
    if let Some(path) = &options.json {
        report.write_json(path)?;
    }
    let missed = options.check && !targets::check(&report).all_reached();
    Ok(if missed && !options.quick { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

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
