//! `lockstore doc drop`: the end of a collection.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Drop a collection, with its documents and indexes
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Drop {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Drop {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, yes } = self;
        let (database, name) = collection.names()?;
        let name = format!("{database}.{name}");
        // Before the store is opened: others wait for it meanwhile.
        if !yes && !is_confirmed(&name)? {
            return Err(Failure::no(format!("{name} is not dropped")));
        }
        let was_there =
            place.with(Access::Existing, |store| Ok(collection.within(store)?.drop()?))?;
        if was_there {
            Ok(ExitCode::SUCCESS)
        } else {
            Err(Failure::no(format!("there is no collection {name}")))
        }
    }
}

/// Asks whoever sits at the terminal.
fn is_confirmed(name: &str) -> Result<bool, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!(
            "nobody is there to be asked whether to drop {name}; say --yes"
        )));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "Drop {name}, with all its documents and indexes? [y/N] ")
        .and_then(|()| stdin.lock().read_line(&mut answer));
    match asked {
        Ok(_) => Ok(matches!(answer.trim(), "y" | "Y" | "yes")),
        Err(error) => Err(Failure::usage(format!("nobody could be asked: {error}; say --yes"))),
    }
}

const ABOUT: &str = "\
Drop a collection, with its documents and its indexes, and the locks of its documents. Prints nothing. What \
was dropped cannot be had back.

Asks first, unless --yes is given; where there is no terminal, --yes is needed.

Exit codes: 0 dropped, 1 there is no such collection, or the answer was no, 2 the command line is wrong, \
4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc drop shop.orders
  lockstore doc drop shop.orders --yes";
