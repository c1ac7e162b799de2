//! Runs recorded cases against a store and tells which it answers as a real server does.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lockstore_tests::conformance::{
    Area, Failure, ServedStore, StoreServer, read_folder, replay_all,
};

/// Runs recorded cases against a store in a temporary file.
///
/// Prints a line for each area, the ids that fail, and the sums. The exit code says whether the cases could be run, not
/// how they were answered.
#[derive(Debug, Parser)]
struct Args {
    /// The folder with the cases: NAME.jsonl and NAME.jsonl.gz, a file for each area.
    dir: PathBuf,
    /// Only areas, or cases, whose name begins like this.
    #[arg(long, value_name = "PREFIX")]
    only: Option<String>,
    /// Writes the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Shows the command, the recorded reply and the answer of each case that fails.
    #[arg(long)]
    verbose: bool,
    /// Asks the store through a socket.
    #[arg(long)]
    socket: bool,
    /// How many cases run at the same time, each on a store of its own.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let mut areas = read_folder(&args.dir).map_err(|error| error.to_string())?;
    if let Some(prefix) = &args.only {
        areas = only(areas, prefix);
        if areas.is_empty() {
            return Err(format!("no area and no case begins with {prefix}"));
        }
    }
    // Asked for before the run, so that a report that cannot be written does not cost one.
    let json = args.json.as_ref().map(|path| {
        File::create(path).map_err(|error| format!("{} cannot be written: {error}", path.display()))
    });
    let json = json.transpose()?;
    let threads = args.threads.max(1);
    let report = if args.socket {
        replay_all(&areas, threads, ServedStore::start)
    } else {
        replay_all(&areas, threads, StoreServer::start)
    };
    if let Some(json) = json {
        report.write_json(json).map_err(|error| format!("the JSON report: {error}"))?;
    }
    if args.verbose {
        report.failures().for_each(show);
    }
    println!("{report}");
    Ok(())
}

/// Of an area whose name does not begin with `prefix`, the cases whose id does.
fn only(areas: Vec<Area>, prefix: &str) -> Vec<Area> {
    let chosen = areas.into_iter().map(|mut area| {
        if !area.name.starts_with(prefix) {
            area.cases.retain(|case| case.id.starts_with(prefix));
        }
        area
    });
    chosen.filter(|area| !area.cases.is_empty()).collect()
}

fn show(failure: &Failure) {
    println!("{failure}");
    println!("  command:  {}", failure.command);
    println!("  recorded: {}", failure.recorded);
    println!("  answered: {}\n", failure.answered.as_deref().unwrap_or("nothing"));
}
