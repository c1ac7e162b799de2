//! `lockstore break`: taking a lock from whoever holds it.

use clap::Args;
use lockstore::{BreakRecord, Key, Store, Token};
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::names::{parse_key, parse_token, user_and_host};
use crate::output::{print, print_json, printable};
use crate::report::BreakReport;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Take a lock from whoever holds it
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Break {
    /// The lock
    #[arg(value_parser = parse_key)]
    key: Key,
    /// Break only the grant of this token, as `lockstore show` told it
    #[arg(long, value_parser = parse_token, allow_hyphen_values = true)]
    token: Option<Token>,
    /// Why, for the audit [default: by user@host]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Breaks {
    breaks: Vec<BreakReport>,
}

impl Break {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let reason = self.reason.unwrap_or_else(|| format!("by {}", user_and_host()));
        let records = place.with(Access::Existing, |store| {
            let tokens = match self.token {
                Some(token) => vec![token],
                None => held(store, &self.key)?,
            };
            let broken = tokens.iter().map(|token| store.break_lock(&self.key, *token, &reason));
            Ok(broken.collect::<Result<Vec<_>, _>>()?)
        })?;
        if self.json {
            print_json(&Breaks { breaks: records.iter().map(BreakReport::from).collect() })?;
        } else {
            print(&records.iter().map(line).collect::<String>())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The grants of those who hold `key` now: one, or several that share it.
fn held(store: &Store, key: &Key) -> Result<Vec<Token>, Failure> {
    let lock = store.inspect(key)?.ok_or_else(|| Failure::no(format!("nobody holds {key:?}")))?;
    Ok(lock.holders.iter().map(|holder| holder.token).collect())
}

fn line(record: &BreakRecord) -> String {
    let BreakRecord { key, holder, token, .. } = record;
    format!("{}\n", printable(&format!("took {key:?} from {holder:?}, which had token {token}")))
}

const ABOUT: &str = "\
Take a lock from whoever holds it, and print from whom.

Who had it finds out at its next renewal; `lockstore run` then ends its command. Until then it goes on \
as if it had the lock, so make sure that it is gone, or that what the lock protects compares tokens.

Without --token whoever holds the lock in this moment loses it: all of them if it is shared. With --token \
only that grant is broken, and never a successor. Each break is recorded with its reason, see `lockstore \
audit`.

Exit codes: 0 broken, 1 nobody holds it, or not with that token, 2 the command line is wrong, 4 the store \
could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore break deploy --reason 'ci-17 was switched off'
  lockstore break deploy --token 42";
