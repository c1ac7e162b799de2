//! `lockstore check`: comparing everything in the store with everything.

use clap::Args;
use lockstore::Store;
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json, printable};
use crate::store_file::{Access, StoreFile, closing};

/// Check the store for damage
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Check {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Checked {
    sound: bool,
    grants: u64,
    audit_records: u64,
    problems: Vec<String>,
}

impl Check {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let report = closing(file.open(Access::Verified)?, |store: &Store| Ok(store.check()?))?;
        let checked = Checked {
            sound: report.is_sound(),
            grants: report.grants,
            audit_records: report.audit_records,
            problems: report.problems,
        };
        if self.json {
            print_json(&checked)?;
        } else {
            print(&checked.text())?;
        }
        Ok(if checked.sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Checked {
    fn text(&self) -> String {
        let Self { sound, grants, audit_records, problems } = self;
        let verdict = if *sound { "sound" } else { "not sound" };
        let problems = problems.iter().map(|problem| format!("{}\n", printable(problem)));
        let problems = problems.collect::<String>();
        format!("{problems}{verdict}: {grants} grants and {audit_records} breaks were compared\n")
    }
}

const ABOUT: &str = "\
Check the store for damage.

Compares every page of the file with its checksum, every record with its own, and what the records say \
with what follows from them. Others wait meanwhile; it takes as long as reading the file. When a server has \
the file, the server compares.

Exit codes: 0 all is sound, 1 problems were found and are listed, 2 the command line is wrong, 4 the store \
could not be opened at all, for damage or another reason.";

const EXAMPLES: &str = "\
Examples:
  lockstore check
  lockstore check --store /backup/locks.redb --json";
