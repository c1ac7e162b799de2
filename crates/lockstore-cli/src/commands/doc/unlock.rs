//! `lockstore doc unlock`: taking the locks of documents from whoever holds them.

use clap::Args;
use lockstore::BreakRecord;
use lockstore::bson::RawDocumentBuf;
use serde::Serialize;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::parse_document;
use crate::failure::Failure;
use crate::names::user_and_host;
use crate::output::{print, print_json, printable};
use crate::report::BreakReport;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Unlock documents, whoever has locked them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Unlock {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Which documents; '{}' is any
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    filter: RawDocumentBuf,
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

impl Unlock {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, filter, reason, json } = self;
        let (database, name) = collection.names()?;
        let reason = reason.unwrap_or_else(|| format!("by {}", user_and_host()));
        let records = place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let mut records = Vec::new();
            // One call unlocks a bounded number, and nobody else locks anything meanwhile.
            loop {
                let unlocked = documents.unlock(&filter, &reason)?;
                if unlocked.is_empty() {
                    return Ok(records);
                }
                records.extend(unlocked);
            }
        })?;
        if records.is_empty() {
            let nobody = format!("nobody has locked such a document of {database}.{name}");
            return Err(Failure::no(nobody));
        }
        if json {
            print_json(&Breaks { breaks: records.iter().map(BreakReport::from).collect() })?;
        } else {
            print(&records.iter().map(line).collect::<String>())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(record: &BreakRecord) -> String {
    let BreakRecord { key, holder, .. } = record;
    format!("{}\n", printable(&format!("unlocked {key}, which {holder:?} had locked")))
}

const ABOUT: &str = "\
Unlock documents, whoever has locked them, and print which and who it was.

Who had locked one finds out when it renews or releases the lock: nothing of its update on release is done \
then. Until then it goes on as if it had the lock, so make sure that it is gone. Nothing else in the \
documents changes. There is no default for --filter: to unlock all, write --filter '{}'. Each break is \
recorded with its reason, see `lockstore audit`.

Exit codes: 0 unlocked, 1 no such document is locked, or the filter was refused, 2 the command line is \
wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc unlock shop.orders --filter '{_id: 17}' --reason 'host is gone'
  lockstore doc unlock shop.orders --filter '{lock_id: \"worker-3\"}'";
