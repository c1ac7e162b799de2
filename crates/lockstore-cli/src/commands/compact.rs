//! `lockstore compact`: a file no larger than it must be.

use clap::Args;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::print;
use crate::store_file::{Access, StoreFile, closing};

/// Give unused parts of the file back to the file system
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Compact {}

impl Compact {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let Self {} = self;
        let (before, after) = closing(file.open(Access::Existing)?, |store| {
            let before = store.stats()?.file_bytes;
            store.compact()?;
            Ok((before, store.stats()?.file_bytes))
        })?;
        print(&format!("{before} bytes before, {after} bytes now\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Give unused parts of the file back to the file system. A store uses them again by itself, so this is of \
use after it has held far more locks than it does now. Others wait for the store meanwhile.

Exit codes: 0 done, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore compact
  lockstore compact --store /srv/locks.redb";
