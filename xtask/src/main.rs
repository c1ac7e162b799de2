//! The project's own chores. A laptop and CI type the same commands.

mod bench;
mod deny;
mod driver;
mod examples;
mod fuzz;
mod mongod;
mod python;
mod step;
mod tally;
mod test;
mod tool;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use step::{Failure, Outcome};

const HELP: &str = "\
The project's chores. Each installs the tools that it needs, into target/tools.

  cargo xtask test          everything a change must pass: format, lints, documentation,
                            dependencies, examples, unmodified drivers of MongoDB, the Python package, tests
  cargo xtask python        the Python package alone: its wheel is built, installed and tested
  cargo xtask fuzz [TARGET...] [--seconds N] [--sanitizer NAME]
                            each fuzz target (all of them by default) for N seconds (60);
                            NAME is none, address, leak, memory or thread (none)
  cargo xtask bench [locks|documents|shared|mongo|python] [--quick] [ARG...]
                            ours beside the peers, all by default; arguments go to the bench program
  cargo xtask mongod        the path of a real mongod 6.0, which the tests of replica sets need: what the
                            environment variable MONGOD names, else one that is fetched
  cargo xtask advisories    known vulnerabilities of the dependencies; needs a network
  cargo xtask help          this text
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match chore(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn chore(args: &[String]) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask/ lies in the root");
    env::set_current_dir(root)
        .map_err(|error| Failure::new(format!("cannot enter {}: {error}", root.display())))?;

    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test"] => test::run(),
        ["python"] => python::package(),
        ["fuzz", args @ ..] => fuzz::run(args),
        ["bench", args @ ..] => bench::run(args),
        ["mongod"] => mongod::print(),
        ["advisories"] => deny::advisories(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!("`{}` is no chore; these are:\n\n{HELP}", args.join(" ")))),
    }
}
