//! `cargo xtask bench`: ours beside the peers, in one run.

use crate::mongod::{self, MONGOD};
use crate::python;
use crate::step::{Failure, Outcome, Step};

pub(crate) fn run(args: &[&str]) -> Outcome {
    let args: Vec<_> = args.iter().copied().filter(|&arg| arg != "--").collect();
    let (suites, args) = match args.split_first() {
        Some((suite, args)) if SUITES.contains(suite) => (std::slice::from_ref(suite), args),
        _ => (&SUITES[..], &*args),
    };
    let of_one = args.iter().find(|arg| arg.starts_with("--json") || arg.starts_with("--only"));
    if let (Some(arg), [_, _, ..]) = (of_one, suites) {
        let suites = suites.join(" or ");
        return Err(Failure::new(format!("`{arg}` is about one bench: put {suites} before it")));
    }
    for suite in suites {
        if *suite == PYTHON {
            python::bench(args)?;
            continue;
        }
        if *suite == "shared" {
            Step::cargo("build of the program", "build --release --package lockstore-cli").run()?;
        }
        let command = format!("run --release --package lockstore-benches -- {suite}");
        let mut bench = Step::cargo(format!("bench of {suite}"), &command).args(args);
        if *suite == "mongo" {
            bench = bench
                .env(MONGOD, &mongod::ready()?.to_string_lossy())
                .env("PEERS_PYTHON", &python::peers()?.to_string_lossy());
        }
        bench.run()?;
    }
    Ok(())
}

const SUITES: [&str; 5] = ["locks", "documents", "shared", "mongo", PYTHON];

/// The suite that is a Python program.
const PYTHON: &str = "python";
