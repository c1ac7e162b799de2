//! The socket's file: made, and taken away, only by who has the store's file locked.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::address::{AddressError, runtime_folder};

/// Why a server has not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The socket has no place.
    #[error(transparent)]
    Address(AddressError),
    /// Others could put a socket of theirs into the place of ours.
    #[error("the folder {} may be written by others than its owner (mode {mode:03o}); a socket in it could be anybody's: chmod go-w it", path.display())]
    OpenFolder {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The folder belongs to another user.
    #[error("the folder {} belongs to user {owner}, not to this one", path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Something else lies where the socket is to be.
    #[error("{} is in the way: it is no socket of this user", path.display())]
    InTheWay {
        /// What lies there.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("the socket {} cannot be made: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file of a bound socket. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Which file it is: another may have come into its place.
    inode: (u64, u64),
}

impl SocketFile {
    /// Binds a socket that only this user can connect to. The caller has the store's file locked, so that a socket which
    /// lies there already was left by a server that is dead.
    pub(super) fn bind(path: PathBuf) -> Result<(Self, UnixListener), StartError> {
        let failed = |source| StartError::Io { path: path.clone(), source };
        check_folder(&path, failed)?;
        remove_dead(&path, failed)?;
        let listener = listen(&path).map_err(failed)?;
        let inode = inode(&fs::symlink_metadata(&path).map_err(failed)?);
        Ok((Self { path, inode }, listener))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the socket is still where clients look for it.
    pub(super) fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| inode(&there) == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_in_place()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, socket = %self.path.display(), "the socket was not taken away");
        }
    }
}

/// Whether a process of this user, or of root, is at the other end.
pub(super) fn is_ours(stream: &UnixStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream);
    peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid() || peer.uid.is_root())
}

/// Others must not be able to put another socket into the place of ours.
fn check_folder(path: &Path, failed: impl Fn(io::Error) -> StartError) -> Result<(), StartError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if folder == runtime_folder() {
        let made = DirBuilder::new().mode(0o700).create(folder);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(failed(error));
        }
    }
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    let (mode, owner) = (found.mode() & 0o7777, found.uid());
    if mode & 0o022 != 0 {
        return Err(StartError::OpenFolder { path: folder.to_owned(), mode });
    }
    if owner != rustix::process::geteuid().as_raw() && owner != 0 {
        return Err(StartError::ForeignFolder { path: folder.to_owned(), owner });
    }
    Ok(())
}

fn remove_dead(path: &Path, failed: impl Fn(io::Error) -> StartError) -> Result<(), StartError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
        Ok(found)
            if found.file_type().is_socket()
                && found.uid() == rustix::process::geteuid().as_raw() =>
        {
            fs::remove_file(path).map_err(failed)
        }
        Ok(_) => Err(StartError::InTheWay { path: path.to_owned() }),
    }
}

/// A listening socket, its owner's alone from the beginning: Linux gives the file the permissions that the socket has
/// when it is bound.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

fn inode(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// How many clients may knock at once.
const BACKLOG: i32 = 1_024;
