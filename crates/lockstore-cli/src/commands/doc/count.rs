//! `lockstore doc count`: how many documents match a filter.

use clap::Args;
use serde::Serialize;

use super::collection_args::CollectionArgs;
use super::query::Selection;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Count the documents that match a filter
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Count {
    #[command(flatten)]
    collection: CollectionArgs,
    #[command(flatten)]
    selection: Selection,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Counted {
    count: u64,
}

impl Count {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, selection: Selection { filter, skip, limit, index }, json } = self;
        collection.names()?;
        let count = place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let mut count = documents.count_documents(filter.unwrap_or_default()).skip(skip);
            if let Some(limit) = limit {
                count = count.limit(limit);
            }
            if let Some(hint) = index.hint {
                count = count.hint(hint);
            }
            Ok(count.run()?)
        })?;
        if json {
            print_json(&Counted { count })?;
        } else {
            print(&format!("{count}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Count the documents that match a filter, and print the number. A collection that does not exist has none.

Exit codes: 0 counted, 1 MongoDB's language has no such filter, or the like, 2 the command line is wrong, \
4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc count shop.orders
  lockstore doc count shop.orders --filter '{state: \"new\"}'
  lockstore doc count orders --db shop --json | jq .count";
