//! `lockstore doc find`: the documents that match a filter.

use clap::Args;

use super::collection_args::CollectionArgs;
use super::query::Query;
use crate::exit_code::ExitCode;
use crate::extended::Form;
use crate::failure::Failure;
use crate::spool::Spool;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Print the documents that match a filter
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Find {
    #[command(flatten)]
    collection: CollectionArgs,
    #[command(flatten)]
    query: Query,
    #[command(flatten)]
    form: Form,
}

impl Find {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, query, form } = self;
        collection.names()?;
        let mut found = Spool::new(form);
        place.with(Access::Existing, |store| {
            found.take(query.find(&collection.within(store)?).run()?)
        })?;
        found.print()?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Print the documents that match a filter, one a line in Extended JSON. Prints nothing when there are none.

Without --sort they come in the order of insertion, or in that of the index that is used.

Exit codes: 0 searched, whatever was found; 1 MongoDB's language has no such filter, or the like; 2 the \
command line is wrong; 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc find shop.orders
  lockstore doc find shop.orders --filter '{price: {$gte: 5}}' --limit 10
  lockstore doc find shop.orders --sort '{price: -1}' --projection '{item: 1}'
  lockstore doc find shop.orders | jq -r .item";
