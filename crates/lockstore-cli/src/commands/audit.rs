//! `lockstore audit`: the breaks that were recorded.

use clap::Args;
use lockstore::BreakRecord;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::report::BreakReport;
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::rfc3339;

/// Show which locks were broken, and why
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Audit {
    /// How many breaks to show at most
    #[arg(long, value_name = "N", default_value_t = 100, allow_hyphen_values = true)]
    limit: usize,
    /// Show those before the break of this number
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    before: Option<u64>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Breaks {
    breaks: Vec<BreakReport>,
}

impl Audit {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { limit, before, json } = self;
        let records = place.with(Access::Existing, |store| Ok(store.audit(before, limit)?))?;
        if json {
            print_json(&Breaks { breaks: records.iter().map(BreakReport::from).collect() })?;
        } else if !records.is_empty() {
            print(&table(&HEADINGS, records.iter().map(row)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(record: &BreakRecord) -> Vec<String> {
    let BreakRecord { number, key, holder, token, reason, at } = record;
    vec![
        number.to_string(),
        rfc3339(*at),
        key.to_string(),
        holder.to_string(),
        token.to_string(),
        reason.clone(),
    ]
}

const HEADINGS: [&str; 6] = ["NUMBER", "AT", "KEY", "HOLDER", "TOKEN", "REASON"];

const ABOUT: &str = "\
Show which locks were broken, by `lockstore break` or by a program, and why: the newest first. The store \
keeps the last 10,000 breaks.

Exit codes: 0 shown, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore audit --limit 10
  lockstore audit --json | jq '.breaks[] | select(.key == \"deploy\")'";
