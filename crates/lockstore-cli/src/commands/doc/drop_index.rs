//! `lockstore doc drop-index`: the end of an index.

use clap::Args;
use lockstore::Hint;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::parse_hint;
use crate::failure::Failure;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Drop an index
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct DropIndex {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Its name, or its keys
    #[arg(value_parser = parse_hint)]
    index: Hint,
}

impl DropIndex {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, index } = self;
        collection.names()?;
        place.with(Access::Existing, |store| Ok(collection.within(store)?.drop_index(index)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Drop an index, by its name or by its keys. The documents stay. Prints nothing.

Exit codes: 0 dropped, 1 there is no such index or collection, or it is the one on _id, 2 the command line \
is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc drop-index shop.orders state_1_price_-1
  lockstore doc drop-index shop.orders '{state: 1, price: -1}'";
