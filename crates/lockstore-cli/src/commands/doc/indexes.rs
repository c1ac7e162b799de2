//! `lockstore doc indexes`: the indexes of a collection.

use clap::Args;
use lockstore::IndexModel;
use lockstore::bson::Bson;
use serde::Serialize;
use serde_json::value::RawValue;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::{json_of_value, text_of_value};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::rough;

/// List the indexes of a collection
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Indexes {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    indexes: Vec<Report>,
}

#[derive(Debug, Serialize)]
struct Report {
    name: String,
    keys: Box<RawValue>,
    unique: bool,
    sparse: bool,
    hidden: bool,
    /// `null` when its documents do not expire.
    expire_after_seconds: Option<u64>,
    /// `null` when it has all documents.
    partial_filter: Option<Box<RawValue>>,
}

impl Indexes {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, json } = self;
        collection.names()?;
        let indexes = place
            .with(Access::Existing, |store| Ok(collection.within(store)?.list_indexes()?))?;
        if json {
            let indexes = indexes.into_iter().map(Report::new).collect::<Result<_, _>>()?;
            print_json(&Listing { indexes })?;
        } else {
            let rows = indexes.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
            print(&table(&HEADINGS, rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Report {
    fn new(index: IndexModel) -> Result<Self, Failure> {
        let json = |document| json_of_value(Bson::Document(document));
        Ok(Self {
            name: index.name.unwrap_or_default(),
            keys: json(index.keys)?,
            unique: index.unique,
            sparse: index.sparse,
            hidden: index.hidden,
            expire_after_seconds: index.expire_after.map(|after| after.as_secs()),
            partial_filter: index.partial_filter.map(json).transpose()?,
        })
    }
}

fn row(index: IndexModel) -> Result<Vec<String>, Failure> {
    let set = [("unique", index.unique), ("sparse", index.sparse), ("hidden", index.hidden)];
    let set = set.into_iter().filter(|(_, is_set)| *is_set);
    let mut options: Vec<_> = set.map(|(name, _)| name.to_owned()).collect();
    options.extend(index.expire_after.map(|after| format!("expires after {}", rough(after))));
    if let Some(filter) = index.partial_filter {
        options.push(format!("only {}", text_of_value(Bson::Document(filter))?));
    }
    let keys = text_of_value(Bson::Document(index.keys))?;
    Ok(vec![index.name.unwrap_or_default(), keys, options.join(", ")])
}

const HEADINGS: [&str; 3] = ["NAME", "KEYS", "OPTIONS"];

const ABOUT: &str = "\
List the indexes of a collection that are complete: their names, keys and options.

Exit codes: 0 listed, 1 there is no such collection, 2 the command line is wrong, 4 the store could not be \
used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc indexes shop.orders
  lockstore doc indexes shop.orders --json | jq -r '.indexes[].name'";
