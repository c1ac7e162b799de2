//! Which collection a command is about.

use clap::Args;
use lockstore::bson::RawDocumentBuf;
use lockstore::{Collection, Store};

use crate::failure::Failure;

/// Documents as they are stored: fields in their order, even those that occur twice.
pub(super) type Documents = Collection<RawDocumentBuf>;

#[derive(Debug, Args)]
pub(super) struct CollectionArgs {
    /// The collection, with its database in front: shop.orders
    collection: String,
    /// The database; COLLECTION is then the collection's name alone
    #[arg(long, value_name = "DATABASE")]
    db: Option<String>,
}

impl CollectionArgs {
    /// The names of the database and of the collection.
    pub(super) fn names(&self) -> Result<(&str, &str), Failure> {
        if let Some(database) = &self.db {
            return Ok((database, &self.collection));
        }
        self.collection.split_once('.').ok_or_else(|| {
            let name = &self.collection;
            Failure::usage(format!(
                "{name:?} has no database in front; write it as DATABASE.{name}, or name the database with --db"
            ))
        })
    }

    /// The collection in a store.
    pub(super) fn within(&self, store: &Store) -> Result<Documents, Failure> {
        let (database, name) = self.names()?;
        Ok(store.database(database).collection(name))
    }
}
