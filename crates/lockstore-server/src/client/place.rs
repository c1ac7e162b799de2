//! Where a store's server is, and how to get to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use lockstore::{Instant, SystemClock};

use super::connect::ConnectOptions;
use super::error::ConnectError;
use super::limit::Limit;
use super::link::{Link, LinkError, NoLink};
use super::start::{Start, Turn};
use crate::address::{canonical_path, log_path, socket_path};
use crate::presence::Hello;

/// A store's server, by its paths.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    socket: Arc<Path>,
    log: PathBuf,
    options: ConnectOptions,
    clock: SystemClock,
    /// Whose connections these are.
    hello: Hello,
    /// The process that listened last; 0 before there was one.
    server: AtomicU32,
}

impl Place {
    pub(super) fn new(path: &Path, options: ConnectOptions) -> Result<Self, ConnectError> {
        Ok(Self {
            path: canonical_path(path)?,
            socket: socket_path(path)?.into(),
            log: log_path(path)?,
            options,
            clock: SystemClock::new().map_err(ConnectError::Clock)?,
            hello: Hello::of_a_new_client().map_err(ConnectError::Process)?,
            server: AtomicU32::new(0),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn socket(&self) -> &Arc<Path> {
        &self.socket
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    pub(super) fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// The process that serves, as far as is known.
    pub(super) fn server_pid(&self) -> u32 {
        self.server.load(Ordering::Relaxed)
    }

    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(super) fn clock(&self) -> &SystemClock {
        &self.clock
    }

    /// The limit of a call: a server gets a moment more than the call's deadline to say that it is over.
    pub(super) fn limit(&self, deadline: Option<Instant>) -> Limit<'_> {
        let until = deadline.map(|deadline| deadline.saturating_add(self.options.grace));
        Limit::new(&self.clock, until)
    }

    /// Connects to the server, which is started when there is none. Returns once the server has answered. The time of
    /// `greeting` is for a server that listens already.
    pub(super) fn dial(&self, limit: Limit<'_>, greeting: Limit<'_>) -> Result<Link, ConnectError> {
        let mut starting = limit.within(self.options.start_timeout);
        let mut starts = 0;
        let mut refused = "no server has come to listen in time";
        loop {
            match self.knock(greeting)? {
                Knocked::In(link) => return Ok(link),
                Knocked::Refused(why) => refused = why,
                Knocked::Nobody => match self.try_start(limit, starting)? {
                    Tried::Serves if starts < STARTS_MAX => {
                        starts += 1;
                        starting = limit.within(self.options.start_timeout);
                    }
                    Tried::Serves => refused = "each server ends as soon as it serves",
                    Tried::NotOurTurn => {}
                    Tried::Failed(error) if starting.is_over() => return Err(error),
                    Tried::Failed(error) => tracing::debug!(%error, "trying again"),
                },
            }
            if starting.is_over() {
                return Err(self.refused(refused));
            }
            thread::sleep(MOMENT);
        }
    }

    /// Connects to the server if one listens, and starts none. Returns once it has answered.
    pub(super) fn dial_if_there(&self, limit: Limit<'_>) -> Result<Option<Link>, ConnectError> {
        loop {
            match self.knock(limit)? {
                Knocked::In(link) => return Ok(Some(link)),
                Knocked::Nobody => return Ok(None),
                Knocked::Refused(why) if limit.is_over() => return Err(self.refused(why)),
                Knocked::Refused(_) => thread::sleep(MOMENT),
            }
        }
    }

    /// Knocks once, and waits for an answer.
    fn knock(&self, greeting: Limit<'_>) -> Result<Knocked, ConnectError> {
        match Link::knock(&self.socket) {
            Ok(mut link) => {
                self.server.store(link.pid(), Ordering::Relaxed);
                match link.greet(&self.hello, greeting) {
                    Ok(Ok(())) => Ok(Knocked::In(link)),
                    Ok(Err(refusal)) => Err(self.refused(&refusal)),
                    Err(LinkError::Silent) => {
                        let (socket, pid) = (self.socket.to_path_buf(), link.pid());
                        Err(ConnectError::Unresponsive { socket, pid })
                    }
                    // A server that ends, or that has too many clients.
                    Err(LinkError::NotSent(_) | LinkError::Broken(_)) => {
                        Ok(Knocked::Refused("whoever listens hangs up: has it too many clients?"))
                    }
                }
            }
            Err(NoLink::Crowded) => Ok(Knocked::Refused("too many knock already")),
            Err(NoLink::Nobody) => Ok(Knocked::Nobody),
            Err(NoLink::Foreign(uid)) => {
                Err(ConnectError::Foreign { socket: self.socket.to_path_buf(), uid })
            }
            Err(NoLink::Io(error)) => Err(self.refused(&error.to_string())),
        }
    }

    fn refused(&self, reason: &str) -> ConnectError {
        ConnectError::Refused { socket: self.socket.to_path_buf(), reason: reason.to_owned() }
    }

    /// Starts a server, if it is our turn, and nobody has started one since we looked.
    fn try_start(&self, limit: Limit<'_>, starting: Limit<'_>) -> Result<Tried, ConnectError> {
        let turn = match Turn::take(self) {
            Some(turn) => turn,
            // Who has the turn may have been stopped.
            None if starting.left().is_some_and(|left| left < LAST_MOMENTS) => Turn::regardless(),
            None => return Ok(Tried::NotOurTurn),
        };
        if self.is_there() {
            return Ok(Tried::Serves);
        }
        match turn.start(self, || self.is_there() || limit.is_over()) {
            Ok(Start::Serves | Start::Another) => Ok(Tried::Serves),
            Err(error @ ConnectError::InUse { .. }) => Ok(Tried::Failed(error)),
            Err(error) => Err(error),
        }
    }

    fn is_there(&self) -> bool {
        !matches!(Link::knock(&self.socket), Err(NoLink::Nobody))
    }
}

/// What knocking at the socket has come to.
enum Knocked {
    /// The server answers.
    In(Link),
    /// Somebody listens who has no room for us, and why.
    Refused(&'static str),
    /// Nobody listens.
    Nobody,
}

/// What a try at starting a server has come to.
enum Tried {
    /// One listens.
    Serves,
    /// Somebody else is at it.
    NotOurTurn,
    /// Somebody else has the file.
    Failed(ConnectError),
}

/// How many servers one call starts at most.
const STARTS_MAX: u32 = 3;

/// So long before its time is over nobody waits for another to start the server.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// Between two looks at what others do.
const MOMENT: Duration = Duration::from_millis(5);
