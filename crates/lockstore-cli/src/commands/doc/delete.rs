//! `lockstore doc delete`: deleting documents.

use clap::Args;
use lockstore::bson::RawDocumentBuf;
use serde::Serialize;

use super::collection_args::CollectionArgs;
use super::query::Index;
use crate::exit_code::ExitCode;
use crate::extended::parse_document;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Delete documents, and print how many
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Delete {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Which documents; '{}' is any
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    filter: RawDocumentBuf,
    /// Delete all that match, not only the first
    #[arg(long)]
    many: bool,
    #[command(flatten)]
    index: Index,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: u64,
}

impl Delete {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, filter, many, index, json } = self;
        collection.names()?;
        let deleted = place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let request =
                if many { documents.delete_many(&filter) } else { documents.delete_one(&filter) };
            let request = match index.hint {
                Some(hint) => request.hint(hint),
                None => request,
            };
            Ok(request.run()?.deleted_count)
        })?;
        if json {
            print_json(&Deleted { deleted })?;
        } else {
            print(&format!("deleted {deleted}\n"))?;
        }
        Ok(ExitCode::from(u8::from(deleted == 0 && !many)))
    }
}

const ABOUT: &str = "\
Delete documents, and print how many.

Deletes the first document that matches, or with --many all. There is no default for --filter: to delete \
all documents, write --filter '{}' --many.

Exit codes: 0 deleted; 1 nothing matched, and --many was not given, or the filter was refused; 2 the \
command line is wrong; 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc delete shop.orders --filter '{_id: 17}'
  lockstore doc delete shop.orders --filter '{state: \"done\"}' --many
  lockstore doc delete shop.orders --filter '{}' --many";
