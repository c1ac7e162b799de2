//! `lockstore stats`: figures of the store.

use clap::Args;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::pairs;

/// Show figures of the store
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Stats {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Figures {
    path: String,
    locks: usize,
    document_locks: usize,
    audit_records: u64,
    /// `null` on a replica set, which has no file.
    file_bytes: Option<u64>,
}

impl Stats {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let stats = place.with(Access::Existing, |store| Ok(store.stats()?))?;
        let figures = Figures {
            path: place.shown(),
            locks: stats.locks,
            document_locks: stats.document_locks,
            audit_records: stats.audit_records,
            file_bytes: Some(stats.file_bytes).filter(|bytes| *bytes > 0),
        };
        if self.json {
            print_json(&figures)?;
        } else {
            print(&figures.text())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Figures {
    fn text(&self) -> String {
        let size = self.file_bytes.map(|bytes| ("file size", format!("{bytes} bytes")));
        let figures = [
            ("store", self.path.clone()),
            ("locks held", self.locks.to_string()),
            ("documents locked", self.document_locks.to_string()),
            ("breaks recorded", self.audit_records.to_string()),
        ];
        pairs(figures.into_iter().chain(size))
    }
}

const ABOUT: &str = "\
Show figures of the store: where it is, how many locks are held, how many documents are locked by this \
library, how many breaks are recorded, and how large the file is while it is open. Of a replica set it tells the hosts, and neither user nor password.

Exit codes: 0 shown, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore stats
  lockstore stats --json | jq .file_bytes";
