//! `lockstore run`: a command that runs while a lock is held.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use clap::Args;
use signal_hook::low_level::signal_name;

use crate::event::Events;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Kind};
use crate::held::Held;
use crate::lock_args::WantedArgs;
use crate::store_place::{StorePlace, VARIABLE};
use crate::supervisor::{Ended, Supervisor};
use crate::times::{Lease, parse_lease, parse_time};

/// Hold a lock while a command runs
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_long_help = AFTER)]
pub(crate) struct Run {
    #[command(flatten)]
    lock: WantedArgs,
    /// After which time the lock ends when nobody renews it; `none` is never
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
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let events = Events::with_signals(place.clock().clone())?;
        let wanted = self.lock.wanted(self.ttl);
        let held = Held::acquire(&wanted, place, self.lock.wait, &events)?;
        let release =
            |held: Held| held.release(place.now().saturating_add(place.timeout()), &events);
        let child = match self.start(place, &held, &events) {
            Ok(child) => child,
            Err(failure) => {
                return Err(match release(held) {
                    Ok(()) => failure,
                    Err(unreleased) => failure.and(&unreleased.to_string()),
                });
            }
        };
        let watch = Supervisor::new(place, &held, child, self.ttl, self.grace);
        let Ended { status, lost } = watch.watch(&events)?;
        if lost {
            held.forget();
            let told = told(status);
            return Err(Failure::lost(format!("the lock was lost before the command {told}")));
        }
        release(held).map_err(|failure| {
            failure.and(&format!("the command {} before that was found out", told(status)))
        })?;
        Ok(ExitCode::from(code(status)))
    }

    fn start(&self, place: &StorePlace, held: &Held, events: &Events) -> Result<Child, Failure> {
        events.check()?;
        if held.valid_until().is_some_and(|until| until <= place.now()) {
            return Err(Failure::lost(
                "the lease ended before the command could be started; a longer --ttl is needed",
            ));
        }
        let [program, arguments @ ..] = &*self.command else {
            return Err(Failure::usage("there is no command to run; write it behind `--`"));
        };
        let started = Command::new(program)
            .args(arguments)
            .env("LOCKSTORE_TOKEN", held.token().to_string())
            .env("LOCKSTORE_KEY", held.key().as_str())
            .env("LOCKSTORE_HOLDER", held.holder().as_str())
            .env(VARIABLE, place.named())
            .spawn();
        started.map_err(|error| {
            let found = error.kind() != ErrorKind::NotFound;
            let program = program.display();
            Failure::new(Kind::NotStarted { found }, format!("{program} cannot be run: {error}"))
        })
    }
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
the lock when it has ended. All that goes by the store's server, which is started if there is none, or by the \
replica set.";

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
  The lock is bound to `lockstore run`: when that is killed, even with SIGKILL,
  the lock is free at once, also with `--ttl none`; on a replica set 15 seconds
  later. Its command goes on, without the lock: pass the token along to what the
  lock protects.

  The lock ends by itself --ttl after the last renewal. Renewals are due when
  a third of the TTL has passed. If `lockstore run` is stopped, nobody renews:
  its command goes on, without a lock once the lease has ended.

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
  First come, first served, among all commands and programs that wait for the
  lock at the store's server. A run that finds it held by its own --holder
  comes into that queue when that holder has released it.

The server of a file:
  It is joined, or started in the background. It has the file for as long as
  the run lasts, and ends a second after the last has gone, unless it was there
  before: meanwhile programs say `Store::connect`, and not `Store::open`. When
  it is killed, the next is started, and the run goes on. While a process that
  is no server has the file, the run waits for it, for --store-timeout.

Exit codes:
  that of the command, or 128 + N when signal N ended it or the waiting
  121  the lock was not acquired; the command was not started
  122  the lock was lost before the command had ended, whatever it exited with
  123  the store could not be used; if the command had ended already, the
       message tells its exit code
  126  the command cannot be run
  127  the command was not found
  2    the command line is wrong; nothing was done";
