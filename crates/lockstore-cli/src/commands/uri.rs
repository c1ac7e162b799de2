//! `lockstore uri`: the address of the store's socket.

use clap::Args;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output;
use crate::store_file::StoreFile;

/// Print the address of the store's socket, for MongoDB's drivers
#[derive(Debug, Args)]
#[command(long_about = ABOUT)]
pub(crate) struct Uri {}

impl Uri {
    pub(crate) fn execute(file: &StoreFile) -> Result<ExitCode, Failure> {
        let uri = lockstore_server::uri(file.path())
            .map_err(|error| Failure::store(error.to_string()))?;
        output::print(&format!("{uri}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Print the address of the store's socket, for MongoDB's drivers.

The address is there whether a server is running or not: a driver alone does not start one, `lockstore serve` does.

Exit codes: 0, or 4 when the folder of the store cannot be looked at.";
