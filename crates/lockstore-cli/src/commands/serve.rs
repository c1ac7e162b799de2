//! `lockstore serve`: the store for many processes, on a socket beside its file.

use std::ffi::OsString;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use lockstore_server::{End, Server, ServerOptions, Stopper, log_path};
use rustix::process::{Pid, getppid};

use crate::detached;
use crate::event::Event;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::logging;
use crate::output;
use crate::signals;
use crate::store_file::{Access, StoreFile};
use crate::times::parse_time;

/// Serve the store to other processes, on a socket beside its file
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// End when nobody has been connected for so long [default: serve until told to stop]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    idle_exit: Option<Duration>,
    /// How many connections there may be at once
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    connections_max: usize,
    /// Serve in the background, and return when the server is ready
    #[arg(long)]
    detach: bool,
    /// This is the server in the background, started by the process of this number
    #[arg(long, hide = true, conflicts_with = "detach", value_name = "PID")]
    in_background: Option<i32>,
}

impl Serve {
    pub(crate) fn is_in_background(&self) -> bool {
        self.in_background.is_some()
    }

    /// Whether somebody waits for this server to begin. The starter of one in the background may have gone before it was its turn.
    fn is_awaited(&self) -> bool {
        self.in_background.is_none_or(|starter| Pid::as_raw(getppid()) == starter)
    }

    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        if self.detach {
            return detached::start(file.program(), self.command_line(file));
        }
        if self.is_in_background() {
            detached::leave_starter();
            let log = log_path(file.path()).map_err(|error| Failure::store(error.to_string()))?;
            logging::start_in(&log)?;
        }
        let (events, caught) = mpsc::channel();
        signals::catch(events)?;
        let stopping = Stopping::watch(caught);
        let mut server = self.start(file, &stopping, || self.is_awaited())?;
        output::print(&format!("{}\n", server.uri()))?;
        if self.is_in_background()
            && let Err(error) = detached::let_go()
        {
            tracing::warn!(%error, "the starter's output is still open");
        }
        if server.wait_until_idle(self.idle_exit) == End::Failed {
            // A commit failed. What is on the disk is the truth: it is read again, once.
            tracing::error!("the store has stopped, and is opened again");
            stop_failed(server);
            server = self.start(file, &stopping, || true)?;
            if server.wait_until_idle(self.idle_exit) == End::Failed {
                stop_failed(server);
                return Err(Failure::store("the store has stopped for the second time"));
            }
        }
        server.stop()?;
        Ok(ExitCode::SUCCESS)
    }

    fn start(
        &self,
        file: &StoreFile,
        stopping: &Stopping,
        is_awaited: impl Fn() -> bool,
    ) -> Result<Server, Failure> {
        let options = ServerOptions::new().connections_max(self.connections_max);
        let store = file.open_while(Access::Served, is_awaited)?;
        let server = Server::start(store, file.path(), options)
            .map_err(|error| Failure::store(error.to_string()))?;
        stopping.reaches(server.stopper());
        Ok(server)
    }

    /// The command line of the same server, for the process in the background.
    fn command_line(&self, file: &StoreFile) -> Vec<OsString> {
        let time = |time: Duration| OsString::from(format!("{}ms", time.as_millis()));
        let mut arguments: Vec<OsString> = vec![
            "serve".into(),
            "--in-background".into(),
            std::process::id().to_string().into(),
            "--store".into(),
        ];
        arguments.push(file.path().into());
        arguments.extend(["--store-timeout".into(), time(file.turn_timeout())]);
        arguments.push("--connections-max".into());
        arguments.push(self.connections_max.to_string().into());
        if let Some(idle_exit) = self.idle_exit {
            arguments.extend(["--idle-exit".into(), time(idle_exit)]);
        }
        arguments
    }
}

/// Stops a server whose store has stopped: it only says so once more.
fn stop_failed(server: Server) {
    if let Err(error) = server.stop() {
        tracing::error!(%error, "the store is not closed cleanly");
    }
}

/// Whom a signal that asks for the end is passed on to.
#[derive(Clone, Debug, Default)]
struct Stopping {
    reached: Arc<Mutex<Reached>>,
}

#[derive(Debug, Default)]
struct Reached {
    server: Option<Stopper>,
    asked: bool,
}

impl Stopping {
    /// Passes on what is caught.
    fn watch(caught: Receiver<Event>) -> Self {
        let stopping = Self::default();
        let watching = stopping.clone();
        thread::spawn(move || {
            while let Ok(Event::Signal(signal)) = caught.recv() {
                if signal.is_an_end() {
                    tracing::info!(signal = signal.name(), "stopping");
                    watching.note(|reached| reached.asked = true);
                }
            }
        });
        stopping
    }

    fn reaches(&self, server: Stopper) {
        self.note(|reached| reached.server = Some(server));
    }

    fn note(&self, note: impl FnOnce(&mut Reached)) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut reached);
        if let Reached { server: Some(server), asked: true } = &*reached {
            server.stop();
        }
    }
}

const ABOUT: &str = "\
Serve the store to other processes, on a socket beside its file.

The socket speaks MongoDB's wire protocol: any MongoDB driver is a client, by the address that is printed when the \
server is ready. Only processes of the same user get in, and there is no TCP. Locks that are held without a server go \
on being held.

Ends on SIGTERM, SIGINT or SIGHUP: what is in flight is answered, what takes longer than 5 s is ended, and the file \
closed. When a commit fails, the file is closed and opened again, once.

With --detach the server is a process of its own in the background, which ends with nobody's terminal, and writes a log \
beside the store's file, with .log behind its name: 1 MiB, and as much again under .log.1. LOCKSTORE_LOG says what is \
logged, from `info` on by default.

Exit codes: 0 it was told to stop, or nobody has come for --idle-exit, or with --detach, it serves; 2 the command line \
is wrong; 4 the store could not be used, or the socket not be made; 5 another process has the file open, a server of it \
most likely.";

const EXAMPLES: &str = "\
Examples:
  lockstore serve --store jobs.redb
  lockstore serve --store jobs.redb --idle-exit 60s --detach
  python3 -c 'import pymongo; print(pymongo.MongoClient(\"'$(lockstore uri --store jobs.redb)'\").list_database_names())'";
