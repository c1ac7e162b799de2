//! `lockstore sessions`: the processes whose locks end with them.

use clap::Args;
use lockstore::WallTime;
use lockstore::presence::{SessionInfo, SessionOwner, SessionStanding};
use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::{between, rfc3339, rough};

/// List the processes whose locks end with them
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Sessions {
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    sessions: Vec<SessionReport>,
}

#[derive(Debug, Serialize)]
struct SessionReport {
    session: u64,
    /// The machine, on a replica set; else `null`.
    host: Option<String>,
    /// `null` for a session of the server itself, and so for the next one.
    pid: Option<u32>,
    since: Option<String>,
    locks: usize,
    document_locks: usize,
    waiters: usize,
    standing: &'static str,
    /// How long a session that is lost has yet; `null` for all others.
    remaining_seconds: Option<f64>,
}

impl Sessions {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let sessions = place.with(Access::Existing, |store| Ok(store.sessions()?))?;
        if self.json {
            let sessions = sessions.iter().map(SessionReport::from).collect();
            print_json(&Listing { sessions })?;
        } else if !sessions.is_empty() {
            let now = place.wall();
            print(&table(&HEADINGS, sessions.iter().map(|session| row(session, now))))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl From<&SessionInfo> for SessionReport {
    fn from(info: &SessionInfo) -> Self {
        let (standing, remaining) = match info.standing {
            SessionStanding::Connected => ("connected", None),
            SessionStanding::Lost { remaining } => ("lost", Some(remaining)),
            SessionStanding::Ending => ("ending", None),
        };
        let owner = Owner::of(info);
        Self {
            session: info.session.get(),
            host: owner.host,
            pid: owner.pid,
            since: owner.since.map(rfc3339),
            locks: info.locks,
            document_locks: info.document_locks,
            waiters: info.waiters,
            standing,
            remaining_seconds: remaining.map(|remaining| remaining.as_secs_f64()),
        }
    }
}

/// What is known of whose a session is.
#[derive(Default)]
struct Owner {
    host: Option<String>,
    pid: Option<u32>,
    since: Option<WallTime>,
}

impl Owner {
    fn of(info: &SessionInfo) -> Self {
        match &info.owner {
            SessionOwner::Client { presence, since } => {
                Self { host: None, pid: Some(presence.process.pid), since: Some(*since) }
            }
            SessionOwner::Machine { host, pid, since } => {
                Self { host: Some(host.to_string()), pid: Some(*pid), since: Some(*since) }
            }
            _ => Self::default(),
        }
    }
}

fn row(info: &SessionInfo, now: WallTime) -> Vec<String> {
    let owner = Owner::of(info);
    let process = match (owner.host, owner.pid) {
        (Some(host), Some(pid)) => format!("{pid}@{host}"),
        (None, Some(pid)) => pid.to_string(),
        (_, None) => "the server".to_owned(),
    };
    vec![
        process,
        owner.since.map(|since| rough(between(since, now))).unwrap_or_default(),
        info.locks.to_string(),
        info.document_locks.to_string(),
        info.waiters.to_string(),
        match info.standing {
            SessionStanding::Connected => "connected".to_owned(),
            SessionStanding::Lost { remaining } => format!("lost, {} left", rough(remaining)),
            SessionStanding::Ending => "ending".to_owned(),
        },
    ]
}

const HEADINGS: [&str; 6] = ["PID", "FOR", "LOCKS", "DOCUMENTS", "WAITS", "STANDING"];

const ABOUT: &str = "\
List the processes whose locks end with them: a line for each session, the earliest first. Prints nothing when there are none.

A `lockstore run` has a session at the store's server, and so have programs that ask for one. What it holds, and what it waits for, ends \
with it: at once when the process dies. A session is `lost` when its process is not connected any more and is not known to be dead: it \
ends after a grace, unless the process comes back. On a replica set a process that has died is not known to be dead: its \
session ends 30 seconds after its last sign of life. WAITS are waits for locks, DOCUMENTS are documents that are locked.

Exit codes: 0 listed, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore sessions
  lockstore sessions --json | jq '.sessions[] | select(.locks > 0) | .pid'";
