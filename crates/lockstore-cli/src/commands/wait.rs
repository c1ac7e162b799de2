//! `lockstore wait`: waiting for a lock to be free, without taking it.

use std::thread;
use std::time::Duration;

use clap::Args;
use lockstore::{Key, Store};

use crate::acquiring::{Try, until_done};
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::holders;
use crate::names::parse_key;
use crate::store_file::{Access, StoreFile};
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
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let Self { key, timeout } = self;
        let sleep = |time: Duration| {
            thread::sleep(time);
            Ok(())
        };
        match until_done(file, Access::Existing, timeout, sleep, |store| look(store, &key))? {
            Try::Done(()) => Ok(ExitCode::SUCCESS),
            Try::NotYet(by) => {
                Err(Failure::no(format!("{key:?} has not become free: it is held {by}")))
            }
        }
    }
}

fn look(store: &Store, key: &Key) -> Result<Try<()>, Failure> {
    Ok(store.inspect(key)?.map_or(Try::Done(()), |lock| Try::NotYet(holders::by_all(&lock))))
}

const ABOUT: &str = "\
Wait until nobody holds a lock, without taking it.

Looks again and again, after 25 ms at first and every 250 ms later on; a moment in which the lock is free \
between two holders may be missed. That it was free does not mean that it still is: to do something \
while nobody else does, use `lockstore run`. Prints nothing.

Exit codes: 0 it was free, 1 it has not become free in time, 2 the command line is wrong, 4 the store \
could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore wait nightly-report && ./publish.sh
  lockstore wait deploy --timeout 0 || echo 'a deployment is going on'";
