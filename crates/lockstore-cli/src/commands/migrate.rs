//! `lockstore migrate`: all that is in one store, in another.

mod told;
mod watched;

use std::env;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use lockstore_mongo::migration::{Migration, MigrationError, Selection, Step};

use crate::event::Events;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::program::Program;
use crate::store_file::{Access, closing};
use crate::store_place::{StoreArgs, StorePlace};
use told::Told;
use watched::Watched;

/// Move a file's store to a replica set, or back
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Migrate {
    /// The store to be moved: a file, mongodb://..., or env:NAME
    from: PathBuf,
    /// Where to: a file, which is made if there is none, mongodb://..., or env:NAME
    to: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    /// Leave behind locks that end with sessions, and those who wait
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    doing: Doing,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What is moved.
#[derive(Debug, Args)]
struct Wanted {
    /// Only the documents of this database; may be given more than once
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// Only the locks, and no documents
    #[arg(long, conflicts_with = "database")]
    locks_only: bool,
    /// Only the documents, with their locks, and no other locks
    #[arg(long, conflicts_with = "locks_only")]
    documents_only: bool,
}

/// What is done instead, one of these.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Doing {
    /// Show what there is to be moved, and do nothing
    #[arg(long)]
    plan: bool,
    /// Only compare what is there with what was moved
    #[arg(long)]
    verify: bool,
    /// Begin anew, although it was finished once
    #[arg(long)]
    again: bool,
}

impl Migrate {
    pub(crate) fn execute(
        self,
        stores: &StoreArgs,
        program: &Program,
    ) -> Result<ExitCode, Failure> {
        let from = stores.locate_other(&named(&self.from)?, program)?;
        let to = stores.locate_other(&named(&self.to)?, program)?;
        if from.is_file_of(&to) {
            let from = from.shown();
            return Err(Failure::usage(format!(
                "{from} is migrated to another store, and not to itself"
            )));
        }
        if self.doing.plan {
            let plan = from.with(Access::Existing, |store| {
                Ok(Migration::plan(&from.endpoint(store), &self.wanted.selection())?)
            })?;
            Told::planned(&plan, &from).print(self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        // Whoever ends this program has it end between two steps, and the stores be closed.
        let events = Events::with_signals(from.clock().clone())?;
        let access = if self.doing.verify { Access::Existing } else { Access::OrNew };
        closing(from.open(Access::Existing)?, |source| {
            closing(to.open(access)?, |target| {
                let migration = Migration::new(from.endpoint(source), to.endpoint(target))
                    .only(self.wanted.selection())
                    .leave_behind(self.force)
                    .again(self.doing.again);
                self.migrate(&migration, &events, (&from, &to))
            })
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn migrate(
        &self,
        migration: &Migration,
        events: &Events,
        (from, to): (&StorePlace, &StorePlace),
    ) -> Result<(), Failure> {
        let mut watched = Watched::new(from, self.json);
        let mut ended_by = None;
        let mut observe = |step: Step<'_>| match events.check().and_then(|()| watched.tell(step)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                ended_by = Some(failure);
                ControlFlow::Break(())
            }
        };
        let ended = if self.doing.verify {
            migration.compare(&mut observe).map(|plan| Told::compared(&plan))
        } else {
            migration.run(&mut observe).map(|ended| Told::ended(&ended, from, to))
        };
        drop(watched);
        match (ended, ended_by) {
            (Err(MigrationError::Stopped), Some(failure)) => {
                Err(failure.and("run it again to go on"))
            }
            (Err(error), _) => Err(error.into()),
            (Ok(told), _) => told.print(self.json),
        }
    }
}

impl Wanted {
    fn selection(&self) -> Selection {
        let selection = match &*self.database {
            _ if self.locks_only => Selection::no_documents(),
            [] => Selection::default(),
            named => Selection::databases(named),
        };
        if self.documents_only { selection.without_locks() } else { selection }
    }
}

/// An address may have a password, and then belongs into the environment: everybody can see a command line.
fn named(named: &Path) -> Result<PathBuf, Failure> {
    let Some(variable) = named.to_str().and_then(|named| named.strip_prefix("env:")) else {
        return Ok(named.to_owned());
    };
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from).ok_or_else(|| {
        Failure::usage(format!("there is no environment variable {variable:?} that names a store"))
    })
}

impl From<MigrationError> for Failure {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::SameStore { .. } => Self::usage(error.to_string()),
            MigrationError::Store { .. } => Self::store(error.to_string()),
            error => Self::no(error.to_string()),
        }
    }
}

const ABOUT: &str = "\
Move all that is in one store to another: from a file to a MongoDB replica set, back, or between two of a \
kind. The source stays as it is.

Moved are the documents, each byte of them, their indexes, and the locks that are held: by the same holders, \
for what is left of their leases, with tokens above all that the source has given. Documents that are locked \
stay locked; whoever has locked one gets it again by the same lock_id. Of a replica set, the databases admin, \
config and local and what lockstore keeps for itself are left out; on one that others use too, name the \
databases with --database, and look at --plan first.

Stop the programs that use the source before. Locks that end with sessions, as those of `lockstore run`, \
and calls that wait cannot be moved: the migration refuses, or leaves them behind with --force. Records of \
breaks stay where they are.

In the end all documents are compared in both directions, and the indexes and locks. What was changed \
meanwhile is told, and copied by the next run. A migration that was ended, even by kill -9, goes on where it was when it \
is run again; how far it is stands in the target, in the collection `migrations` of the database lockstore. \
Nothing is overwritten: a target that has other documents under the same names is refused.

FROM and TO are paths or addresses; --store is not used. An address with a password belongs into the \
environment: env:NAME is whatever the variable NAME has.

Exit codes: 0 moved and compared, or nothing was left to do; 1 refused, or the two are not the same; \
2 the command line is wrong; 4 a store could not be used; 128 + N when signal N ended it.";

const EXAMPLES: &str = "\
Examples:
  lockstore migrate jobs.redb 'mongodb://a,b,c/?replicaSet=rs0'
  lockstore migrate jobs.redb env:JOBS_SET --database jobs --plan
  lockstore migrate env:JOBS_SET backup.redb --database jobs
  lockstore migrate jobs.redb env:JOBS_SET --verify";
