//! `mongo`: what locks on a replica set cost, in its own majority writes, beside who polls.

mod calls;
mod crowd;
/// One write that most members have: what anything here costs at least.
mod floor;
mod handoff;
/// jobflow-remote's and Prefect's own locks, in a Python process.
mod peers;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use lockstore::Store;
use lockstore_testkit::replica_set::ReplicaSet;

use crate::Result;
use crate::suite::{self, Scenario, Suite};
use crate::targets;

/// What to measure, and what to do with it. The environment variable `MONGOD` names the mongod of which three members are started;
/// `PEERS_PYTHON` a Python that has jobflow-remote and prefect-redis, which are left out otherwise. `cargo xtask bench mongo` sets both.
#[derive(Debug, Args)]
#[group(id = "mongo_options")]
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
    /// How many times a lock is handed on, in a round.
    handoffs: usize,
    /// The same by who polls.
    polled: usize,
    /// How many wait for one lock.
    crowd: usize,
}

/// Runs the scenarios.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if std::env::var_os("MONGOD").is_none() {
        return Err("MONGOD names no mongod; `cargo xtask bench mongo` fetches one".into());
    }
    SUITE.run(&options.options, options.only.as_deref())
}

/// The replica set of this run: three members on this machine, whose journals are synced before a majority write is done.
fn members() -> &'static ReplicaSet {
    ReplicaSet::shared()
}

/// A client of its own.
fn connect() -> Result<Store> {
    Ok(lockstore_mongo::connect(&members().uri())?)
}

const SUITE: Suite<Scale> = Suite {
    scenarios: &[
        Scenario { name: "locks", run: calls::run },
        Scenario { name: "handoff", run: handoff::run },
        Scenario { name: "crowd", run: crowd::run },
    ],
    full: FULL,
    quick: QUICK,
    targets: targets::MONGO,
};

const FULL: Scale =
    Scale { rounds: 5, round: Duration::from_secs(2), handoffs: 100, polled: 20, crowd: 100 };

const QUICK: Scale =
    Scale { rounds: 2, round: Duration::from_millis(300), handoffs: 10, polled: 4, crowd: 20 };
