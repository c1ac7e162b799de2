//! `lockstore serve`: the store for many processes, on a socket beside its file.

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;
use lockstore_server::{Server, ServerOptions};

use crate::event::Event;
use crate::failure::Failure;
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
}

impl Serve {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let options = ServerOptions::new().connections_max(self.connections_max);
        let (events, caught) = mpsc::channel();
        signals::catch(events)?;
        let server = Server::start(file.open(Access::Served)?, file.path(), options)
            .map_err(|error| Failure::store(error.to_string()))?;
        output::print(&format!("{}\n", server.uri()))?;
        let stopper = server.stopper();
        thread::spawn(move || {
            while let Ok(Event::Signal(signal)) = caught.recv() {
                if signal.is_an_end() {
                    tracing::info!(signal = signal.name(), "stopping");
                    stopper.stop();
                }
            }
        });
        server.wait_until_idle(self.idle_exit);
        server.stop()?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Serve the store to other processes, on a socket beside its file.

The socket speaks MongoDB's wire protocol: any MongoDB driver is a client, by the address that is printed when the \
server is ready. Only processes of the same user get in, and there is no TCP. Locks that are held without a server go \
on being held.

Ends on SIGTERM, SIGINT or SIGHUP: what is in flight is answered, and the file closed.

Exit codes: 0 it was told to stop, or nobody has come for --idle-exit; 2 the command line is wrong; 4 the store could \
not be used, or the socket not be made.";

const EXAMPLES: &str = "\
Examples:
  lockstore serve --store jobs.redb
  lockstore serve --store jobs.redb --idle-exit 60s &
  python3 -c 'import pymongo; print(pymongo.MongoClient(\"'$(lockstore uri --store jobs.redb)'\").list_database_names())'";
