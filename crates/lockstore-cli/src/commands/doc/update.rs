//! `lockstore doc update`: changing documents.

use clap::Args;
use lockstore::UpdateResult;
use lockstore::bson::raw::RawArrayBuf;
use lockstore::bson::{RawBson, RawDocumentBuf};
use serde::Serialize;
use serde_json::value::RawValue;

use super::collection_args::CollectionArgs;
use super::query::Index;
use crate::exit_code::ExitCode;
use crate::extended::{json_of_value, parse_array, parse_document, parse_update, text_of_value};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Change documents, and print how many
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Update {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Operators, or the stages of a pipeline: {$set: {state: "done"}}
    #[arg(value_name = "UPDATE", value_parser = parse_update)]
    change: RawBson,
    /// Which documents; '{}' is any
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    filter: RawDocumentBuf,
    /// Change all that match, not only the first
    #[arg(long)]
    many: bool,
    /// Insert a document when none matches
    #[arg(long)]
    upsert: bool,
    /// Which items of arrays `$[name]` stands for: [{"name.state": "new"}]
    #[arg(long, value_name = "ARRAY", value_parser = parse_array)]
    array_filters: Option<RawArrayBuf>,
    #[command(flatten)]
    index: Index,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Updated {
    matched: u64,
    modified: u64,
    /// 1 when a document was inserted, else 0.
    upserted: u64,
    /// Its `_id`, which may be `null` too.
    upserted_id: Option<Box<RawValue>>,
}

impl Update {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, change, filter, many, upsert, array_filters, index, json } = self;
        collection.names()?;
        let done = place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let request = if many {
                documents.update_many(&filter, &change)
            } else {
                documents.update_one(&filter, &change)
            };
            let mut request = request.upsert(upsert);
            if let Some(filters) = array_filters {
                request = request.array_filters(filters.into_iter().flatten());
            }
            if let Some(hint) = index.hint {
                request = request.hint(hint);
            }
            Ok(request.run()?)
        })?;
        let UpdateResult { matched_count: matched, modified_count: modified, upserted_id, .. } =
            done;
        let upserted = u64::from(upserted_id.is_some());
        let is_done = many || matched + upserted > 0;
        if json {
            let upserted_id = upserted_id.map(json_of_value).transpose()?;
            print_json(&Updated { matched, modified, upserted, upserted_id })?;
        } else {
            let id = upserted_id.map(text_of_value).transpose()?;
            let upserted = id.map(|id| format!(", upserted {id}")).unwrap_or_default();
            print(&format!("matched {matched}, modified {modified}{upserted}\n"))?;
        }
        Ok(ExitCode::from(u8::from(!is_done)))
    }
}

const ABOUT: &str = "\
Change documents, and print how many matched, and how many are different now.

Changes the first document that matches, or with --many all, each of them at once and not all of them \
together. A filter that names the state a document must be in makes it a test and a change in one step: \
of many who do the same, one gets 0.

Exit codes: 0 changed; 1 nothing matched, and neither --many nor --upsert was given, or the update was \
refused; 2 the command line is wrong; 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc update shop.orders '{$set: {paid: true}}' --filter '{_id: 17}'
  lockstore doc update shop.orders '{$inc: {tries: 1}}' --filter '{}' --many
  lockstore doc update shop.orders '[{$set: {sum: {$add: [\"$a\", \"$b\"]}}}]' \\
    --filter '{_id: 17}' --upsert
  lockstore doc update shop.orders '{$set: {\"lines.$[l].done\": true}}' \\
    --filter '{_id: 17}' --array-filters '[{\"l.item\": \"tea\"}]'";
