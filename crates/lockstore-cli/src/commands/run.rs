//! `lockstore run`: a command that runs while a lock is held.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use clap::Args;
use signal_hook::low_level::signal_name;

use crate::acquiring::Grant;
use crate::event::{self, Event};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Kind};
use crate::keeper::{Keeper, Report};
use crate::lock_args::WantedArgs;
use crate::signals::{self, SIGCHLD};
use crate::store_file::StoreFile;
use crate::supervisor::{Ended, Supervisor};
use crate::times::{Lease, parse_lease, parse_time};

/// Hold a lock while a command runs
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_long_help = AFTER)]
pub(crate) struct Run {
    #[command(flatten)]
    lock: WantedArgs,
    /// How long the lock outlives this program if it is killed; `none` is for ever
    #[arg(long, value_name = "TIME", value_parser = parse_lease, default_value = "1m")]
    #[arg(allow_hyphen_values = true)]
    ttl: Lease,
    /// How long the command may take to end when the lock is lost, before it is killed
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "10s")]
    #[arg(allow_hyphen_values = true)]
    grace: Duration,
    /// The command, and its arguments
    #[arg(value_name = "CMD", last = true, required = true)]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let (sender, events) = channel();
        signals::catch(sender.clone())?;
        // Two runs by one holder exclude each other like any two: its name is for people.
        let wanted = self.lock.wanted(self.ttl, false);
        let grant = wanted.acquire(file, self.lock.wait, |time| event::sleep(&events, time))?;
        let keeper = match Keeper::start(file.clone(), grant.clone(), sender) {
            Ok(keeper) => keeper,
            Err(failure) => return Err(give_back(failure, || grant.release(file))),
        };
        let release = || {
            keeper.release();
            released(&events)
        };
        let child = match self.start(file, &grant, &events) {
            Ok(child) => child,
            Err(failure) if failure.kind() == Kind::Lost => return Err(failure),
            Err(failure) => return Err(give_back(failure, release)),
        };
        let watch = Supervisor::new(file, child, grant.lease, grant.valid_until, self.grace);
        let Ended { status, lost } = watch.watch(&events)?;
        if lost {
            let told = told(status);
            return Err(Failure::lost(format!("the lock was lost before the command {told}")));
        }
        release().map_err(|failure| {
            failure.and(&format!("the command {} before that was found out", told(status)))
        })?;
        Ok(ExitCode::from(code(status)))
    }

    fn start(
        &self,
        file: &StoreFile,
        grant: &Grant,
        events: &Receiver<Event>,
    ) -> Result<Child, Failure> {
        event::check(events)?;
        if grant.valid_until.is_some_and(|until| until <= file.now()) {
            return Err(Failure::lost(
                "the lease ended before the command could be started; a longer --ttl is needed",
            ));
        }
        let [program, arguments @ ..] = &*self.command else {
            return Err(Failure::usage("there is no command to run; write it behind `--`"));
        };
        let started = Command::new(program)
            .args(arguments)
            .env("LOCKSTORE_TOKEN", grant.token.to_string())
            .env("LOCKSTORE_KEY", grant.key.as_str())
            .env("LOCKSTORE_HOLDER", grant.holder.as_str())
            .env("LOCKSTORE_PATH", file.path())
            .spawn();
        started.map_err(|error| {
            let found = error.kind() != ErrorKind::NotFound;
            let program = program.display();
            Failure::new(Kind::NotStarted { found }, format!("{program} cannot be run: {error}"))
        })
    }
}

/// Gives back a lock that was of no use.
fn give_back(failure: Failure, release: impl FnOnce() -> Result<(), Failure>) -> Failure {
    match release() {
        Ok(()) => failure,
        Err(unreleased) => failure.and(&unreleased.to_string()),
    }
}

/// Waits for the keeper to have released the lock.
fn released(events: &Receiver<Event>) -> Result<(), Failure> {
    for event in events {
        match event {
            Event::Keeper(Report::Released(released)) => {
                return released.map_err(|failure| match failure.kind() {
                    Kind::Lost => failure,
                    _ => Failure::store(format!("the lock could not be released: {failure}")),
                });
            }
            Event::Keeper(Report::Lost(why)) => return Err(Failure::lost(why)),
            Event::Signal(caught) if caught.number != SIGCHLD => {
                return Err(Failure::store(format!(
                    "{} came before the lock could be released",
                    caught.name()
                )));
            }
            Event::Signal(_) | Event::Keeper(Report::Renewed { .. } | Report::Trouble(_)) => {}
        }
    }
    Err(Failure::store("the thread that keeps the lease has ended without a word"))
}

/// How the command ended, in words.
fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => {
            format!("was ended by {}", signal_name(signal).unwrap_or("a signal"))
        }
        (None, None) => "ended".to_owned(),
    }
}

/// The exit code that passes on how the command ended.
fn code(status: ExitStatus) -> u8 {
    let of_signal = || status.signal().map(|signal| signal.saturating_add(128));
    status.code().or_else(of_signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

const ABOUT: &str = "\
Hold a lock while a command runs, and pass on its exit code.

Waits for the lock, starts the command, renews the lease for as long as the command runs, and releases \
the lock when it has ended. While the command runs, the store's file is left to others.";

/// Lines are written out here, and short enough not to be wrapped.
const AFTER: &str = "\
Examples:
  lockstore run nightly-report -- ./report.sh
  lockstore run deploy --wait 0 -- make deploy      exit with 121 if it is held
  lockstore run cache --shared -- ./read-cache.sh   beside other readers
  lockstore run gpu-0 --ttl 10m -- sh -c 'exec train --fence $LOCKSTORE_TOKEN'

The command gets, in its environment:
  LOCKSTORE_TOKEN   the fencing token of this grant; pass it along to what the
                    lock protects
  LOCKSTORE_KEY, LOCKSTORE_HOLDER, LOCKSTORE_PATH
                    the lock, who holds it, and the store

The lease:
  The lock ends by itself --ttl after the last renewal. Renewals are due when
  a third of the TTL has passed, and every 20 s at least. If `lockstore run`
  is killed with SIGKILL, or stopped, nobody renews: its command goes on,
  without a lock once the lease has ended. With `--ttl none` the lock of a run
  that was killed stays until somebody breaks it.

  When the lock is lost (it was broken, or the lease could not be renewed),
  the command gets SIGTERM, and SIGKILL after --grace. It does not run on past
  its lease: when the store cannot be reached, SIGTERM comes before the lease
  ends, earlier by --grace or by a third of the TTL, whichever is less, and
  SIGKILL when it ends. Only the command itself is signalled, not what it has
  started: let scripts `exec` what matters.

  Two runs by one --holder exclude each other. A command that runs the same
  lock again waits for itself.

Signals:
  SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on to the
  command. Those of the terminal (Ctrl-C) reach the command by themselves and
  are not sent twice; a signal that somebody sends to the whole process group
  is. Signals that are ignored, as under nohup, stay ignored. While the lock
  is waited for, they end the waiting.

Waiting:
  Tries again and again, after 25 ms at first and every 250 ms later on.
  The order of commands that wait is not promised yet. Each try goes through
  the server that has the file, or waits its turn for the file, for at most
  --store-timeout.

Exit codes:
  that of the command, or 128 + N when signal N ended it or the waiting
  121  the lock was not acquired; the command was not started
  122  the lock was lost before the command had ended, whatever it exited with
  123  the store could not be used; if the command had ended already, the
       message tells its exit code
  126  the command cannot be run
  127  the command was not found
  2    the command line is wrong; nothing was done";
