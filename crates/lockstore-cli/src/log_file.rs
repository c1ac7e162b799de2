//! The log of a server in the background: a file beside the store's, and the one before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use tracing_subscriber::fmt::MakeWriter;

/// A log file of a bounded size: when it is full it becomes the old one, with `.1` behind its name, in place of what was
/// there. Its owner's alone; a symbolic link is not followed.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    bytes: u64,
}

/// Writes one line.
#[derive(Debug)]
pub(crate) struct Line<'l> {
    log: &'l LogFile,
}

impl LogFile {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let current = Mutex::new(Current::open(&path)?);
        Ok(Self { path, current })
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(OWNER_ONLY);
        let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).expect("a flag is a small number");
        let file = options.custom_flags(no_link).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut current = self.log.current();
        if current.bytes >= BYTES_MAX {
            fs::rename(&self.log.path, old(&self.log.path))?;
            *current = Current::open(&self.log.path)?;
        }
        current.file.write_all(bytes)?;
        current.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l> MakeWriter<'l> for LogFile {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line { log: self }
    }
}

/// The name of the one before.
fn old(path: &Path) -> PathBuf {
    let mut old = path.to_owned().into_os_string();
    old.push(".1");
    old.into()
}

/// So large a file becomes the old one.
const BYTES_MAX: u64 = 1 << 20;

const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_makes_room_and_only_one_old_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb.log");
        let log = LogFile::open(path.clone()).unwrap();
        let line = vec![b'x'; 100 << 10];
        for _ in 0..40 {
            log.make_writer().write_all(&line).unwrap();
        }
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
        for path in [path.clone(), old(&path)] {
            assert!(fs::metadata(path).unwrap().len() < BYTES_MAX + (100 << 10) + 1);
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb.log");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
        assert!(LogFile::open(path).is_err());
    }
}
