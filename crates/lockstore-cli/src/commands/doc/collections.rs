//! `lockstore doc collections`: what collections there are.

use clap::Args;
use lockstore::{Store, bson::RawDocumentBuf};
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;

/// List the collections
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Collections {
    /// Only those of this database
    #[arg(long, value_name = "DATABASE")]
    db: Option<String>,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    collections: Vec<Report>,
}

#[derive(Debug, Serialize)]
struct Report {
    database: String,
    name: String,
    documents: u64,
    indexes: usize,
}

impl Collections {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let collections = place.with(Access::Existing, |store| all(store, self.db))?;
        if self.json {
            print_json(&Listing { collections })?;
        } else if !collections.is_empty() {
            print(&table(&HEADINGS, collections.iter().map(Report::row)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn all(store: &Store, database: Option<String>) -> Result<Vec<Report>, Failure> {
    let databases = match database {
        Some(database) => vec![database],
        None => store.database_names()?,
    };
    let mut reports = Vec::new();
    for database in databases {
        let within = store.database(&database);
        for name in within.collection_names()? {
            let collection = within.collection::<RawDocumentBuf>(&name);
            reports.push(Report {
                documents: collection.estimated_document_count()?,
                indexes: collection.index_names()?.len(),
                database: database.clone(),
                name,
            });
        }
    }
    Ok(reports)
}

impl Report {
    fn row(&self) -> Vec<String> {
        let Self { database, name, documents, indexes } = self;
        vec![format!("{database}.{name}"), documents.to_string(), indexes.to_string()]
    }
}

const HEADINGS: [&str; 3] = ["COLLECTION", "DOCUMENTS", "INDEXES"];

const ABOUT: &str = "\
List the collections, with how many documents and indexes they have. Prints nothing when there are none.

Exit codes: 0 listed, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc collections
  lockstore doc collections --db shop --json | jq -r '.collections[].name'";
