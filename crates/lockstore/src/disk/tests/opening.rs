//! What may stand at a path, and what is said of it. Whatever is refused stays as it was.

use std::io;
use std::ops::Bound;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Mutex;

use redb::{BackendError, ReadableTableMetadata};

use super::*;
use crate::codec::encode;
use crate::records::{FormatRecordV1, JOURNALLED_FORMAT};

/// Opening `path` is refused in the words of `expected`, where `{}` stands for the path; a file there
/// is the same afterwards.
#[track_caller]
fn refused(path: &Path, expected: &str) -> OpenError {
    let before = fs::read(path).ok();
    let error = Disk::open(path, &OPTIONS).unwrap_err();
    let text = error.to_string();
    let expected = expected.replace("{}", &path.display().to_string());
    assert!(text.contains(&expected), "{text}\nis not\n{expected}");
    assert!(before == fs::read(path).ok(), "the file at {} was changed", path.display());
    error
}

#[test]
fn what_is_no_file_is_refused() {
    let (folder, path) = place();
    let folder = folder.path();
    refused(folder, "{} is a folder, where a file was expected");
    refused(Path::new("/"), "{} is a folder");
    let _socket = UnixListener::bind(&path).unwrap();
    refused(&path, "{} is a socket, where a file was expected");
    refused(Path::new("/dev/null"), "{} is a device");
    let pipe = folder.join("pipe");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Not read before and after, which would wait for a writer.
    let error = Disk::open(&pipe, &OPTIONS).unwrap_err();
    assert!(matches!(error, OpenError::NotAFile { found: "a pipe", .. }), "{error}");
}

#[test]
fn a_path_without_a_folder_is_refused_and_none_is_made() {
    let (folder, path) = place();
    let nowhere = folder.path().join("no/where");
    let error = refused(&nowhere, "{} cannot be made: its folder ");
    assert!(matches!(error, OpenError::MissingFolder { .. }), "{error}");
    fs::write(&path, "a file").unwrap();
    let error = refused(&path.join("below"), "{} cannot be opened: could not find");
    assert!(matches!(error, OpenError::Disk { source: DiskError::Io { .. }, .. }), "{error}");
    for name in ["nul\0", &"x".repeat(300)] {
        let error = refused(&folder.path().join(name), "{} cannot be opened: could not find");
        assert!(matches!(error, OpenError::Disk { source: DiskError::Io { .. }, .. }), "{error}");
    }
    assert_eq!(names(folder.path()), ["test.lockstore"]);
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    // Not even root may make a file there.
    let path = Path::new("/sys/kernel/test.lockstore");
    let error = refused(path, "{} cannot be opened for reading and writing: ");
    assert!(matches!(error, OpenError::Denied { .. }), "{error}");
}

#[test]
fn a_missing_store_is_made_only_when_it_may_be() {
    let (folder, path) = place();
    let error = Disk::open(&path, &ONLY_EXISTING).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no store at {}", path.display()));
    assert_eq!(names(folder.path()), [""; 0]);
    let error = Disk::open_backend(InMemoryBackend::new(), None, &ONLY_EXISTING).unwrap_err();
    assert_eq!(error.to_string(), "there is no store at (storage backend)");

    drop(Disk::open(&path, &OPTIONS).unwrap());
    assert_eq!(names(folder.path()), ["test.lockstore"]);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(Disk::open(&path, &ONLY_EXISTING).unwrap());
}

#[test]
fn a_relative_path_is_one_in_the_working_folder() {
    let error = Disk::open(Path::new("no-such-store"), &ONLY_EXISTING).unwrap_err();
    let here = std::env::current_dir().unwrap().canonicalize().unwrap();
    let expected = format!("there is no store at {}/no-such-store", here.display());
    assert_eq!(error.to_string(), expected);
    for path in ["", ".."] {
        Disk::open(Path::new(path), &OPTIONS).unwrap_err();
    }
}

#[test]
fn a_symbolic_link_leads_to_one_store() {
    let (folder, path) = place();
    let link = folder.path().join("link");
    symlink("test.lockstore", &link).unwrap();
    let disk = Disk::open(&link, &OPTIONS).unwrap();
    fill(&disk, 1..=1);
    let locked = Disk::open(&path, &OPTIONS).unwrap_err();
    assert!(matches!(locked, OpenError::Locked { .. }), "{locked}");
    drop(disk);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(grants(&Disk::open(&path, &ONLY_EXISTING).unwrap()).unwrap(), [1]);

    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    symlink(&first, &second).unwrap();
    symlink(&second, &first).unwrap();
    refused(&first, "cannot be opened: could not find the store's file");
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let (_folder, path) = place();
    fs::write(&path, "").unwrap();
    refused(&path, "{} is empty, which a store never is");
    for content in ["x", "hello, this is no store", "redb is fine", "SQLite format 3\0"] {
        fs::write(&path, content).unwrap();
        let error = refused(&path, "{} is no store: it begins with ");
        assert!(matches!(error, OpenError::NotRedb { .. }), "{error}");
    }
    fs::write(&path, vec![0; 1 << 20]).unwrap();
    refused(&path, "{} is no store: it begins with ");
}

#[test]
fn a_redb_file_of_somebody_else_is_refused_closed_or_killed() {
    const NUMBERS: TableDefinition<'_, u64, u64> = TableDefinition::new("numbers");
    let (folder, path) = place();
    let killed = folder.path().join("killed");
    let db = Database::create(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.open_table(NUMBERS).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    fs::copy(&path, &killed).unwrap();
    drop(db);
    for path in [&path, &killed] {
        refused(path, "{} is a redb file, but no store: it has no table `meta`");
        let db = Database::open(path).unwrap();
        let read = db.begin_read().unwrap();
        assert_eq!(read.open_table(NUMBERS).unwrap().len().unwrap(), 1);
    }

    let empty = folder.path().join("empty");
    drop(Database::create(&empty).unwrap());
    refused(&empty, "{} is a redb file, but no store: it has no table `meta`");
}

#[test]
fn a_table_of_our_name_does_not_make_a_store() {
    let (_folder, path) = place();
    let db = Database::create(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    for table in TableId::ALL {
        transaction.open_table(definition(table)).unwrap();
    }
    transaction.commit().unwrap();
    drop(db);
    refused(&path, "{} is a redb file, but no store: its table `meta` has no row \"format\"");

    let db = Database::create(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.delete_table(definition(TableId::Meta)).unwrap();
    let numbers = TableDefinition::<u64, u64>::new("meta");
    transaction.open_table(numbers).unwrap();
    transaction.commit().unwrap();
    drop(db);
    refused(&path, "{} cannot be opened: the store's file is damaged: meta is of type");
}

/// Writes `row` behind the seam's back and closes the file.
fn with_meta_row(path: &Path, name: &'static str, row: Option<Vec<u8>>) {
    let disk = Disk::open(path, &OPTIONS).unwrap();
    let change = RowChange { table: TableId::Meta, key: RowKey::Name(name), value: row };
    disk.commit(&[change]).unwrap();
}

#[test]
fn a_newer_format_is_refused_by_both_numbers() {
    let (_folder, path) = place();
    let format = FormatRecordV1 { version: 5, store_id: [1; 16], created_wall_ms: 0 };
    with_meta_row(&path, "format", Some(format.to_row(&RowKey::FORMAT)));
    let expected = "{} has format 5, where this version reads up to 4; use a newer version";
    let error = refused(&path, expected);
    let numbers = (5, 4);
    assert!(
        matches!(error, OpenError::NewerFormat { found, supported, .. } if (found, supported) == numbers)
    );
}

#[test]
fn a_meta_row_that_is_damaged_or_missing_is_refused_and_never_a_default() {
    let none = encode(TableId::Meta, b"token", &0_u64);
    let journalled =
        FormatRecordV1 { version: JOURNALLED_FORMAT, store_id: [1; 16], created_wall_ms: 0 };
    let journalled = journalled.to_row(&RowKey::FORMAT);
    for (name, row, expected) in [
        (
            "token",
            Some(vec![0; 12]),
            "{} cannot be opened: the store's file is damaged: row \"token\" of table meta is damaged: its checksum is ",
        ),
        (
            "token",
            Some(none),
            "its reserved_below is 0, where 1 to 9223372036854775807 was expected",
        ),
        (
            "token",
            None,
            "{} cannot be opened: the store's file is damaged: table meta has no row \"token\"",
        ),
        ("wall", Some(vec![1]), "row \"wall\" of table meta is damaged: it has 1 bytes"),
        ("wall", None, "table meta has no row \"wall\"; restore a backup"),
        ("format", Some(journalled), "table meta has no row \"journal\"; restore a backup"),
        ("format", Some(vec![]), "row \"format\" of table meta is damaged"),
    ] {
        let (_folder, path) = place();
        with_meta_row(&path, name, row);
        refused(&path, expected);
    }
}

#[test]
fn a_second_open_is_told_who_has_the_store() {
    let (folder, path) = place();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    let pid = std::process::id();
    let expected = format!("{{}} is open in this process ({pid}); a store can be open only once");
    let error = refused(&path, &expected);
    assert!(matches!(error, OpenError::Locked { pid: Some(found), .. } if found == pid), "{error}");
    // By another name it is the same file.
    let other = folder.path().join("other");
    fs::hard_link(&path, &other).unwrap();
    refused(&other, &expected);
    drop(disk);
    Disk::open(&other, &OPTIONS).unwrap();
}

#[test]
fn a_store_that_was_forgotten_is_neither_written_nor_unlocked() {
    let (_folder, path) = place();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    fill(&disk, 1..=3);
    let before = fs::read(&path).unwrap();
    disk.forget();
    assert!(before == fs::read(&path).unwrap());
    refused(&path, "{} is open in this process");
}

#[test]
fn of_many_who_make_a_store_at_once_all_get_the_same() {
    for _ in 0..10 {
        let (folder, path) = place();
        let barrier = std::sync::Barrier::new(8);
        let open = |number: u8| {
            let birth = Birth { store_id: [number; 16], wall_ms: 0 };
            let options = DiskOptions { create: Some(birth), ..OPTIONS };
            barrier.wait();
            loop {
                match Disk::open(&path, &options) {
                    Ok(disk) => return disk.snapshot().unwrap().meta().unwrap().format.store_id,
                    Err(OpenError::Locked { .. }) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let stores: Vec<_> = std::thread::scope(|scope| {
            let open = &open;
            let threads: Vec<_> = (1..=8).map(|number| scope.spawn(move || open(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(stores.iter().all(|store| *store == stores[0]), "{stores:?}");
        assert_eq!(names(folder.path()), ["test.lockstore"]);
    }
}

/// A file that another process makes longer before it can be locked.
#[derive(Debug)]
struct LongerOnceLocked {
    bytes: Mutex<Vec<u8>>,
    longer: Vec<u8>,
}

impl StorageBackend for LongerOnceLocked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let bytes = self.bytes.lock().unwrap();
        let read = bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.bytes.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        let mut bytes = self.bytes.lock().unwrap();
        if bytes.len() < self.longer.len() {
            bytes.clone_from(&self.longer);
        }
        Ok(true)
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}

#[test]
fn a_file_that_grew_before_it_was_locked_is_not_taken_for_a_damaged_one() {
    let (_folder, path) = place();
    Disk::open(&path, &OPTIONS).unwrap().close().unwrap();
    let short = fs::read(&path).unwrap();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    disk.commit(&(1..=20_000).map(put).collect::<Vec<_>>()).unwrap();
    disk.close().unwrap();
    let longer = fs::read(&path).unwrap();
    assert!(short.len() < longer.len(), "{} and {}", short.len(), longer.len());
    let disk = LongerOnceLocked { bytes: Mutex::new(short), longer };
    let disk = Disk::open_backend(disk, None, &ONLY_EXISTING).unwrap();
    assert_eq!(disk.stats().unwrap().grants, 20_000);
}
