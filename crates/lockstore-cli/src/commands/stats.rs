//! `lockstore stats`: figures of the store.

use clap::Args;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::{Access, StoreFile};
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
    file_bytes: u64,
}

impl Stats {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let stats = file.with(Access::Existing, |store| Ok(store.stats()?))?;
        let figures = Figures {
            path: file.path().display().to_string(),
            locks: stats.locks,
            document_locks: stats.document_locks,
            audit_records: stats.audit_records,
            file_bytes: stats.file_bytes,
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
        pairs([
            ("store", self.path.clone()),
            ("locks held", self.locks.to_string()),
            ("documents locked", self.document_locks.to_string()),
            ("breaks recorded", self.audit_records.to_string()),
            ("file size", format!("{} bytes", self.file_bytes)),
        ])
    }
}

const ABOUT: &str = "\
Show figures of the store: where it is, how many locks are held, how many documents are locked by this \
library, how many breaks are recorded, and how large the file is while it is open.

Exit codes: 0 shown, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore stats
  lockstore stats --json | jq .file_bytes";
