//! `lockstore renew`: beginning a lease anew.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::lock_args::GrantArgs;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::times::{parse_ttl, rough};

/// Begin the lease of a lock anew
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Renew {
    #[command(flatten)]
    grant: GrantArgs,
    /// For how long from now on [default: the TTL that it has]
    #[arg(long, value_name = "TIME", value_parser = parse_ttl, allow_hyphen_values = true)]
    ttl: Option<Duration>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Renewed {
    key: String,
    holder: String,
    /// `null` when the lock has no end.
    ttl_seconds: Option<f64>,
}

impl Renew {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { grant: GrantArgs { key, holder, token }, ttl, json } = self;
        let ttl =
            place.with(Access::Existing, |store| Ok(store.renew(&key, &holder, token, ttl)?))?;
        if json {
            let ttl_seconds = ttl.map(|ttl| ttl.as_secs_f64());
            let (key, holder) = (key.to_string(), holder.to_string());
            print_json(&Renewed { key, holder, ttl_seconds })?;
        } else {
            print(&ttl.map_or_else(|| "no end\n".to_owned(), |ttl| format!("{}\n", rough(ttl))))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Begin the lease of a lock anew, and print how long it lasts from now on.

A renewal revives nothing: when the lease has ended, or the lock was broken, it fails, and what the lock \
protects must be left alone. Renew well before the end, when a third of the TTL has passed, say. A lock \
without end stays without end, unless a --ttl is given.

Exit codes: 0 renewed, 1 it is not held by that holder (or token) any more, 2 the command line is wrong, \
4 the store could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore renew deploy --holder ci-17
  lockstore renew deploy --holder \"$holder\" --token \"$token\" --ttl 30m";
