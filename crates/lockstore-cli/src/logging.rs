//! Log lines: on stderr for who asks for them in the environment, in a file for a server in the background.

use std::io::stderr;
use std::panic;
use std::path::Path;

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;
use crate::log_file::LogFile;

/// Writes the log lines that `LOCKSTORE_LOG` asks for. Without it there are none: a failure is told in a
/// sentence in any case.
pub(crate) fn start() -> Result<(), Failure> {
    if let Some(filter) = filter()? {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).init();
    }
    Ok(())
}

/// Writes log lines to the file at `path`: those that `LOCKSTORE_LOG` asks for, or else from `info` on.
pub(crate) fn start_in(path: &Path) -> Result<(), Failure> {
    let file = LogFile::open(path.to_owned()).map_err(|error| {
        Failure::store(format!("the log {} cannot be written: {error}", path.display()))
    })?;
    let filter = filter()?.unwrap_or_else(|| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(file).init();
    Ok(())
}

fn filter() -> Result<Option<EnvFilter>, Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(filter) if !filter.is_empty() => filter,
        _ => return Ok(None),
    };
    let parsed = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::usage(format!(
            "{VARIABLE} is {filter:?}, which is no filter ({error}); off, error, warn, info, debug or \
             trace was expected, or one such as lockstore=debug"
        ))
    });
    parsed.map(Some)
}

/// Panics go to the log. Those that a damaged file causes deep in the storage are caught there and become
/// errors; any other is told as one in `main`.
pub(crate) fn log_panics() {
    panic::set_hook(Box::new(|info| tracing::error!(%info, "a panic")));
}

const VARIABLE: &str = "LOCKSTORE_LOG";
