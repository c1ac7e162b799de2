//! What the tests of the seam share.

mod damage;
mod journal;
mod opening;
mod rows;
mod staging;

use std::fs;
use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use tempfile::TempDir;

use super::*;
use crate::records::{GrantRecordV1, ModeV1, Record, token_of};
use crate::rows::{RowChange, RowKey};
use lockcore::Token;

const OPTIONS: DiskOptions = DiskOptions {
    cache_bytes: 4 << 20,
    verify: true,
    create: Some(Birth { store_id: [7; 16], wall_ms: 1_700_000_000_000 }),
    journal: JournalUse::Never,
    journal_bytes: 8 << 20,
};

const ONLY_EXISTING: DiskOptions = DiskOptions { create: None, ..OPTIONS };

/// A folder that goes with the test, and the path of a store in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("test.lockstore");
    (folder, path)
}

fn in_memory() -> Disk {
    Disk::open_backend(InMemoryBackend::new(), None, &OPTIONS).unwrap()
}

fn token(number: u64) -> Token {
    Token::new(number).unwrap()
}

fn grant(number: u64) -> GrantRecordV1 {
    GrantRecordV1 {
        key: format!("key {number}"),
        holder: format!("holder {number}"),
        mode: ModeV1::Exclusive,
        session: None,
        granted_wall_ms: number,
        lease: None,
    }
}

fn put(number: u64) -> RowChange {
    let key = RowKey::grant(token(number));
    let value = grant(number).to_row(&key);
    RowChange::put(TableId::Grants, key, value)
}

fn delete(number: u64) -> RowChange {
    RowChange::delete(TableId::Grants, RowKey::grant(token(number)))
}

/// Commits the grants of `numbers`.
fn fill(disk: &Disk, numbers: impl Iterator<Item = u64>) {
    let changes: Vec<_> = numbers.map(put).collect();
    disk.commit(&changes).unwrap();
}

/// Every grant, read and compared with what [`put`] wrote.
fn grants(disk: &Disk) -> Result<Vec<u64>, DiskError> {
    let mut numbers = Vec::new();
    disk.snapshot()?.for_each_row(TableId::Grants, |key, value| {
        let number = token_of(key)?.get();
        assert_eq!(GrantRecordV1::from_row(key, value)?, grant(number));
        numbers.push(number);
        Ok::<_, DiskError>(())
    })?;
    Ok(numbers)
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries.map(|entry| name(entry).into_string().unwrap()).collect();
    names.sort();
    names
}
