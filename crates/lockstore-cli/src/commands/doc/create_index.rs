//! `lockstore doc create-index`: a new index.

use std::time::Duration;

use clap::Args;
use lockstore::IndexModel;
use lockstore::bson::{Document, RawDocumentBuf};

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::parse_document;
use crate::failure::Failure;
use crate::output::{print, printable};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::times::parse_time;

/// Make an index, and print its name
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct CreateIndex {
    #[command(flatten)]
    collection: CollectionArgs,
    /// The fields, each with 1 for ascending or -1 for descending: {state: 1, price: -1}
    #[arg(value_parser = parse_document)]
    keys: RawDocumentBuf,
    /// Its name [default: made of the keys, such as `state_1`]
    #[arg(long)]
    name: Option<String>,
    /// No two documents may have the same key
    #[arg(long)]
    unique: bool,
    /// Leave out documents that have none of the fields
    #[arg(long)]
    sparse: bool,
    /// Searches act as if it were not there
    #[arg(long)]
    hidden: bool,
    /// Delete documents so long after the date in the one field
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    expire_after: Option<Duration>,
    /// Have only documents that match this
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    partial_filter: Option<RawDocumentBuf>,
}

impl CreateIndex {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        self.collection.names()?;
        let model = self.model()?;
        let name = place.with(Access::Existing, |store| {
            Ok(self.collection.within(store)?.create_index(model)?)
        })?;
        print(&format!("{}\n", printable(&name)))?;
        Ok(ExitCode::SUCCESS)
    }

    fn model(&self) -> Result<IndexModel, Failure> {
        let parsed = |document: &RawDocumentBuf| {
            Document::try_from(&**document).map_err(|error| Failure::usage(error.to_string()))
        };
        let mut model = IndexModel::new(parsed(&self.keys)?)
            .unique(self.unique)
            .sparse(self.sparse)
            .hidden(self.hidden);
        model.name.clone_from(&self.name);
        model.expire_after = self.expire_after;
        model.partial_filter = self.partial_filter.as_ref().map(parsed).transpose()?;
        Ok(model)
    }
}

const ABOUT: &str = "\
Make an index, and print its name. It is complete when this ends. One that is there already, the same, is \
no failure; a collection that is not there is made.

Exit codes: 0 made, 1 refused, as a unique key is there twice, say, 2 the command line is wrong, 4 the \
store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc create-index shop.orders '{state: 1, price: -1}'
  lockstore doc create-index shop.orders '{number: 1}' --unique
  lockstore doc create-index shop.sessions '{seen: 1}' --expire-after 30d";
