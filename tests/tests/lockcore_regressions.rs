//! Inputs that fuzzing found, run again through the entry of their fuzz target.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use lockstore_testkit::commands::Case;

#[test]
fn every_found_case_of_lock_commands_passes() {
    replay("lock_commands", |bytes| {
        Case::from_bytes(bytes).run();
    });
}

/// Runs each file of `fuzz/corpus/<target>` through what the target runs.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = read_files(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    assert!(!files.is_empty(), "{} holds no case", folder.display());
    for (file, bytes) in files {
        // The test's output is shown when it fails, and the last file named in it is the one.
        println!("{}", file.display());
        run(&bytes);
    }
}

fn read_files(folder: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let read = |entry: io::Result<fs::DirEntry>| {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        Ok((path, bytes))
    };
    fs::read_dir(folder)?.map(read).collect()
}
