//! Room on the disk for what a pipeline cannot hold in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use docquery::pipeline::Scratch;
use docquery::{Error, ErrorCode};

/// A file without a name: it goes with the one who has it, whatever happens.
#[derive(Debug)]
pub(super) struct ScratchFile {
    file: File,
    bytes: u64,
}

impl ScratchFile {
    /// A new one in `folder`.
    pub(super) fn new(folder: &Path) -> Result<Self, Error> {
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
            let message =
                format!("a stage of a pipeline needs more than {SCRATCH_BYTES_MAX} bytes of disk");
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
    Error::new(code, format!("the file for a large pipeline cannot be {what}: {error}"))
}

/// How much one stage may put away, in bytes: 64 GiB.
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
