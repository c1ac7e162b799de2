//! The command line: what can be asked of the program.

use clap::{Parser, Subcommand};

use crate::commands::acquire::Acquire;
use crate::commands::audit::Audit;
use crate::commands::backup::Backup;
use crate::commands::break_lock::Break;
use crate::commands::check::Check;
use crate::commands::compact::Compact;
use crate::commands::completions::Completions;
use crate::commands::doc::Doc;
use crate::commands::ls::Ls;
use crate::commands::migrate::Migrate;
use crate::commands::release::Release;
use crate::commands::renew::Renew;
use crate::commands::run::Run;
use crate::commands::serve::Serve;
use crate::commands::sessions::Sessions;
use crate::commands::show::Show;
use crate::commands::stats::Stats;
use crate::commands::uri::Uri;
use crate::commands::wait::Wait;
use crate::exit_code::ExitCode;
use crate::failure::{Codes, Failure};
use crate::program::Program;
use crate::store_place::StoreArgs;

/// Durable locks and documents for scripts, cron jobs and people
#[derive(Debug, Parser)]
#[command(name = "lockstore", version, long_about = ABOUT, after_long_help = AFTER)]
#[command(max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Run),
    Acquire(Acquire),
    Release(Release),
    Renew(Renew),
    Wait(Wait),
    Ls(Ls),
    Show(Show),
    Sessions(Sessions),
    Break(Break),
    Audit(Audit),
    Doc(Doc),
    Check(Check),
    Stats(Stats),
    Backup(Backup),
    Compact(Compact),
    Migrate(Migrate),
    Serve(Serve),
    Uri(Uri),
    Completions(Completions),
}

impl Cli {
    /// How failures of this command become exit codes.
    pub(crate) fn codes(&self) -> Codes {
        match self.command {
            Command::Run(_) => Codes::RUN,
            Command::Serve(_) => Codes::SERVE,
            _ => Codes::ORDINARY,
        }
    }

    /// Whether log lines go elsewhere than to stderr.
    pub(crate) fn logs_to_a_file(&self) -> bool {
        matches!(&self.command, Command::Serve(serve) if serve.is_in_background())
    }

    /// Does what was asked of this `program`.
    pub(crate) fn execute(self, program: &Program) -> Result<ExitCode, Failure> {
        let place = || self.store.locate(program);
        match self.command {
            Command::Run(run) => run.execute(&place()?),
            Command::Acquire(acquire) => acquire.execute(&place()?),
            Command::Release(release) => release.execute(&place()?),
            Command::Renew(renew) => renew.execute(&place()?),
            Command::Wait(wait) => wait.execute(&place()?),
            Command::Ls(ls) => ls.execute(&place()?),
            Command::Show(show) => show.execute(&place()?),
            Command::Sessions(sessions) => sessions.execute(&place()?),
            Command::Break(break_lock) => break_lock.execute(&place()?),
            Command::Audit(audit) => audit.execute(&place()?),
            Command::Doc(doc) => doc.execute(&place()?),
            Command::Check(check) => check.execute(place()?.file("check")?),
            Command::Stats(stats) => stats.execute(&place()?),
            Command::Backup(backup) => backup.execute(place()?.file("backup")?),
            Command::Compact(compact) => compact.execute(place()?.file("compact")?),
            Command::Migrate(migrate) => migrate.execute(&self.store, program),
            Command::Serve(serve) => serve.execute(place()?.file("serve")?),
            Command::Uri(Uri {}) => Uri::execute(place()?.file("uri")?),
            Command::Completions(completions) => completions.execute(),
        }
    }
}

const ABOUT: &str = "\
Durable locks and documents for scripts, cron jobs and people.

A lock is a key that one holder has at a time (or several, if all of them share it). Locks live in one \
file, the store: they survive kill -9, power loss and restarts. A lock with a TTL is a lease, which ends \
by itself unless it is renewed. Every grant has a fencing token, a number that rises with each grant of \
the store: pass it along to what the lock protects, and refuse there whatever comes with a lower one.

Beside the locks, the same file has collections of documents, with MongoDB's language: see `lockstore doc`.";

/// Lines are written out here, and short enough not to be wrapped.
const AFTER: &str = "\
Examples:
  lockstore run nightly-report -- ./report.sh      while a command runs
  lockstore run deploy --wait 30s -- make deploy   give up after a while
  lockstore ls                                     who holds what
  lockstore break deploy --reason 'host is gone'   take it from its holder
  lockstore doc find shop.orders                   the documents of a collection

`lockstore COMMAND --help` has examples for each command.

The store:
  Named by --store or LOCKSTORE_PATH. Without either it is
  $XDG_STATE_HOME/lockstore/locks.redb, or ~/.local/state/lockstore/locks.redb.
  `run`, `acquire`, `doc insert` and `doc import` make it when there is none,
  and `migrate` its target; every other command says that there is no store.

A replica set:
  `--store mongodb://a,b,c/?replicaSet=rs0` names a MongoDB replica set, which
  many machines share, instead of a file. All commands are the same but those
  that are about a file: check, backup, compact, serve and uri. An address with
  a password belongs into LOCKSTORE_PATH: everybody on a machine can see a
  command line. It is never printed. `lockstore migrate` moves a file's store
  to a replica set, and back. What a process holds there by a session
  is free 15 seconds after it has died, and not at once.

Several processes:
  When a server has the file (`lockstore serve`, or one that a program has
  started by `Store::connect`), commands go through its socket. Else a command
  has the file open only for as long as it needs it, and waits its turn while
  another process has it (--store-timeout). `run`, and who has to wait for a
  lock, need a server, and start one that ends a second after the last has
  gone. Who waits there is served in order: first come, first served, commands
  and programs alike. After a server was killed, the order begins anew.

Times:
  A number and a unit: 500ms, 90s, 10m, 1h30m, 7d. With --json, points in time
  are in RFC 3339 and lengths of time are in seconds.

Exit codes:
  0  done
  1  no: not acquired, not held, not found, or a check that found problems
  2  the command line is wrong; nothing was done
  4  the store could not be used, or the output not be written
  `run` has codes of its own: see `lockstore run --help`.

Environment:
  LOCKSTORE_PATH  the store, a file or an address, when --store is not given
  LOCKSTORE_LOG   log lines on stderr: off (the default), error, warn, info,
                  debug or trace";
