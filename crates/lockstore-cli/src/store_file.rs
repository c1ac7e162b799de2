//! The store's file, which processes take turns with, or use through a server.
//!
//! A store's file is open in one process at a time. When that is a server, a command joins it. Else it opens the file, does one
//! thing and closes it, and waits its turn while somebody else has it.

use std::env;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use lockstore::{Clock, OpenError, Store, StoreOptions, SystemClock};
use lockstore_server::{ConnectError, ConnectOptions};

use crate::backoff::Backoff;
use crate::failure::{Failure, Kind};
use crate::program::Program;
use crate::times::rough;

/// The file of a store, closed.
#[derive(Clone, Debug)]
pub(crate) struct StoreFile {
    path: PathBuf,
    /// What serves it.
    program: Program,
    turn_timeout: Duration,
    clock: SystemClock,
}

/// Whether there must be a store already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// There must be one: nothing can be looked up or ended in a store that does not exist, and a mistyped
    /// path is found out.
    Existing,
    /// One is made when there is none.
    OrNew,
    /// As `Existing`, and every page is compared with its checksum when the file is opened.
    Verified,
    /// The file itself, for a server. As `OrNew`, and those who hold leases get time to come back: they were cut off from a server
    /// before.
    Served,
}

/// Why the file is not open.
#[derive(Debug)]
pub(crate) enum NotOpen {
    /// Another process has it, and which.
    InUse(String),
    /// It cannot be opened.
    Failed(Failure),
}

impl StoreFile {
    /// The file at `path`, which is absolute.
    pub(crate) fn new(
        path: PathBuf,
        program: Program,
        turn_timeout: Duration,
        clock: SystemClock,
    ) -> Self {
        Self { path, program, turn_timeout, clock }
    }

    /// What serves it.
    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How long to wait for a turn.
    pub(crate) fn turn_timeout(&self) -> Duration {
        self.turn_timeout
    }

    /// Joins the store's server, or opens the file. Waits its turn, or until the process that has the file serves it.
    pub(crate) fn open(&self, access: Access) -> Result<Store, Failure> {
        self.open_while(access, || true)
    }

    /// As [`StoreFile::open`]. The turn is waited for only as long as it `is_wanted`.
    pub(crate) fn open_while(
        &self,
        access: Access,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Store, Failure> {
        let deadline = self.clock.now().saturating_add(self.turn_timeout);
        let mut backoff = Backoff::for_file();
        loop {
            match self.try_open(access) {
                Ok(store) => return Ok(store),
                Err(NotOpen::Failed(failure)) => return Err(failure),
                Err(NotOpen::InUse(sentence)) if !is_wanted() => {
                    return Err(Failure::new(Kind::InUse, sentence));
                }
                Err(NotOpen::InUse(sentence)) if self.clock.now() >= deadline => {
                    let waited = rough(self.turn_timeout);
                    let sentence = format!("{sentence} (waited {waited}, see --store-timeout)");
                    return Err(Failure::new(Kind::InUse, sentence));
                }
                Err(NotOpen::InUse(_)) => thread::sleep(backoff.sleep()),
            }
        }
    }

    /// Joins the store's server, or starts it, for who needs more of it than one answer: a place in the queue of a lock, or a session. The store is
    /// made if there is none.
    pub(crate) fn connect(&self) -> Result<Store, Failure> {
        self.make_folder()?;
        // A server would leave its log beside it.
        let is_no_file = self.path.exists() && !self.path.is_file();
        if is_no_file && let Err(NotOpen::Failed(failure)) = self.try_open_file(Access::Existing) {
            return Err(failure);
        }
        let error = match self.options().connect(&self.path) {
            Ok(store) => return Ok(store),
            Err(error) => error,
        };
        let is_of_file = matches!(error, ConnectError::Failed { .. } | ConnectError::Address(_));
        if is_of_file && let Err(NotOpen::Failed(failure)) = self.try_open_file(Access::OrNew) {
            return Err(failure);
        }
        Err(error.into())
    }

    /// Why the server does not answer, as far as can be found out in a moment.
    pub(crate) fn why_silent(&self) -> String {
        match self.options().start_timeout(MOMENT).join(&self.path) {
            Ok(Some(_)) => "the store's server has not answered yet".to_owned(),
            Ok(None) => "the store has no server any more".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn try_open(&self, access: Access) -> Result<Store, NotOpen> {
        if access != Access::Served
            && let Some(store) = self.join().map_err(NotOpen::Failed)?
        {
            return Ok(store);
        }
        self.try_open_file(access)
    }

    /// Joins the server that has the file, if one listens. None is started for a command that is soon done.
    fn join(&self) -> Result<Option<Store>, Failure> {
        self.options().join(&self.path).map_err(Failure::from)
    }

    /// How commands work with a server. One that they start does not keep the file for long from those who open it themselves.
    fn options(&self) -> ConnectOptions {
        let timeout = self.turn_timeout;
        let options =
            ConnectOptions::new().start_timeout(timeout).grace(timeout).idle_exit(IDLE_EXIT);
        self.program.serve_by(options)
    }

    fn try_open_file(&self, access: Access) -> Result<Store, NotOpen> {
        let creates = matches!(access, Access::OrNew | Access::Served);
        let mut options =
            StoreOptions::new().verify_on_open(access == Access::Verified).create(creates);
        if access != Access::Served {
            // A command's opening is no restart: those who hold leases never noticed, and have nothing to
            // catch up with.
            options = options.restart_grace(Duration::ZERO);
        }
        if creates {
            self.make_folder().map_err(NotOpen::Failed)?;
        }
        options.open(&self.path).map_err(|error| match error {
            OpenError::Locked { .. } => {
                tracing::debug!(%error, "the store is in use");
                NotOpen::InUse(error.to_string())
            }
            OpenError::Missing { path } | OpenError::MissingFolder { path, .. } if !creates => {
                NotOpen::Failed(Failure::store(format!(
                    "there is no store at {}; `lockstore run`, `acquire`, `doc insert` and `doc import` make one",
                    path.display()
                )))
            }
            error => NotOpen::Failed(error.into()),
        })
    }

    /// Makes the folder of the default store. The folder of any other is the user's to make: a path that is
    /// mistyped should not leave folders behind.
    fn make_folder(&self) -> Result<(), Failure> {
        let Some(folder) = self.path.parent() else { return Ok(()) };
        if folder.exists() || default_path().ok().as_ref() != Some(&self.path) {
            return Ok(());
        }
        let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(folder);
        made.map_err(|error| {
            Failure::store(format!("the folder {} cannot be made: {error}", folder.display()))
        })
    }
}

/// Does `act` with the store, and closes it before anything else is done: others may wait for it.
pub(crate) fn closing<T>(
    store: Store,
    act: impl FnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let done = act(&store);
    if let Err(error) = store.close() {
        // Whatever was answered is durable all the same.
        tracing::warn!(%error, "the store was not closed cleanly");
    }
    done
}

/// Where the store is when nobody says: with what else programs keep for a user on one machine.
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME");
    let state = state.or_else(|| Some(folder("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        Failure::usage(
            "there is no HOME to keep the store in; name one with --store or LOCKSTORE_PATH",
        )
    })?;
    Ok(state.join("lockstore/locks.redb"))
}

const OWNER_ONLY: u32 = 0o700;

/// When nobody has been connected for so long, a server that a command has started ends. The next command of a script comes sooner.
const IDLE_EXIT: Duration = Duration::from_secs(1);

const MOMENT: Duration = Duration::from_millis(100);
