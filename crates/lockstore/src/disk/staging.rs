//! A new file that nobody sees until it is complete.
//!
//! It is built without a name, and takes its name in one step that does not overwrite. A crash before
//! that leaves nothing; a crash after it leaves all of it. Where the file system knows no unnamed files
//! it is built under a name of its own beside its destination, `.<name>.<uuid>.new`, and a crash can
//! leave that one behind; nothing reads it, and it can be removed.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, linkat, open, renameat_with};
use rustix::io::Errno;

use super::plain_file::PlainFile;

/// The file while it is being built.
#[derive(Debug)]
pub(super) struct Staged {
    file: File,
    destination: PathBuf,
    /// Where the file has no name until it is complete, there is none to remove.
    temporary: Option<PathBuf>,
}

impl Staged {
    /// An empty file that can become `destination`. Only its owner may read and write it.
    pub(super) fn new(destination: &Path) -> io::Result<Self> {
        match Self::unnamed(destination) {
            // EISDIR is how kernels answer that do not know the flag.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                Self::named(destination)
            }
            staged if !Path::new(DESCRIPTORS).exists() => {
                // Without /proc the file could not be given a name.
                drop(staged);
                Self::named(destination)
            }
            staged => Ok(staged?),
        }
    }

    fn unnamed(destination: &Path) -> Result<Self, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(folder_of(destination), flags, OWNER_ONLY)?;
        Ok(Self { file: file.into(), destination: destination.to_owned(), temporary: None })
    }

    pub(super) fn named(destination: &Path) -> io::Result<Self> {
        let name = destination.file_name().unwrap_or_default();
        let name = format!(".{}.{}.new", name.to_string_lossy(), uuid::Uuid::new_v4());
        let temporary = folder_of(destination).join(name);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = open(&temporary, flags, OWNER_ONLY)?;
        Ok(Self {
            file: file.into(),
            destination: destination.to_owned(),
            temporary: Some(temporary),
        })
    }

    /// The file's content, for redb to fill. Syncs are left to [`Staged::publish`].
    pub(super) fn backend(&self) -> io::Result<impl StorageBackend + use<>> {
        Ok(PlainFile::staged(self.file.try_clone()?))
    }

    /// The file, for who fills it by hand and keeps it. Syncs are left to [`Staged::publish`] until then.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Syncs the file, gives it its name, and syncs the folder. `AlreadyExists` when something has that
    /// name; it stays as it is.
    pub(super) fn publish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.temporary.take() {
            None => self.link()?,
            Some(temporary) => {
                let renamed = rename(&temporary, &self.destination);
                if renamed.is_err() {
                    self.temporary = Some(temporary);
                }
                renamed?;
            }
        }
        sync_folder_of(&self.destination)
    }

    fn link(&self) -> io::Result<()> {
        let unnamed = format!("{DESCRIPTORS}/{}", self.file.as_raw_fd());
        linkat(CWD, unnamed, CWD, &self.destination, AtFlags::SYMLINK_FOLLOW)?;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary
            && let Err(error) = fs::remove_file(temporary)
        {
            tracing::warn!(path = %temporary.display(), %error, "a temporary file is left behind");
        }
    }
}

/// Makes names in the folder of `path` durable.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match File::open(folder_of(path)).and_then(|folder| folder.sync_all()) {
        // Some file systems have no such thing, and some folders may be passed through but not read.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// The folder that `path` lies in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

/// Renames without overwriting, also where the file system cannot do that in one step.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);
const DESCRIPTORS: &str = "/proc/self/fd";
