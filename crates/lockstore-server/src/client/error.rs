//! Why there is no server.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockstore::StoreError;

use crate::address::AddressError;

/// Why a store's server cannot be reached. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The store's path names no place.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No server runs, and the program that could is nowhere.
    #[error(
        "no server of {} runs, and there is no `lockstore` program to start one with; looked {}",
        path.display(), places(looked)
    )]
    NoProgram {
        /// The store.
        path: PathBuf,
        /// Where the program was looked for.
        looked: Vec<String>,
    },
    /// The program cannot be run.
    #[error("the server of {} cannot be started: {} cannot be run: {source}", path.display(), program.display())]
    NotRun {
        /// The store.
        path: PathBuf,
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server has started, and ended before it served.
    #[error("the server of {} ended before it served: {} (its log is {})", path.display(), what_was_said(said, *exit_code), log.display())]
    Failed {
        /// The store.
        path: PathBuf,
        /// The program that was run.
        program: PathBuf,
        /// Its exit code; `None` when a signal ended it.
        exit_code: Option<i32>,
        /// What it said last: at most 4 KiB.
        said: String,
        /// The log of the store's servers.
        log: PathBuf,
    },
    /// Another process has the file open, and serves nobody: its own store, most likely, that it has opened with `Store::open`.
    #[error("no server of {} can start: {said}", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
        /// Names the process and its program, where that can be told.
        said: String,
    },
    /// Somebody else's process listens on the socket.
    #[error("{} belongs to a process of user {uid}, not to one of this user", socket.display())]
    Foreign {
        /// The socket.
        socket: PathBuf,
        /// Whose process it is.
        uid: u32,
    },
    /// A server listens, and does not answer: it was stopped, or hangs.
    #[error("process {pid}, which listens on {}, does not answer; was it stopped?", socket.display())]
    Unresponsive {
        /// The socket.
        socket: PathBuf,
        /// The process.
        pid: u32,
    },
    /// The connection does not come about.
    #[error("{} cannot be connected to: {reason}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// The machine's clock or boot id cannot be read, by which leases count.
    #[error("the machine's clock and boot id cannot be read: {0}")]
    Clock(io::Error),
    /// This process cannot be told from others: `/proc` is not there, or is that of another pid namespace.
    #[error("this process cannot be told from others by /proc: {0}")]
    Process(io::Error),
}

impl ConnectError {
    /// The same for a call of a store that is open.
    pub(super) fn into_store_error(self, socket: &Arc<Path>) -> StoreError {
        match self {
            Self::Unresponsive { pid, .. } => StoreError::ServerUnresponsive { pid },
            other => StoreError::Unreachable {
                socket: Arc::clone(socket),
                reason: other.to_string().into(),
            },
        }
    }
}

fn places(looked: &[String]) -> String {
    looked.join(", ")
}

fn what_was_said(said: &str, exit_code: Option<i32>) -> String {
    match (said, exit_code) {
        ("", Some(code)) => format!("it exited with code {code} and said nothing"),
        ("", None) => "a signal ended it".to_owned(),
        (said, _) => said.to_owned(),
    }
}
