//! Starting a server.
//!
//! Any number of processes may want to at once. Who has the lock of the log file starts one, and the others look for its socket
//! meanwhile. That lock only saves work: it is the lock of the store's file that decides who serves, and who comes second exits.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, OFlags, flock};

use super::error::ConnectError;
use super::place::Place;
use super::program;
use crate::EXIT_CODE_IN_USE;

/// The right to start a server of a store. Others may start one all the same when this takes too long.
#[derive(Debug)]
pub(super) struct Turn {
    log: Option<File>,
}

/// What has become of a start.
#[derive(Debug)]
pub(super) enum Start {
    /// The server listens.
    Serves,
    /// Another one does.
    Another,
}

impl Turn {
    /// Takes the turn; `None` when it is somebody else's.
    pub(super) fn take(place: &Place) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(OWNER_ONLY);
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).expect("a flag is a small number");
        let Ok(log) = options.custom_flags(no_link).open(place.log()) else {
            // The server finds out why, and says so.
            return Some(Self::regardless());
        };
        match flock(&log, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Some(Self { log: Some(log) }),
            Err(_) => None,
        }
    }

    /// Goes on without it.
    pub(super) fn regardless() -> Self {
        Self { log: None }
    }

    /// Starts a server in the background, and returns once it listens, or another one does, which `is_there` tells.
    ///
    /// A server that has much to recover takes as long as that takes.
    pub(super) fn start(
        self,
        place: &Place,
        mut is_there: impl FnMut() -> bool,
    ) -> Result<Start, ConnectError> {
        let path = place.path();
        let program = program::find(place.options().program.as_deref())
            .map_err(|looked| ConnectError::NoProgram { path: path.to_owned(), looked })?;
        let time = |time: Duration| format!("{}ms", time.as_millis());
        let mut command = Command::new(&program);
        command.args(&place.options().program_arguments);
        command.args(["serve", "--detach", "--idle-exit"]).arg(time(place.options().idle_exit));
        command.arg("--store-timeout").arg(time(place.options().start_timeout));
        command.arg("--store").arg(path).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        tracing::info!(program = %program.display(), path = %path.display(), "starting a server");
        let mut starter = command.spawn().map_err(|source| ConnectError::NotRun {
            path: path.to_owned(),
            program: program.clone(),
            source,
        })?;
        let mut said = Vec::new();
        while hears(&mut starter, &mut said) {
            if is_there() {
                // It waits for the file in vain, and ends by itself. Only who waits for it is ended.
                let _ = starter.kill();
                let _ = starter.wait();
                return Ok(Start::Another);
            }
        }
        // Who looks for the socket from here on finds it, or tries in turn.
        drop(self.log);
        let exit_code = starter.wait().ok().and_then(|status| status.code());
        let said =
            String::from_utf8_lossy(&said).trim().trim_start_matches("lockstore: ").to_owned();
        match exit_code {
            Some(0) => Ok(Start::Serves),
            Some(code) if code == i32::from(EXIT_CODE_IN_USE) => {
                Err(ConnectError::InUse { path: path.to_owned(), said })
            }
            exit_code => Err(ConnectError::Failed {
                path: path.to_owned(),
                program,
                exit_code,
                said,
                log: place.log().to_owned(),
            }),
        }
    }
}

/// Hears what the starter says, for a moment, and keeps the end of it. `false` when it has said all.
fn hears(starter: &mut Child, said: &mut Vec<u8>) -> bool {
    let Some(stderr) = &mut starter.stderr else { return false };
    let moment = MOMENT.try_into().expect("it is short");
    let mut ready = [PollFd::new(&*stderr, PollFlags::IN)];
    if !poll(&mut ready, Some(&moment)).is_ok_and(|n| n > 0) {
        return true;
    }
    let mut bytes = [0; 1024];
    match stderr.read(&mut bytes) {
        Ok(0) | Err(_) => false,
        Ok(n) => {
            said.extend_from_slice(&bytes[..n]);
            let too_many = said.len().saturating_sub(SAID_MAX);
            said.drain(..too_many);
            true
        }
    }
}

/// How often it is looked whether another server is there.
const MOMENT: Duration = Duration::from_millis(20);

/// So much is kept of what a starter says.
const SAID_MAX: usize = 4 << 10;

const OWNER_ONLY: u32 = 0o600;
