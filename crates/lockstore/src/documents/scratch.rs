//! Room on the disk for what a sort or a pipeline cannot hold in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use docquery::pipeline::{Scratch, Workspace};
use docquery::{Error, ErrorCode};

/// Whether what cannot be held in memory may be put on the disk: MongoDB's `allowDiskUse`, whose default is that it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DiskUse {
    #[default]
    Allowed,
    Forbidden,
}

/// The files of one operation for what it cannot hold in memory.
#[derive(Clone, Debug)]
pub(crate) struct ScratchFiles {
    /// Where they are made; `None` if they may not be.
    folder: Option<PathBuf>,
}

/// A file without a name: it goes with the one who has it, whatever happens.
#[derive(Debug)]
struct ScratchFile {
    file: File,
    bytes: u64,
}

impl DiskUse {
    /// MongoDB's flag.
    pub(crate) fn of(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Forbidden }
    }

    pub(crate) fn is_allowed(self) -> bool {
        self == Self::Allowed
    }
}

impl ScratchFiles {
    /// Files in `folder`, if they are allowed.
    pub(crate) fn new(folder: &Path, disk_use: DiskUse) -> Self {
        let folder = match disk_use {
            DiskUse::Allowed => Some(folder.to_owned()),
            DiskUse::Forbidden => None,
        };
        Self { folder }
    }
}

impl Workspace for ScratchFiles {
    fn scratch(&self) -> docquery::Result<Option<Box<dyn Scratch>>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        Ok(Some(Box::new(ScratchFile::new(folder)?)))
    }
}

impl ScratchFile {
    /// A new one in `folder`.
    fn new(folder: &Path) -> Result<Self, Error> {
        let file = tempfile::tempfile_in(folder);
        let file =
            file.map_err(|error| failed(&format!("made in {}", folder.display()), &error))?;
        Ok(Self { file, bytes: 0 })
    }
}

impl Scratch for ScratchFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.bytes + bytes.len() as u64;
        if end > SCRATCH_BYTES_MAX {
            let message = format!(
                "a sort or a stage of a pipeline needs more than {SCRATCH_BYTES_MAX} bytes of disk"
            );
            return Err(Error::new(OUT_OF_DISK_SPACE, message));
        }
        self.file.write_all_at(bytes, self.bytes).map_err(|error| failed("written", &error))?;
        self.bytes = end;
        Ok(())
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(bytes, offset).map_err(|error| failed("read", &error))
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OUT_OF_DISK_SPACE,
        _ => FILE_STREAM_FAILED,
    };
    Error::new(code, format!("the file for a large sort or pipeline cannot be {what}: {error}"))
}

/// How much one sort or stage may put away, in bytes: 64 GiB.
const SCRATCH_BYTES_MAX: u64 = 64 << 30;

/// `FileStreamFailed`
const FILE_STREAM_FAILED: ErrorCode = ErrorCode::new(39);

/// `OutOfDiskSpace`
const OUT_OF_DISK_SPACE: ErrorCode = ErrorCode::new(14031);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_away_is_read_again_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = ScratchFile::new(folder.path()).unwrap();
        scratch.append(b"some bytes").unwrap();
        scratch.append(b" and more").unwrap();
        let mut bytes = [0; 9];
        scratch.read(5, &mut bytes).unwrap();
        assert_eq!(&bytes, b"bytes and");
        assert_eq!(scratch.read(11, &mut bytes).unwrap_err().code(), FILE_STREAM_FAILED);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
