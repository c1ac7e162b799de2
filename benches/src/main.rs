//! lockstore beside its peers: what a durable lock and a document cost, and what they would cost elsewhere.
//!
//! `cargo run --release -p lockstore-benches -- locks --help`, and the same with `documents`, `shared` and `mongo`

/// Many acquisitions at a time from one thread.
mod bulk;
/// `documents`: the scenarios, one file each.
mod documents;
/// `locks`: the scenarios, one file each.
mod locks;
/// Rounds, medians, ratios and percentiles.
mod measure;
/// `mongo`: the scenarios, one file each.
mod mongo;
/// How fast threads get on that call at once.
mod pace;
/// What locks and documents could be built on instead.
mod peers;
/// The folder that is measured on, and its disk.
mod place;
/// A pseudo-random sequence that is the same in every run.
mod random;
/// What was measured: tables for people, figures for programs.
mod report;
/// `shared`: the scenarios, one file each.
mod shared;
/// Scenarios that are run one after the other.
mod suite;
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
    /// Documents: durable updates, reading and looking through, the filter alone, growth, locks.
    Documents(documents::Options),
    /// One file and many processes: locks, updates, hand-off, a server that is killed.
    Shared(shared::Options),
    /// A replica set of three members: locks, hand-off, a crowd of waiters, in majority writes.
    Mongo(mongo::Options),
    /// A process of its own that holds or opens many locks; `locks` starts it.
    #[command(hide = true)]
    Million(locks::MillionChild),
    /// One of the processes of `shared`, which starts it.
    #[command(hide = true)]
    SharedChild(shared::Child),
}

fn main() -> ExitCode {
    let outcome = match Bench::parse() {
        Bench::Locks(options) => locks::run(&options),
        Bench::Documents(options) => documents::run(&options),
        Bench::Shared(options) => shared::run(&options),
        Bench::Mongo(options) => mongo::run(&options),
        Bench::SharedChild(child) => child.run().map(|()| ExitCode::SUCCESS),
        Bench::Million(child) => child.run().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("lockstore-benches: {error}");
        ExitCode::from(2)
    })
}
