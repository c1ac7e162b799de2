//! Log lines on stderr, for who asks for them in the environment.

use std::io::stderr;
use std::panic;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// Writes the log lines that `LOCKSTORE_LOG` asks for. Without it there are none: a failure is told in a
/// sentence in any case.
pub(crate) fn start() -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => filter,
        _ => return Ok(()),
    };
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::usage(format!(
            "{VARIABLE} is {filter:?}, which is no filter ({error}); off, error, warn, info, debug or \
             trace was expected, or one such as lockstore=debug"
        ))
    })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    Ok(())
}

/// Panics go to the log. Those that a damaged file causes deep in the storage are caught there and become
/// errors; any other is told as one in `main`.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|info| tracing::error!(%info, "a panic")));
}

const VARIABLE: &str = "LOCKSTORE_LOG";
