//! `lockstore wait`: waiting for a lock to be free, without taking it.

use std::time::Duration;

use clap::Args;
use lockstore::Key;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::holders;
use crate::names::parse_key;
use crate::store_file::{Access, closing};
use crate::store_place::StorePlace;
use crate::times::{Patience, parse_patience};

/// Wait until nobody holds a lock, without taking it
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Wait {
    /// The lock
    #[arg(value_parser = parse_key)]
    key: Key,
    /// How long to wait: a time, 0 to look once, or `forever`
    #[arg(long, value_name = "TIME", value_parser = parse_patience, default_value = "forever")]
    #[arg(allow_hyphen_values = true)]
    timeout: Patience,
}

impl Wait {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { key, timeout } = self;
        let until = timeout.until(place.now());
        let Some(mut lock) = place.with(Access::Existing, |store| Ok(store.inspect(&key)?))? else {
            return Ok(ExitCode::SUCCESS);
        };
        if timeout != Patience::For(Duration::ZERO) {
            tracing::debug!(%key, "waiting");
            let still = closing(place.connect()?, |store| {
                let left = until.map(|until| until.saturating_since(place.now()));
                let is_free = store.wait_until_free(&key, left)?;
                Ok(if is_free { None } else { store.inspect(&key)? })
            })?;
            match still {
                Some(still) => lock = still,
                None => return Ok(ExitCode::SUCCESS),
            }
        }
        let by = holders::by_all(&lock);
        Err(Failure::no(format!("{key:?} has not become free: it is held {by}")))
    }
}

const ABOUT: &str = "\
Wait until nobody holds a lock, without taking it.

While it waits it is connected to the store's server, which is started if there is none. A lock that is handed from \
holder to holder is not free in between. That it was free does not mean that it still is: to do something \
while nobody else does, use `lockstore run`. Prints nothing.

Exit codes: 0 it was free, 1 it has not become free in time, 2 the command line is wrong, 4 the store \
could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore wait nightly-report && ./publish.sh
  lockstore wait deploy --timeout 0 || echo 'a deployment is going on'";
