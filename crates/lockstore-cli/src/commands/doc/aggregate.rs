//! `lockstore doc aggregate`: documents through the stages of a pipeline.

use clap::Args;
use lockstore::bson::RawDocumentBuf;
use lockstore::bson::raw::RawArrayBuf;

use super::collection_args::CollectionArgs;
use super::query::Index;
use crate::exit_code::ExitCode;
use crate::extended::{Form, parse_array};
use crate::failure::Failure;
use crate::spool::Spool;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Print what a pipeline makes of the documents
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Aggregate {
    #[command(flatten)]
    collection: CollectionArgs,
    /// The stages: [{$match: {...}}, {$group: {...}}]
    #[arg(value_parser = parse_array)]
    pipeline: RawArrayBuf,
    #[command(flatten)]
    index: Index,
    #[command(flatten)]
    form: Form,
}

impl Aggregate {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, pipeline, index, form } = self;
        collection.names()?;
        let mut results = Spool::new(form);
        place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let stages = pipeline.into_iter().flatten();
            let aggregate = documents.aggregate(stages).with_type::<RawDocumentBuf>();
            let aggregate = match index.hint {
                Some(hint) => aggregate.hint(hint),
                None => aggregate,
            };
            results.take(aggregate.run()?)
        })?;
        results.print()?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Print what the stages of a pipeline make of the documents, one result a line in Extended JSON.

Exit codes: 0 done, 1 MongoDB's language has no such stage, or the like, 2 the command line is wrong, 4 \
the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc aggregate shop.orders '[{$sortByCount: \"$item\"}]'
  lockstore doc aggregate shop.orders \\
    '[{$group: {_id: \"$item\", paid: {$sum: \"$price\"}}}]' | jq -s .";
