//! Where clients come in: the socket's file, and what listens on it.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

use super::socket::{SocketFile, StartError};
use crate::bell::Bell;

/// A socket that clients find by its path. Its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Door {
    file: SocketFile,
    listener: UnixListener,
    bell: Arc<Bell>,
}

impl Door {
    /// Opens the door at `path`. The caller has the store's file locked.
    pub(super) fn open(path: &Path) -> Result<Self, StartError> {
        let (file, listener) = bind(path)?;
        let bell = Bell::new().map_err(|source| failed(path, source))?;
        Ok(Self { file, listener, bell: Arc::new(bell) })
    }

    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Ends [`Door::wait`].
    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Waits for a client. `None` when none has come in `time`, or the bell has been rung.
    pub(super) fn wait(&self, time: Duration) -> io::Result<Option<UnixStream>> {
        let mut ready =
            [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&*self.bell, PollFlags::IN)];
        let time = time.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        poll(&mut ready, Some(&time))?;
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                Ok(Some(stream))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that clients find the door, and answers whether it had to be made again.
    pub(super) fn stay_open(&mut self) -> Result<bool, StartError> {
        if self.file.is_in_place() {
            return Ok(false);
        }
        (self.file, self.listener) = bind(&PathBuf::from(self.file.path()))?;
        Ok(true)
    }
}

fn bind(path: &Path) -> Result<(SocketFile, UnixListener), StartError> {
    let (file, listener) = SocketFile::bind(path.to_owned())?;
    listener.set_nonblocking(true).map_err(|source| failed(path, source))?;
    Ok((file, listener))
}

fn failed(path: &Path, source: io::Error) -> StartError {
    StartError::Io { path: path.to_owned(), source }
}
