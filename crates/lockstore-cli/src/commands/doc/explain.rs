//! `lockstore doc explain`: how documents would be found.

use clap::{Args, ValueEnum};
use lockstore::Hint;
use lockstore::bson::raw::CStr;
use lockstore::bson::{RawBson, RawDocumentBuf, cstr, rawdoc};

use super::collection_args::CollectionArgs;
use super::query::{Query, Selection};
use crate::exit_code::ExitCode;
use crate::extended::{Form, text};
use crate::failure::Failure;
use crate::output::print;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Print which index a search would use
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Explain {
    #[command(flatten)]
    collection: CollectionArgs,
    #[command(flatten)]
    query: Query,
    /// How much to tell
    #[arg(long, value_name = "HOW", default_value = "plan")]
    verbosity: Verbosity,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verbosity {
    /// The plan
    Plan,
    /// The plan, and what came of carrying it out: how much was looked at, how long it took
    Stats,
}

impl Explain {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, query, verbosity } = self;
        let (database, name) = collection.names()?;
        let verbosity = match verbosity {
            Verbosity::Plan => "queryPlanner",
            Verbosity::Stats => "executionStats",
        };
        let command = rawdoc! { "explain": find_command(name, query)?, "verbosity": verbosity };
        let reply = place
            .with(Access::Existing, |store| Ok(store.database(database).run_command(&command)))?;
        if let Ok(message) = reply.get_str("errmsg") {
            return Err(Failure::no(message));
        }
        print(&text(&reply, Form::RELAXED.pretty())?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The search as MongoDB's command.
fn find_command(name: &str, query: Query) -> Result<RawDocumentBuf, Failure> {
    let Query { selection: Selection { filter, skip, limit, index }, sort, fields } = query;
    let count = |option: &str, n: u64| {
        let n = i64::try_from(n);
        n.map(RawBson::Int64).map_err(|_| Failure::usage(format!("{option} is too much")))
    };
    let mut command = rawdoc! { "find": name, "filter": filter.unwrap_or_default() };
    let arguments: [(&CStr, Option<RawBson>); 5] = [
        (cstr!("sort"), sort.map(RawBson::Document)),
        (cstr!("projection"), fields.projection.map(RawBson::Document)),
        (cstr!("skip"), (skip > 0).then(|| count("--skip", skip)).transpose()?),
        (cstr!("limit"), limit.map(|limit| count("--limit", limit)).transpose()?),
        (cstr!("hint"), index.hint.map(hint_value).transpose()?),
    ];
    for (argument, value) in arguments {
        if let Some(value) = value {
            command.append(argument, value);
        }
    }
    Ok(command)
}

fn hint_value(hint: Hint) -> Result<RawBson, Failure> {
    match hint {
        Hint::Name(name) => Ok(RawBson::String(name)),
        Hint::Keys(keys) => RawDocumentBuf::try_from(&keys)
            .map(RawBson::Document)
            .map_err(|error| Failure::usage(error.to_string())),
        other => Err(Failure::usage(format!("a search by {other:?} cannot be explained"))),
    }
}

const ABOUT: &str = "\
Print which index a search would use, as MongoDB's explain does: the stage IXSCAN reads an index, COLLSCAN \
the whole collection, and SORT sorts in memory.

The arguments are those of `find`. With --verbosity stats the search is carried out, too.

Exit codes: 0 printed, 1 MongoDB's language has no such filter, or the like, 2 the command line is wrong, \
4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc explain shop.orders --filter '{state: \"new\"}' --limit 10
  lockstore doc explain shop.orders --verbosity stats \\
    | jq .executionStats.totalDocsExamined";
