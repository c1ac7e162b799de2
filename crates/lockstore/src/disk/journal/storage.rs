//! Where journals lie.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::StorageBackend;
use rustix::fs::{FallocateFlags, OFlags, fallocate};
use rustix::io::Errno;

use crate::disk::plain_file::PlainFile;
use crate::disk::staging::{Staged, sync_folder_of};

/// A place for the journal of one store. A store calls it only while it has its own file locked.
///
/// For tests that let the storage fail: a store at a path has its journal beside it. See
/// [`StoreOptions::open_backend_with_journal`](crate::StoreOptions::open_backend_with_journal).
pub trait JournalStorage: Debug + Send + Sync + 'static {
    /// What errors call the journal.
    fn path(&self) -> PathBuf;

    /// The journal as it is there; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When that cannot be told, or what has its name is no file.
    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>>;

    /// Makes a journal of `bytes` bytes, which are `start` and then zeros. It appears whole or not at all, and is durable
    /// when this returns, its name included.
    ///
    /// # Errors
    ///
    /// When there is one already, and as the storage fails. There is none of this content then, or a whole one.
    fn make(&self, start: &[u8], bytes: u64) -> io::Result<Box<dyn StorageBackend>>;

    /// Removes the journal. It need not be durable that it is gone.
    ///
    /// # Errors
    ///
    /// As the storage fails.
    fn remove(&self) -> io::Result<()>;
}

/// Beside the store's file, under its name with `-journal` behind it.
#[derive(Debug)]
pub(crate) struct BesideStore {
    path: PathBuf,
}

impl BesideStore {
    /// The place for the journal of the store at `store`, where symbolic links end.
    pub(crate) fn new(store: &Path) -> Self {
        let mut path = store.as_os_str().to_owned();
        path.push("-journal");
        Self { path: path.into() }
    }
}

impl JournalStorage for BesideStore {
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        // A link is not followed: who can make one could have any file written. Nor is a pipe waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).expect("flags are small numbers");
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&self.path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        Ok(Some(Box::new(PlainFile::synced(file))))
    }

    fn make(&self, start: &[u8], bytes: u64) -> io::Result<Box<dyn StorageBackend>> {
        let staged = Staged::new(&self.path)?;
        let file = staged.file()?;
        reserve(&file, bytes)?;
        // Zeros that were written, and not only reserved: a commit that overwrites them changes no metadata.
        let zeros = vec![0; ZEROS_BYTES];
        let mut at = 0;
        while at < bytes {
            let some = bytes.saturating_sub(at).min(ZEROS_BYTES as u64);
            file.write_all_at(&zeros[..usize::try_from(some).unwrap_or(ZEROS_BYTES)], at)?;
            at += some;
        }
        file.write_all_at(start, 0)?;
        staged.publish()?;
        Ok(Box::new(PlainFile::synced(file)))
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_folder_of(&self.path)
    }
}

/// Has the file system find room in one piece, where it can do that.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        reserved => Ok(reserved?),
    }
}

/// How many zeros are written at once.
const ZEROS_BYTES: usize = 256 << 10;
