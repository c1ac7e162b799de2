//! `lockstore backup`: a copy of the store.

use std::path::PathBuf;

use clap::Args;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::store_file::{Access, StoreFile, closing};

/// Copy the store to a new file
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The new file
    #[arg(value_name = "DEST")]
    destination: PathBuf,
}

impl Backup {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        closing(file.open(Access::Existing)?, |store| Ok(store.backup(&self.destination)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Copy the store to a new file, which appears once it is complete and on disk. Nothing is ever \
overwritten. Others wait for the store meanwhile. Prints nothing.

A store that is restored from a backup grants tokens again that were granted since: whatever compares \
tokens must be reset with it.

Exit codes: 0 copied, 2 the command line is wrong, 4 the store could not be read or the copy not be written.";

const EXAMPLES: &str = "\
Examples:
  lockstore backup \"/backup/locks-$(date +%F).redb\"
  lockstore ls --store /backup/locks-2025-10-20.redb";
