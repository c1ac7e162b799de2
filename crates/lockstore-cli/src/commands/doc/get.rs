//! `lockstore doc get`: one document, by its `_id`.

use clap::Args;
use lockstore::bson::{RawBson, rawdoc};

use super::collection_args::CollectionArgs;
use super::query::Fields;
use crate::exit_code::ExitCode;
use crate::extended::{Form, parse_id, text, text_of_value};
use crate::failure::Failure;
use crate::output::print;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Print the document that has an _id
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Get {
    #[command(flatten)]
    collection: CollectionArgs,
    /// The _id: 24 hexadecimal digits, JSON, or any other text
    #[arg(value_parser = parse_id, allow_hyphen_values = true)]
    id: RawBson,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    form: Form,
}

impl Get {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, id, fields, form } = self;
        let (database, name) = collection.names()?;
        let filter = rawdoc! { "_id": { "$eq": id.clone() } };
        let found = place.with(Access::Existing, |store| {
            let documents = collection.within(store)?;
            let find = documents.find_one(filter);
            let find = match fields.projection {
                Some(projection) => find.projection(projection),
                None => find,
            };
            Ok(find.run()?)
        })?;
        let Some(found) = found else {
            let id = text_of_value(id)?;
            return Err(Failure::no(format!(
                "{database}.{name} has no document with the _id {id}"
            )));
        };
        print(&text(&found, form)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Print the document that has an _id, in Extended JSON.

An ID of 24 hexadecimal digits is an ObjectId. One that is JSON is what it says: 7 is a number, true a \
truth, {\"$date\": ...} a date, and '\"7\"', with the quotes, a text. Anything else is a text as it stands.

Exit codes: 0 printed, 1 there is no such document, 2 the command line is wrong, 4 the store could not be \
used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc get shop.orders 65f0c0ffee65f0c0ffee65f0
  lockstore doc get shop.orders order-17 --pretty
  lockstore doc get shop.orders 17 | jq .price
  lockstore doc get shop.orders '\"17\"'";
