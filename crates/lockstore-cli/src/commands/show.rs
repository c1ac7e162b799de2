//! `lockstore show`: one lock, and who holds it.

use clap::Args;
use lockstore::{HolderInfo, Key, LockInfo, WallTime};

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::names::parse_key;
use crate::output::{print, print_json};
use crate::report::LockReport;
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::pairs;
use crate::times::{between, rfc3339, rough};

/// Show one lock, and who holds it
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Show {
    /// The lock
    #[arg(value_parser = parse_key)]
    key: Key,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { key, json } = self;
        let lock = place.with(Access::Existing, |store| Ok(store.inspect(&key)?))?;
        let lock = lock.ok_or_else(|| Failure::no(format!("nobody holds {key:?}")))?;
        let now = place.wall();
        if json {
            print_json(&LockReport::new(&lock, now))?;
        } else {
            print(&text(&lock, now))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn text(lock: &LockInfo, now: WallTime) -> String {
    let head = pairs([("key      ", lock.key.to_string()), ("mode", lock.mode.to_string())]);
    let holders = lock.holders.iter().map(|holder| format!("\n{}", holder_text(holder, now)));
    head + &holders.collect::<String>()
}

fn holder_text(holder: &HolderInfo, now: WallTime) -> String {
    let or_none = |time: Option<_>| time.map_or_else(|| "no end".to_owned(), rough);
    let since = format!("{} ({} ago)", rfc3339(holder.since), rough(between(holder.since, now)));
    pairs([
        ("holder", holder.holder.to_string()),
        ("token", holder.token.to_string()),
        ("since", since),
        ("TTL", or_none(holder.ttl)),
        ("time left", or_none(holder.remaining)),
    ])
}

const ABOUT: &str = "\
Show one lock, and who holds it.

Exit codes: 0 it is held, 1 nobody holds it, 2 the command line is wrong, 4 the store could not be used, or \
there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore show nightly-report
  lockstore show nightly-report --json | jq -r '.holders[0].remaining_seconds'";
