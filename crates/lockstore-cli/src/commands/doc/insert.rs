//! `lockstore doc insert`: new documents.

use clap::Args;
use lockstore::DocumentError;
use lockstore::bson::RawDocumentBuf;
use serde::Serialize;
use serde_json::value::RawValue;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::{json_of_value, parse_document, text_of_value};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Insert documents, and print their _ids
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Insert {
    #[command(flatten)]
    collection: CollectionArgs,
    /// A document: {_id: 17, item: "tea"}
    #[arg(value_name = "DOCUMENT", value_parser = parse_document, required = true)]
    documents: Vec<RawDocumentBuf>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Inserted {
    inserted_ids: Vec<Box<RawValue>>,
}

impl Insert {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, documents, json } = self;
        collection.names()?;
        let ids = place.with(Access::OrNew, |store| {
            let inserted = collection.within(store)?.insert_many(&documents).run();
            let inserted = inserted.map_err(|error| not_inserted(error, documents.len()))?;
            Ok(inserted.inserted_ids)
        })?;
        let ids = ids.into_values();
        if json {
            let inserted_ids = ids.map(json_of_value).collect::<Result<_, _>>()?;
            print_json(&Inserted { inserted_ids })?;
        } else {
            let lines = ids.map(|id| Ok(text_of_value(id)? + "\n"));
            print(&lines.collect::<Result<String, Failure>>()?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Of several documents: which one failed, and what became of the others.
fn not_inserted(error: DocumentError, of: usize) -> Failure {
    let DocumentError::Partial(partial) = &error else { return error.into() };
    let Some((index, first)) = partial.errors().first_key_value() else { return error.into() };
    let failure = Failure::from(first.clone());
    match (of, index + 1) {
        (1, _) => failure,
        (_, 1) => failure.and(&format!("that is document 1 of {of}; none was inserted")),
        (_, n) => {
            failure.and(&format!("that is document {n} of {of}; those before it were inserted"))
        }
    }
}

const ABOUT: &str = "\
Insert documents, and print the _id of each, one a line. One without an _id gets one, an ObjectId.

Documents are inserted in their order, up to the first one that cannot be. For many, or for those of a \
file, see `lockstore doc import`.

Exit codes: 0 inserted, 1 one was refused, as its _id is taken, say, 2 the command line is wrong, 4 the \
store could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc insert shop.orders '{item: \"tea\", price: 3}'
  lockstore doc insert shop.orders '{_id: 1}' '{_id: 2}'
  lockstore doc insert shop.orders '{at: {$date: \"2024-05-01T12:00:00Z\"}}'";
