//! The `lockstore` program: durable locks and documents for scripts, cron jobs and people. It is a library for who brings it
//! along in a program of another name, as the Python package does.
//!
//! One file a command stands in `commands`; what they share stands beside it. A command reaches the store
//! through `store_place`, for as long as it needs it and no longer: it joins the store's server, or opens its file (`store_file`), or connects
//! to a replica set. It prints only once the store is closed again: whoever reads its output slowly keeps nobody waiting.

mod backoff;
mod cli;
mod commands;
mod detached;
mod event;
mod exit_code;
mod extended;
mod failure;
mod grant;
mod held;
mod holders;
mod importing;
mod lines;
mod lock_args;
mod log_file;
mod logging;
mod names;
mod output;
mod program;
mod progress;
mod replica_set_address;
mod report;
mod signals;
mod spool;
mod store_file;
mod store_place;
mod supervisor;
mod table;
mod times;
mod usage;
mod wanted;

use std::ffi::{CStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::cli::Cli;
use crate::failure::Failure;

pub use exit_code::ExitCode;
pub use program::Program;

/// Runs the program with these arguments, of which the first is its name, and answers with its exit code. `program` is how it is
/// run again.
///
/// It takes the process as its own: the thread's name, which is the process's on the first thread, signals, standard output, and
/// what is done about panics.
pub fn run(program: &Program, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Others find it by this name when they ask who has a file open.
    let _ = rustix::thread::set_name(NAME);
    logging::log_panics();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error),
    };
    let codes = cli.codes();
    let done = catch_unwind(AssertUnwindSafe(|| {
        if !cli.logs_to_a_file() {
            logging::start()?;
        }
        cli.execute(program)
    }));
    done.unwrap_or_else(|panic| Err(Failure::mistake(&*panic))).unwrap_or_else(|failure| {
        output::complain(&failure);
        failure.exit_code(codes)
    })
}

const NAME: &CStr = c"lockstore";
