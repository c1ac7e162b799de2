//! The `lockstore` program: durable locks and documents for scripts, cron jobs and people.
//!
//! One file a command stands in [`commands`]; what they share stands beside it. A command joins the store's server, or opens its
//! file, through [`store_file`], for as long as it needs it and no longer, and prints only once the
//! file is closed again: whoever reads its output slowly keeps nobody waiting.

mod backoff;
mod cli;
mod commands;
mod detached;
mod event;
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
mod progress;
mod report;
mod signals;
mod spool;
mod store_file;
mod supervisor;
mod table;
mod times;
mod usage;
mod wanted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::failure::Failure;

fn main() -> ExitCode {
    logging::log_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::answer(&error),
    };
    let codes = cli.codes();
    let done = catch_unwind(AssertUnwindSafe(|| {
        if !cli.logs_to_a_file() {
            logging::start()?;
        }
        cli.execute()
    }));
    done.unwrap_or_else(|panic| Err(Failure::mistake(&*panic))).unwrap_or_else(|failure| {
        output::complain(&failure);
        failure.exit_code(codes)
    })
}
