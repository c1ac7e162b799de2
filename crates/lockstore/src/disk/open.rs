//! Opening and making stores. What turns out not to be one is left as it is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, TableHandle};

use super::commit::Journaling;
use super::gate::Gate;
use super::guard::{guarded, guarded_drop};
use super::journal::BesideStore;
use super::own_pages;
use super::owner::{pid_of_locker, program_of};
use super::proofs::Proofs;
use super::recover;
use super::staging::{Staged, folder_of, sync_folder_of};
use super::{
    Birth, Disk, DiskError, DiskOptions, JournalError, JournalStorage, Meta, OpenError, Snapshot,
    VERIFIED_BYTES_MAX, definition,
};
use crate::records::{
    FORMAT_VERSION, FormatRecordV1, IdsRecordV1, JOURNALLED_FORMAT, Record, TokenRecordV1,
    WallRecordV1,
};
use crate::rows::{RowKey, TableId};

/// Opens the store at `path`; makes it first when it is missing and may be made.
pub(super) fn at_path(path: &Path, options: &DiskOptions) -> Result<Disk, OpenError> {
    let path = resolve(path)?;
    let journal = BesideStore::new(&path);
    let mut verify = Verify::AsAsked;
    for _ in 0..ATTEMPTS_MAX {
        match (open_file(&path), &options.create) {
            (Err(OpenError::Missing { .. }), Some(birth)) => {
                check_no_orphan(&path, &journal)?;
                make(&path, birth)?;
                verify = Verify::No;
            }
            (opened, _) => return existing(&path, opened?, Box::new(journal), options, verify),
        }
    }
    // Others made it and removed it each time.
    Err(OpenError::Missing { path })
}

/// Opens the store in `backend`; makes it first when there is none.
pub(super) fn in_backend(
    backend: Box<dyn StorageBackend>,
    journal: Option<Box<dyn JournalStorage>>,
    options: &DiskOptions,
    verify: Verify,
) -> Result<Disk, OpenError> {
    let path = Path::new(BACKEND);
    let failed = |error| read_error(path, error);
    let gate = Gate::new(backend).map_err(failed)?;
    match &options.create {
        None if gate.bytes() == 0 => return Err(OpenError::Missing { path: path.into() }),
        Some(_) if is_unfinished(&gate).map_err(failed)? => gate.set_len(0).map_err(failed)?,
        _ => check_start(path, &gate)?,
    }
    let db = database(path, &gate, options, verify, || None)?;
    if let Some(birth) = &options.create
        && let Ok(true) = has_no_tables(&db)
    {
        initialise(&db, birth).map_err(|source| disk_error(path, source))?;
        gate.open().map_err(|error| io_error(path, "write", error))?;
    }
    admit(path, db, gate, journal, options)
}

/// The file that `path` stands for: symbolic links are followed, also to a file that is yet to be made.
fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Some(name) = path.file_name() else {
            break;
        };
        let folder = folder_of(&path);
        let target = match fs::canonicalize(folder) {
            Ok(folder) => folder.join(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder.to_owned();
                return Err(OpenError::MissingFolder { path, folder });
            }
            Err(error) => return Err(io_error(&path, "find", error)),
        };
        match fs::read_link(&target) {
            Ok(link) => path = folder_of(&target).join(link),
            Err(_) => return Ok(target),
        }
    }
    fs::canonicalize(&path).map_err(|error| io_error(&path, "find", error))
}

fn open_file(path: &Path) -> Result<File, OpenError> {
    // Asked before it is opened: to open a pipe or a device can have effects.
    let metadata = fs::metadata(path).map_err(|error| io_error(path, "find", error))?;
    let kind = metadata.file_type();
    if !kind.is_file() {
        let found = match kind {
            kind if kind.is_dir() => "a folder",
            kind if kind.is_fifo() => "a pipe",
            kind if kind.is_socket() => "a socket",
            _ => "a device",
        };
        let path = path.to_owned();
        return Err(OpenError::NotAFile { path, found });
    }
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| io_error(path, "open", error))
}

/// Makes a new store at `path`, or leaves the one that somebody else made there first.
fn make(path: &Path, birth: &Birth) -> Result<(), OpenError> {
    let failed = |error| match io_error(path, "make", error) {
        // The folder was there a moment ago.
        OpenError::Missing { path } => {
            OpenError::MissingFolder { folder: folder_of(&path).to_owned(), path }
        }
        error => error,
    };
    let staged = Staged::new(path).map_err(failed)?;
    let backend = staged.backend().map_err(failed)?;
    let built = guarded("make", || builder(BIRTH_CACHE_BYTES).create_with_backend(backend))
        .and_then(|db| {
            initialise(&db, birth)?;
            guarded("make", || db.close())
        });
    built.map_err(|source| disk_error(path, source))?;
    match staged.publish() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        published => published.map_err(failed),
    }
}

/// Refuses to make a store where the journal of one is that is not there: it may come back.
fn check_no_orphan(path: &Path, journal: &dyn JournalStorage) -> Result<(), OpenError> {
    let failed = |source| journal_error(path, journal, source);
    // A store may have been made meanwhile, and then its journal.
    if journal.open().map_err(|error| failed(error.into()))?.is_some() && !path.exists() {
        return Err(failed(JournalError::WithoutStore));
    }
    Ok(())
}

/// The rows of a new store. Every table is made, so that none is ever missing.
fn initialise(db: &Database, birth: &Birth) -> Result<(), DiskError> {
    let rows = [
        (
            RowKey::FORMAT,
            FormatRecordV1 {
                version: FORMAT_VERSION,
                store_id: birth.store_id,
                created_wall_ms: birth.wall_ms,
            }
            .to_row(&RowKey::FORMAT),
        ),
        (RowKey::TOKEN, TokenRecordV1 { reserved_below: 1 }.to_row(&RowKey::TOKEN)),
        (RowKey::WALL, WallRecordV1 { mark_ms: birth.wall_ms }.to_row(&RowKey::WALL)),
        (RowKey::IDS, IdsRecordV1::default().to_row(&RowKey::IDS)),
    ];
    guarded("make", || -> Result<(), redb::Error> {
        let transaction = db.begin_write()?;
        for table in TableId::ALL {
            transaction.open_table(definition(table))?;
        }
        {
            let mut meta = transaction.open_table(definition(TableId::Meta))?;
            for (key, value) in &rows {
                meta.insert(key.as_bytes(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    })
}

/// Opens a file that exists.
fn existing(
    path: &Path,
    file: File,
    journal: Box<dyn JournalStorage>,
    options: &DiskOptions,
    verify: Verify,
) -> Result<Disk, OpenError> {
    let failed = |error| read_error(path, error);
    let owner = file.try_clone().map_err(failed)?;
    let backend = FileBackend::new(file).map_err(|error| open_error(path, error, || None))?;
    let gate = Gate::new(Box::new(backend)).map_err(failed)?;
    if gate.bytes() == 0 {
        return Err(OpenError::Empty { path: path.into() });
    }
    check_start(path, &gate)?;
    // Whoever made the file may have been killed before its name was durable.
    sync_folder_of(path).map_err(|error| io_error(path, "sync", error))?;
    let db = database(path, &gate, options, verify, || pid_of_locker(&owner))?;
    admit(path, db, gate, Some(journal), options)
}

/// Whether redb reads and checks every page before it trusts the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verify {
    /// As the options say, and always when the file is small.
    AsAsked,
    /// Never: the file was made a moment ago.
    No,
}

/// Has redb open what is behind `gate`, without changing it yet.
fn database(
    path: &Path,
    gate: &Gate,
    options: &DiskOptions,
    verify: Verify,
    pid: impl FnOnce() -> Option<u32>,
) -> Result<Database, OpenError> {
    let mut builder = builder(options.cache_bytes);
    let all_pages = match verify {
        Verify::AsAsked => options.verify || gate.bytes() <= VERIFIED_BYTES_MAX,
        Verify::No => false,
    };
    builder.set_check_integrity_on_open(all_pages);
    let opened = guarded("open", || {
        // redb's own errors are told apart below; only its panics are dealt with here.
        Ok::<_, redb::Error>(builder.create_with_backend(gate.clone()))
    });
    let opened = opened.map_err(|source| disk_error(path, source))?;
    let db = opened.map_err(|error| open_error(path, error, pid))?;
    if !all_pages && let Err(source) = own_pages::verify(gate) {
        abandon(db);
        return Err(disk_error(path, source));
    }
    Ok(db)
}

/// Closes a file without the commit with which redb closes one: it would use the pages that are damaged.
fn abandon(db: Database) {
    // redb leaves a file as it is in which a transaction ended by unwinding. This unwinds without a panic and its report.
    let unwound = guarded("close", || -> Result<(), redb::Error> {
        let _transaction = db.begin_write()?;
        resume_unwind(Box::new("the file is left as it is"))
    });
    drop(unwound);
    guarded_drop(db);
}

/// Makes a disk of what is known to be a store. Its gate is opened by the first change, which is that of its journal if
/// there is one.
fn admit(
    path: &Path,
    db: Database,
    gate: Gate,
    journal: Option<Box<dyn JournalStorage>>,
    options: &DiskOptions,
) -> Result<Disk, OpenError> {
    if let Err(error) = check_store(path, &db) {
        guarded_drop(db);
        return Err(error);
    }
    let proofs = Arc::new(Proofs::new(gate.clone()));
    let journaling = Mutex::new(Journaling::new(None, options));
    let mut disk = Disk { db: Some(db), gate, proofs, journaling, snapshots: Mutex::default() };
    recover::recover(path, &disk, journal.as_deref())?;
    disk.journaling = Mutex::new(Journaling::new(journal, options));
    Ok(disk)
}

fn check_store(path: &Path, db: &Database) -> Result<Meta, OpenError> {
    let failed = |source| disk_error(path, source);
    let tables = table_names(db).map_err(failed)?;
    // Of a format that cannot be read nothing but the first tables is expected: its row is looked at below.
    let mut format = TableId::Meta.since();
    // The version first: a newer format may have other tables, and other records in them.
    if tables.iter().any(|name| name == TableId::Meta.name()) {
        let snapshot = Snapshot::new(guarded("read", || db.begin_read()).map_err(failed)?);
        if let Ok(FormatRecordV1 { version, .. }) = snapshot.format_on_disk()
            && version > JOURNALLED_FORMAT
        {
            return Err(OpenError::NewerFormat {
                path: path.to_owned(),
                found: version,
                supported: JOURNALLED_FORMAT,
            });
        }
        if let Ok(FormatRecordV1 { version, .. }) = snapshot.format() {
            format = version;
        }
    }
    let mut expected = TableId::ALL.into_iter().filter(|table| table.since() <= format);
    let missing = expected.find(|table| !tables.iter().any(|name| name == table.name()));
    if let Some(missing) = missing {
        return Err(OpenError::NotAStore {
            path: path.to_owned(),
            what: format!("it has no table `{}`", missing.name()),
        });
    }
    let snapshot = Snapshot::new(guarded("read", || db.begin_read()).map_err(failed)?);
    snapshot.meta().map_err(|error| match error {
        DiskError::MissingRow { key, .. } if key == RowKey::FORMAT.to_string() => {
            OpenError::NotAStore {
                path: path.to_owned(),
                what: format!("its table `meta` has no row {key}"),
            }
        }
        error => failed(error),
    })
}

fn has_no_tables(db: &Database) -> Result<bool, DiskError> {
    Ok(table_names(db)?.is_empty())
}

fn table_names(db: &Database) -> Result<Vec<String>, DiskError> {
    guarded("read", || -> Result<_, redb::Error> {
        let transaction = db.begin_read()?;
        let tables = transaction.list_tables()?;
        Ok(tables.map(|table| table.name().to_owned()).collect())
    })
}

/// Whether a creation was cut short before redb marked the file as its own, which it does last: there is a
/// header without that mark, or part of it, and nothing else.
fn is_unfinished(gate: &Gate) -> io::Result<bool> {
    let bytes = gate.bytes();
    if bytes == 0 || bytes > UNFINISHED_BYTES_MAX {
        return Ok(false);
    }
    let mut content = vec![0; usize::try_from(bytes).expect("a few megabytes")];
    gate.read(0, &mut content)?;
    let (mark, rest) = content.split_at(content.len().min(REDB_MAGIC.len()));
    let behind_header = rest.get(REDB_HEADER_BYTES - REDB_MAGIC.len()..).unwrap_or(&[]);
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    Ok(is_zero(mark) && is_zero(behind_header))
}

/// Refuses what is no redb file, which needs no lock and no redb to see.
fn check_start(path: &Path, gate: &Gate) -> Result<(), OpenError> {
    let mut start =
        vec![0; REDB_MAGIC.len().min(usize::try_from(gate.bytes()).unwrap_or(usize::MAX))];
    gate.read(0, &mut start).map_err(|error| read_error(path, error))?;
    if REDB_MAGIC.starts_with(&start) {
        return Ok(());
    }
    Err(OpenError::NotRedb {
        path: path.to_owned(),
        found: String::from_utf8_lossy(&start).into_owned(),
        expected: String::from_utf8_lossy(REDB_MAGIC).into_owned(),
    })
}

/// redb as we use it: exclusive, which is its default, and with a cache of a known size.
pub(super) fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

fn open_error(path: &Path, error: DatabaseError, pid: impl FnOnce() -> Option<u32>) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            let pid = pid();
            OpenError::Locked { path: path.to_owned(), pid, program: pid.and_then(program_of) }
        }
        error => disk_error(path, DiskError::from_redb("open", error.into())),
    }
}

pub(super) fn journal_error(
    path: &Path,
    journal: &dyn JournalStorage,
    source: JournalError,
) -> OpenError {
    OpenError::Journal { path: path.to_owned(), journal: journal.path(), source }
}

pub(super) fn disk_error(path: &Path, source: DiskError) -> OpenError {
    OpenError::Disk { path: path.to_owned(), source }
}

/// What an error in reading the file's content is called.
fn read_error(path: &Path, source: io::Error) -> OpenError {
    disk_error(path, DiskError::from_redb("read", redb::Error::Io(source)))
}

/// What an error in dealing with the file as a whole is called.
fn io_error(path: &Path, doing: &'static str, source: io::Error) -> OpenError {
    use io::ErrorKind as K;
    let path = path.to_owned();
    match source.kind() {
        K::NotFound => OpenError::Missing { path },
        K::PermissionDenied | K::ReadOnlyFilesystem => OpenError::Denied { path, source },
        _ => OpenError::Disk { path, source: DiskError::Io { doing, source } },
    }
}

/// What stands for the path of a store that has none.
const BACKEND: &str = "(storage backend)";

/// The first bytes of every redb file.
const REDB_MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// What redb writes before it writes its mark: a header in the first page.
const REDB_HEADER_BYTES: usize = 320;

/// More than the length that redb gives a new file.
const UNFINISHED_BYTES_MAX: u64 = 8 << 20;

/// Enough for three rows.
const BIRTH_CACHE_BYTES: usize = 1 << 20;

/// How often a file is made that is gone again when it is opened.
const ATTEMPTS_MAX: usize = 3;

/// As many symbolic links as Linux itself follows.
const LINKS_MAX: usize = 40;
