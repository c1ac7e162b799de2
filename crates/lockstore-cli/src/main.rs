//! The `lockstore` program; see [`lockstore_cli`].

use std::env;
use std::process::{ExitCode, Termination};

fn main() -> ExitCode {
    lockstore_cli::run(&lockstore_cli::Program::default(), env::args_os()).report()
}
