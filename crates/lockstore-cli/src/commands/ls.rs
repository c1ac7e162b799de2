//! `lockstore ls`: the locks that are held.

use clap::Args;
use lockstore::{LockInfo, Store, WallTime};
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::report::LockReport;
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::{between, rough};

/// List the locks that are held
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Ls {
    /// Only locks whose keys begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    locks: Vec<LockReport>,
}

impl Ls {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let locks = place.with(Access::Existing, |store| all(store, &self.prefix))?;
        let now = place.wall();
        if self.json {
            let locks = locks.iter().map(|lock| LockReport::new(lock, now)).collect();
            print_json(&Listing { locks })?;
        } else if !locks.is_empty() {
            print(&table(&HEADINGS, locks.iter().flat_map(|lock| rows(lock, now))))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn all(store: &Store, prefix: &str) -> Result<Vec<LockInfo>, Failure> {
    let mut locks: Vec<LockInfo> = Vec::new();
    loop {
        let after = locks.last().map(|lock| lock.key.clone());
        let page = store.list(prefix, after.as_deref(), PAGE)?;
        let is_last = page.len() < PAGE;
        locks.extend(page);
        if is_last {
            return Ok(locks);
        }
    }
}

/// A row for each holder.
fn rows(lock: &LockInfo, now: WallTime) -> impl Iterator<Item = Vec<String>> {
    lock.holders.iter().map(move |holder| {
        vec![
            lock.key.to_string(),
            lock.mode.to_string(),
            holder.holder.to_string(),
            holder.token.to_string(),
            rough(between(holder.since, now)),
            holder.remaining.map_or_else(|| "no end".to_owned(), rough),
        ]
    })
}

const HEADINGS: [&str; 6] = ["KEY", "MODE", "HOLDER", "TOKEN", "HELD FOR", "TIME LEFT"];

const PAGE: usize = 1_000;

const ABOUT: &str = "\
List the locks that are held, in the order of their keys: a line for each holder. Prints nothing when \
there are none.

Exit codes: 0 listed, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore ls
  lockstore ls report/
  lockstore ls --json | jq -r '.locks[].holders[] | [.token, .holder] | @tsv'";
