//! The folder that is measured on, and its disk.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Result;
use crate::measure::Latencies;
use crate::peers::SyncedLog;

/// A folder of this run, gone when the run ends.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    /// What kind of file system it lies in.
    pub(crate) file_system: String,
    /// The median time of one write and fdatasync of a pre-allocated file, in ns.
    pub(crate) sync_ns: f64,
}

impl Place {
    /// A new folder in `parent`, which must lie on a disk.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        let parent = parent.canonicalize()?;
        let file_system = file_system_of(&parent)?;
        if ["tmpfs", "ramfs"].contains(&&*file_system) {
            let parent = parent.display();
            return Err(format!(
                "{parent} is in memory ({file_system}), where a sync costs nothing: \
                 pass a folder on a disk with --dir"
            )
            .into());
        }
        let folder = tempfile::Builder::new().prefix("lockstore-benches-").tempdir_in(parent)?;
        let log = SyncedLog::new(&folder.path().join("sync.log"))?;
        let mut took = Latencies::new();
        for _ in 0..SYNCS {
            took.time(|| log.append())?;
        }
        Ok(Self { sync_ns: took.quantile(0.5), folder, file_system })
    }

    /// Where the file called `name` is to be.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// The type of the file system that `path` lies in, as the kernel calls it.
fn file_system_of(path: &Path) -> Result<String> {
    // A line of mountinfo: id, parent, device, root, mount point, options ... "-", type, source, options.
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mounts = mounts.lines().filter_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        Some((mount.split(' ').nth(4)?, system.split(' ').next()?))
    });
    let nearest =
        mounts.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.len());
    Ok(nearest.map_or("unknown", |(_, kind)| kind).to_owned())
}

const SYNCS: usize = 200;
