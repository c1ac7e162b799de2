//! lockstore beside its peers: what a durable lock costs, and what it would cost elsewhere.
//!
//! `cargo run --release -p lockstore-benches -- locks --help`

/// Many acquisitions at a time from one thread.
mod bulk;
/// `locks`: the scenarios, one file each.
mod locks;
/// Rounds, medians, ratios and percentiles.
mod measure;
/// What locks could be built on instead.
mod peers;
/// The folder that is measured on, and its disk.
mod place;
/// A pseudo-random sequence that is the same in every run.
mod random;
/// What was measured: tables for people, figures for programs.
mod report;
/// What is to be reached.
mod targets;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

/// Whatever stops a bench is told to whoever started it.
type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures lockstore beside its peers, in one run.
#[derive(Debug, Parser)]
#[command(name = "lockstore-benches")]
enum Bench {
    /// Locks: durable calls, hand-off, reading, the state machine, the wheel, a million locks, churn.
    Locks(locks::Options),
    /// A process of its own that holds or opens many locks; `locks` starts it.
    #[command(hide = true)]
    Million(locks::MillionChild),
}

fn main() -> ExitCode {
    let outcome = match Bench::parse() {
        Bench::Locks(options) => locks::run(&options),
        Bench::Million(child) => child.run().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("lockstore-benches: {error}");
        ExitCode::from(2)
    })
}
