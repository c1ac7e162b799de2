//! Where the store is: a file on this machine, or a replica set.

use std::ffi::OsStr;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lockstore::{Clock, Instant, Store, SystemClock, WallTime};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_mongo::migration::Endpoint;

use crate::failure::Failure;
use crate::program::Program;
use crate::replica_set_address::ReplicaSetAddress;
use crate::store_file::{Access, StoreFile, closing, default_path};
use crate::times::parse_time;

/// Which store, and how patiently.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store: a file, or the address of a replica set, mongodb://... [default:
    /// ~/.local/state/lockstore/locks.redb]
    #[arg(long, value_name = "STORE", env = VARIABLE, hide_env_values = true)]
    #[arg(global = true, help_heading = HEADING)]
    store: Option<PathBuf>,
    /// How long to wait for a turn while another process has the file open, or for its server or the replica set to
    /// answer [default: 10s, and 30s for a replica set, which may have to elect a primary]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    #[arg(allow_hyphen_values = true, global = true, help_heading = HEADING)]
    store_timeout: Option<Duration>,
}

/// Where a store is that was named.
#[derive(Clone, Debug)]
pub(crate) struct StorePlace {
    at: At,
    timeout: Duration,
    clock: SystemClock,
}

#[derive(Clone, Debug)]
enum At {
    File(StoreFile),
    ReplicaSet(ReplicaSetAddress),
}

impl StoreArgs {
    /// What was named, or else the default.
    pub(crate) fn locate(&self, program: &Program) -> Result<StorePlace, Failure> {
        let named = match self.store.clone() {
            Some(named) => named,
            None => default_path()?,
        };
        self.locate_other(&named, program)
    }

    /// What a command names besides, or instead.
    pub(crate) fn locate_other(
        &self,
        named: &Path,
        program: &Program,
    ) -> Result<StorePlace, Failure> {
        let clock = SystemClock::new().map_err(|error| {
            Failure::store(format!("the machine's clock and boot id cannot be read: {error}"))
        })?;
        let address = ReplicaSetAddress::parse(named)?;
        let usual = if address.is_some() { REPLICA_SET_TIMEOUT } else { FILE_TIMEOUT };
        let timeout = self.store_timeout.unwrap_or(usual);
        let at = if let Some(address) = address {
            At::ReplicaSet(address)
        } else {
            // Commands that are run may have another working directory.
            let path = path::absolute(named).map_err(|error| {
                Failure::usage(format!("{} is no path to a store: {error}", named.display()))
            })?;
            At::File(StoreFile::new(path, program.clone(), timeout, clock.clone()))
        };
        Ok(StorePlace { at, timeout, clock })
    }
}

impl StorePlace {
    /// The file, for a `command` that is about nothing else.
    pub(crate) fn file(&self, command: &str) -> Result<&StoreFile, Failure> {
        match &self.at {
            At::File(file) => Ok(file),
            At::ReplicaSet(_) => Err(Failure::usage(format!(
                "`lockstore {command}` is about the file of a store, and the store that is named is a replica set"
            ))),
        }
    }

    /// As it is named, for a program that this one starts. An address may have a password: it goes into the environment only.
    pub(crate) fn named(&self) -> &OsStr {
        match &self.at {
            At::File(file) => file.path().as_os_str(),
            At::ReplicaSet(address) => address.uri().as_ref(),
        }
    }

    /// As it is shown to people: without what is secret.
    pub(crate) fn shown(&self) -> String {
        match &self.at {
            At::File(file) => file.path().display().to_string(),
            At::ReplicaSet(address) => address.to_string(),
        }
    }

    /// How long to wait for a turn, or for an answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// The time since boot, suspended time included: what leases and deadlines count in.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn wall(&self) -> WallTime {
        self.clock.wall()
    }

    /// Reaches the store, does `act` with it, and closes it.
    pub(crate) fn with<T>(
        &self,
        access: Access,
        act: impl FnOnce(&Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        closing(self.open(access)?, act)
    }

    /// Joins the file's server, or opens the file, or connects to the replica set, where there always is a store.
    pub(crate) fn open(&self, access: Access) -> Result<Store, Failure> {
        match &self.at {
            At::File(file) => file.open(access),
            At::ReplicaSet(address) => self.reach(address),
        }
    }

    /// A store that was opened here, as one of a migration.
    pub(crate) fn endpoint(&self, store: &Store) -> Endpoint {
        match &self.at {
            At::File(_) => Endpoint::file(store.clone(), self.shown()),
            At::ReplicaSet(_) => {
                Endpoint::replica_set(store.clone(), self.shown(), ReplicaSetOptions::DATABASE)
            }
        }
    }

    /// Whether this is one file with another place.
    pub(crate) fn is_file_of(&self, other: &Self) -> bool {
        let (At::File(one), At::File(other)) = (&self.at, &other.at) else { return false };
        let real = |file: &StoreFile| fs::canonicalize(file.path());
        one.path() == other.path()
            || real(one).is_ok_and(|path| real(other).is_ok_and(|it| it == path))
    }

    /// The same for who needs more of it than one answer: a place in the queue of a lock, or a session. A file has a server then.
    pub(crate) fn connect(&self) -> Result<Store, Failure> {
        match &self.at {
            At::File(file) => file.connect(),
            At::ReplicaSet(address) => self.reach(address),
        }
    }

    /// Why it does not answer, as far as can be found out in a moment.
    pub(crate) fn why_silent(&self) -> String {
        match &self.at {
            At::File(file) => file.why_silent(),
            At::ReplicaSet(_) => "the replica set has not answered yet".to_owned(),
        }
    }

    fn reach(&self, address: &ReplicaSetAddress) -> Result<Store, Failure> {
        let options = ReplicaSetOptions::new().patience(self.timeout);
        options.connect(address.uri()).map_err(|error| Failure::store(error.to_string()))
    }
}

/// The environment variable that names the store.
pub(crate) const VARIABLE: &str = "LOCKSTORE_PATH";

/// How long to wait for a turn, or for a server, where nobody says.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a replica set: an election takes up to 15 s.
const REPLICA_SET_TIMEOUT: Duration = Duration::from_secs(30);

const HEADING: &str = "The store";
