//! Connecting to a store that processes share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lockstore::Store;

use super::error::ConnectError;
use super::transport::Transport;

/// A store that processes share: `Store::connect(path)`.
///
/// ```no_run
/// use lockstore::Store;
/// use lockstore_server::Connect;
///
/// let store = Store::connect("jobs.redb")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Connect: Sized {
    /// Joins the server of the store at `path`, or starts it, with default options: [`ConnectOptions::connect`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError>;
}

impl Connect for Store {
    fn connect(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        connect(path)
    }
}

/// Joins the server of the store at `path`, or starts it, with default options: [`ConnectOptions::connect`].
///
/// # Errors
///
/// [`ConnectError`].
pub fn connect(path: impl AsRef<Path>) -> Result<Store, ConnectError> {
    ConnectOptions::new().connect(path)
}

/// How a process works with a store's server; what is not set has the default that is named with it.
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is connected to with them"]
pub struct ConnectOptions {
    pub(super) program: Option<PathBuf>,
    pub(super) program_arguments: Vec<OsString>,
    pub(super) idle_exit: Duration,
    pub(super) start_timeout: Duration,
    pub(super) grace: Duration,
    pub(super) connections_max: usize,
    pub(super) outstanding_max: usize,
}

impl ConnectOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            program: None,
            program_arguments: Vec::new(),
            idle_exit: Duration::from_secs(60),
            start_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            connections_max: 64,
            outstanding_max: 10_000,
        }
    }

    /// The `lockstore` program, to start a server with. By default it is what `LOCKSTORE_PROGRAM` names, else one beside the
    /// running program, else one on `PATH`.
    pub fn program(self, program: impl Into<PathBuf>) -> Self {
        Self { program: Some(program.into()), ..self }
    }

    /// What the program is given before all else, so that it is `lockstore`: `-m lockstore` for a Python that brings it along.
    /// Nothing by default.
    pub fn program_arguments(
        self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        Self { program_arguments: arguments.into_iter().map(Into::into).collect(), ..self }
    }

    /// A server that is started ends when nobody has been connected for so long; 60 s by default.
    pub fn idle_exit(self, idle_exit: Duration) -> Self {
        Self { idle_exit, ..self }
    }

    /// How long to wait for a server to begin, for a file that another process has open, and for the first answer of a
    /// server that listens; 10 s by default. One that has begun and has much to recover is waited for as long as it takes.
    pub fn start_timeout(self, start_timeout: Duration) -> Self {
        Self { start_timeout, ..self }
    }

    /// How long after its deadline a call still waits for the server to say that the time is over, before it ends with
    /// `ServerUnresponsive`; 1 s by default. A commit may take as long, on a slow disk.
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// How many connections there are at most for calls that are answered soon; 64 by default, and at least 1. A call for which
    /// there is none waits for one. They are made when they are needed, and 8 are kept.
    pub fn connections_max(self, connections_max: usize) -> Self {
        Self { connections_max: connections_max.max(1), ..self }
    }

    /// How many calls may be outstanding on the control connection, waits for locks above all; 10,000 by default, which is what a
    /// server lets wait on one connection. One more is refused as `Busy`.
    pub fn outstanding_max(self, outstanding_max: usize) -> Self {
        Self { outstanding_max, ..self }
    }

    /// Joins the server of the store at `path`, or starts it. The path may be a link, or another spelling: one file has one
    /// server. The file need not be there yet, its folder must.
    ///
    /// Any number of processes may do so at once, and get the same server. It is a process of its own, which ends some time
    /// after the last of them has gone, writes its log beside the file (`jobs.redb.log`), and is started again by the next.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn connect(self, path: impl AsRef<Path>) -> Result<Store, ConnectError> {
        Ok(Store::remote(Arc::new(self.transport(path)?)))
    }

    /// Joins the server of the store at `path` if one listens, and starts none: `None` when nobody listens, or there is no such folder.
    /// From then on it is a store like any that was connected to: when that server ends, the next call starts another.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: whoever listens does not answer, say.
    pub fn join(self, path: impl AsRef<Path>) -> Result<Option<Store>, ConnectError> {
        let transport = Transport::join(path.as_ref(), self)?;
        Ok(transport.map(|transport| Store::remote(Arc::new(transport))))
    }

    /// As [`ConnectOptions::connect`], for who speaks to the server by commands.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn transport(self, path: impl AsRef<Path>) -> Result<Transport, ConnectError> {
        Transport::connect(path.as_ref(), self)
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self::new()
    }
}
