//! `lockstore doc`: documents, one file a command.

mod aggregate;
mod collection_args;
mod collections;
mod count;
mod create_index;
mod delete;
mod drop;
mod drop_index;
mod explain;
mod export;
mod find;
mod get;
mod import;
mod indexes;
mod insert;
mod locks;
mod query;
mod unlock;
mod update;

use clap::{Args, Subcommand};

use self::aggregate::Aggregate;
use self::collections::Collections;
use self::count::Count;
use self::create_index::CreateIndex;
use self::delete::Delete;
use self::drop::Drop;
use self::drop_index::DropIndex;
use self::explain::Explain;
use self::export::Export;
use self::find::Find;
use self::get::Get;
use self::import::Import;
use self::indexes::Indexes;
use self::insert::Insert;
use self::locks::Locks;
use self::unlock::Unlock;
use self::update::Update;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::store_place::StorePlace;

/// Find, change, unlock, import and export documents
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_long_help = AFTER)]
pub(crate) struct Doc {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Find(Find),
    Get(Get),
    Count(Count),
    Aggregate(Aggregate),
    Explain(Explain),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Locks(Locks),
    Unlock(Unlock),
    Import(Import),
    Export(Export),
    Collections(Collections),
    Drop(Drop),
    Indexes(Indexes),
    CreateIndex(CreateIndex),
    DropIndex(DropIndex),
}

impl Doc {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Find(find) => find.execute(place),
            Command::Get(get) => get.execute(place),
            Command::Count(count) => count.execute(place),
            Command::Aggregate(aggregate) => aggregate.execute(place),
            Command::Explain(explain) => explain.execute(place),
            Command::Insert(insert) => insert.execute(place),
            Command::Update(update) => update.execute(place),
            Command::Delete(delete) => delete.execute(place),
            Command::Locks(locks) => locks.execute(place),
            Command::Unlock(unlock) => unlock.execute(place),
            Command::Import(import) => import.execute(place),
            Command::Export(export) => export.execute(place),
            Command::Collections(collections) => collections.execute(place),
            Command::Drop(drop) => drop.execute(place),
            Command::Indexes(indexes) => indexes.execute(place),
            Command::CreateIndex(index) => index.execute(place),
            Command::DropIndex(index) => index.execute(place),
        }
    }
}

const ABOUT: &str = "\
Find, change, unlock, import and export documents.

Beside the locks, a store has collections of documents, with MongoDB's filters, updates, pipelines and \
indexes. What a command has changed is durable when it ends.";

/// Lines are written out here, and short enough not to be wrapped.
const AFTER: &str = "\
Examples:
  lockstore doc insert shop.orders '{item: \"tea\", price: 3}'
  lockstore doc find shop.orders --filter '{price: {$lt: 5}}' --limit 10
  lockstore doc update shop.orders '{$inc: {price: 1}}' --filter '{item: \"tea\"}'
  lockstore doc export shop.orders orders.jsonl

Documents:
  Documents, filters and updates are JSON with MongoDB's extensions (Extended
  JSON, version 2): {\"$oid\": \"65f0...\"} is an ObjectId, {\"$date\": \"2024-05-01T
  12:00:00Z\"} a date. On the command line names need no quotes, and texts may
  have single ones (JSON5). Documents are printed as JSON, one a line.

Collections:
  A collection is named with its database, as in shop.orders, or without it
  when the database is named by --db. Both come into being with the first
  document. `insert` and `import` make a store, too, when there is none.

The store:
  A command that reads prints once it has closed the store, so that a slow
  reader keeps nobody waiting; what does not fit into memory is kept in a
  temporary file until then. Others wait for the store meanwhile, a while for
  large collections; `import` lets them have it in between.

Exit codes:
  0  done
  1  no: not found, refused, or not all of it was done
  2  the command line is wrong; nothing was done
  4  the store could not be used, or the output not be written";
