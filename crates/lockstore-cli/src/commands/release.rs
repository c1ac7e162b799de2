//! `lockstore release`: giving a lock back.

use clap::Args;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::lock_args::GrantArgs;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Release a lock
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Release {
    #[command(flatten)]
    grant: GrantArgs,
}

impl Release {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let GrantArgs { key, holder, token } = self.grant;
        place.with(Access::Existing, |store| Ok(store.release(&key, &holder, token)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Release a lock.

Only its holder releases a lock; to take it from somebody, see `lockstore break`. With --token a later \
grant of the same holder is left alone. Prints nothing.

Exit codes: 0 released, 1 it is not held by that holder (or token), 2 the command line is wrong, 4 the \
store could not be used.";

const EXAMPLES: &str = "\
Examples:
  lockstore release deploy --holder ci-17
  lockstore release deploy --holder \"$holder\" --token \"$token\"";
