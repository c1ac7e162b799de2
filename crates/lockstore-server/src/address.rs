//! Where the socket of a file is.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

/// Why a file has no socket.
#[derive(Debug, thiserror::Error)]
#[error("the socket of {} cannot be named: {source}", path.display())]
pub struct AddressError {
    path: PathBuf,
    source: io::Error,
}

/// The socket of the store at `path`: beside the file, with `.sock` behind its name. All spellings of one file, and
/// links to it, have one socket. The file itself need not be there yet, its folder must.
///
/// A Unix socket's path has at most 107 bytes. Where that is not enough the socket lies in a folder that is the user's
/// alone, under a name made of the file's: `$XDG_RUNTIME_DIR/lockstore/HASH.sock`, or `/tmp/lockstore-UID/HASH.sock`.
///
/// # Errors
///
/// [`AddressError`]: the folder is not there, or cannot be looked at.
pub fn socket_path(path: impl AsRef<Path>) -> Result<PathBuf, AddressError> {
    let file = canonical_path(path.as_ref())?;
    let mut beside = file.clone().into_os_string();
    beside.push(".sock");
    if beside.len() <= SOCKET_PATH_MAX {
        return Ok(beside.into());
    }
    let hash = XxHash3_128::oneshot(file.as_os_str().as_bytes());
    Ok(runtime_folder().join(format!("{hash:032x}.sock")))
}

/// The log of a server that runs in the background: beside the file, with `.log` behind its name.
///
/// # Errors
///
/// [`AddressError`].
pub fn log_path(path: impl AsRef<Path>) -> Result<PathBuf, AddressError> {
    let mut log = canonical_path(path.as_ref())?.into_os_string();
    log.push(".log");
    Ok(log.into())
}

/// The one name of a file.
pub(crate) fn canonical_path(path: &Path) -> Result<PathBuf, AddressError> {
    canonical(path).map_err(|source| AddressError { path: path.to_owned(), source })
}

/// The address of the store at `path` for MongoDB's drivers:
/// `mongodb://%2Fhome%2Fme%2Fjobs.redb.sock/?directConnection=true`. A driver alone does not start the server.
///
/// # Errors
///
/// [`AddressError`].
pub fn uri(path: impl AsRef<Path>) -> Result<String, AddressError> {
    Ok(uri_of(&socket_path(path)?))
}

/// The address of a socket for MongoDB's drivers. Every byte is escaped that might mean something in an address.
pub(crate) fn uri_of(socket: &Path) -> String {
    use std::fmt::Write;
    let mut uri = String::from("mongodb://");
    for &byte in socket.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    // The set has this one member. Some drivers would look for it under another spelling of its path.
    uri.push_str("/?directConnection=true");
    uri
}

/// The one name of a file, links followed. Of a file that is not there yet, its folder's name and its own.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok(folder.unwrap_or(Path::new(".")).canonicalize()?.join(name))
        }
        known => known,
    }
}

/// A folder for sockets whose own place is too long.
pub(crate) fn runtime_folder() -> PathBuf {
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match given.filter(|folder| folder.is_absolute() && folder.as_os_str().len() <= FOLDER_MAX) {
        Some(folder) => folder.join("lockstore"),
        None => PathBuf::from(format!("/tmp/lockstore-{}", rustix::process::getuid().as_raw())),
    }
}

/// The longest path that a Unix socket can be bound to.
const SOCKET_PATH_MAX: usize = 107;

/// The longest runtime folder under which a socket's name has room.
const FOLDER_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_file_have_one_socket() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let path = folder.join("a.redb");
        let socket = folder.join("a.redb.sock");
        assert_eq!(socket_path(&path).unwrap(), socket, "before the file is there");
        std::fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, folder.join("link")).unwrap();
        std::fs::create_dir(folder.join("sub")).unwrap();
        for other in ["a.redb", "link", "./a.redb", "sub/../a.redb"] {
            assert_eq!(socket_path(folder.join(other)).unwrap(), socket, "{other}");
        }
        assert!(socket_path(folder.join("none/a.redb")).is_err());
        assert!(
            socket_path("/").is_err() || socket_path("/").is_ok_and(|path| path.ends_with(".sock"))
        );
    }

    #[test]
    fn a_path_that_is_too_long_has_a_stand_in() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let socket = socket_path(deep.join("a.redb")).unwrap();
        assert!(socket.as_os_str().len() <= SOCKET_PATH_MAX, "{}", socket.display());
        assert!(socket.starts_with(runtime_folder()));
        assert_ne!(socket, socket_path(deep.join("b.redb")).unwrap());
    }

    #[test]
    fn an_address_escapes_what_may_mean_something() {
        assert_eq!(
            uri_of(Path::new("/a b/jobs-1.sock")),
            "mongodb://%2Fa%20b%2Fjobs-1.sock/?directConnection=true"
        );
    }
}
