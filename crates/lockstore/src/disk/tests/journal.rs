//! The journal beside a store's file: what is in it is there again, and it never does harm.

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;
use crate::disk::journal::BesideStore;
use crate::records::{FORMAT_VERSION, FormatRecordV1, IdsRecordV1, JOURNALLED_FORMAT};

const JOURNALLED: DiskOptions = DiskOptions { journal: JournalUse::AfterCommits(0), ..OPTIONS };

const BLOCK: usize = 4096;

fn journal_of(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    journal.into()
}

/// Both files as a kill of the process leaves them now, in a folder of their own.
fn killed(path: &Path) -> (TempDir, PathBuf) {
    let (folder, copy) = place();
    fs::copy(path, &copy).unwrap();
    if journal_of(path).exists() {
        fs::copy(journal_of(path), journal_of(&copy)).unwrap();
    }
    (folder, copy)
}

/// A store with the grants 1 to 9: the first is in the file, and each other in a record of the journal.
fn journalled() -> (TempDir, PathBuf, Disk) {
    let (folder, path) = place();
    let disk = Disk::open(&path, &JOURNALLED).unwrap();
    (1..=9).for_each(|number| fill(&disk, number..=number));
    (folder, path, disk)
}

/// What [`journalled`] has left after a kill.
fn crashed() -> (TempDir, PathBuf) {
    let (_folder, path, disk) = journalled();
    let crashed = killed(&path);
    drop(disk);
    crashed
}

/// The file and its journal, byte for byte.
fn contents(path: &Path) -> [Option<Vec<u8>>; 2] {
    [fs::read(path).ok(), fs::read(journal_of(path)).ok()]
}

/// Opening is refused for the journal's sake, with both names, and leaves both files as they are.
#[track_caller]
fn refused(path: &Path) -> JournalError {
    let before = contents(path);
    let error = Disk::open(path, &OPTIONS).unwrap_err();
    assert!(before == contents(path), "something was changed: {error}");
    let text = error.to_string();
    for named in [path, &journal_of(path)] {
        assert!(text.contains(&named.display().to_string()), "{text}");
    }
    match error {
        OpenError::Journal { source, .. } => source,
        error => panic!("{error}"),
    }
}

#[test]
fn what_is_in_the_journal_is_there_again_after_a_kill() {
    let (_folder, path) = crashed();
    // Also for who uses none.
    let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
    assert_eq!(grants(&disk).unwrap(), (1..=9).collect::<Vec<_>>());
    assert!(!journal_of(&path).exists());
    disk.close().unwrap();
    assert_eq!(grants(&Disk::open(&path, &JOURNALLED).unwrap()).unwrap().len(), 9);
}

#[test]
fn a_recovery_that_was_killed_too_begins_again() {
    let (_folder, path) = crashed();
    let [_, journal] = contents(&path);
    drop(Disk::open(&path, &ONLY_EXISTING).unwrap());
    // The rows were in the file already, and the journal was not removed yet.
    fs::write(journal_of(&path), journal.unwrap()).unwrap();
    let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
    assert_eq!(grants(&disk).unwrap(), (1..=9).collect::<Vec<_>>());
    assert!(!journal_of(&path).exists());
}

#[test]
fn a_clean_close_leaves_one_file_that_older_versions_open() {
    let (folder, path, disk) = journalled();
    let mode = fs::metadata(journal_of(&path)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let snapshot = disk.snapshot().unwrap();
    assert_eq!(snapshot.format_on_disk().unwrap().version, JOURNALLED_FORMAT);
    assert_eq!(snapshot.meta().unwrap().format.version, FORMAT_VERSION);
    drop(snapshot);
    disk.close().unwrap();
    assert_eq!(names(folder.path()), ["test.lockstore"]);
    let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
    let snapshot = disk.snapshot().unwrap();
    assert_eq!(snapshot.format_on_disk().unwrap().version, FORMAT_VERSION);
    assert_eq!(snapshot.get(TableId::Meta, &RowKey::JOURNAL).unwrap(), None);
    drop(snapshot);
    // So does a drop.
    drop(disk);
    drop(journalled());
}

#[test]
fn a_store_that_is_open_for_a_few_commits_has_no_journal() {
    let (folder, path) = place();
    let options = DiskOptions { journal: JournalUse::AfterCommits(2), ..OPTIONS };
    let disk = Disk::open(&path, &options).unwrap();
    for (number, files) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        fill(&disk, number..=number);
        assert_eq!(names(folder.path()).len(), files, "after {number} commits");
    }
    let (_folder, path) = killed(&path);
    assert_eq!(grants(&Disk::open(&path, &options).unwrap()).unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_store_without_its_journal_is_refused() {
    let (_folder, path) = crashed();
    let [_, journal] = contents(&path);
    fs::remove_file(journal_of(&path)).unwrap();
    assert!(matches!(refused(&path), JournalError::Missing));
    fs::write(journal_of(&path), journal.unwrap()).unwrap();
    assert_eq!(grants(&Disk::open(&path, &OPTIONS).unwrap()).unwrap().len(), 9);

    // By another name it has none either.
    let (folder, path, disk) = journalled();
    disk.forget();
    let other = folder.path().join("other");
    let (_copies, copy) = killed(&path);
    fs::rename(copy, &other).unwrap();
    assert!(matches!(refused(&other), JournalError::Missing));
}

#[test]
fn a_journal_without_its_store_is_refused() {
    let (_folder, path) = crashed();
    fs::remove_file(&path).unwrap();
    assert!(matches!(refused(&path), JournalError::WithoutStore));
    fs::remove_file(journal_of(&path)).unwrap();
    Disk::open(&path, &OPTIONS).unwrap();
}

#[test]
fn a_journal_of_another_store_is_refused() {
    for closed in [true, false] {
        let (_folder, path) = crashed();
        if closed {
            drop(Disk::open(&path, &OPTIONS).unwrap());
        }
        let (_other_folder, other) = place();
        let birth = Birth { store_id: [8; 16], wall_ms: 0 };
        let disk = Disk::open(&other, &DiskOptions { create: Some(birth), ..JOURNALLED }).unwrap();
        fill(&disk, 1..=2);
        fs::copy(journal_of(&other), journal_of(&path)).unwrap();
        assert!(matches!(refused(&path), JournalError::OtherStore));
    }
}

#[test]
fn a_journal_of_another_time_is_not_replayed() {
    let (_folder, path) = crashed();
    let [_, older] = contents(&path);
    let disk = Disk::open(&path, &JOURNALLED).unwrap();
    fill(&disk, 10..=11);
    disk.commit(&[delete(1)]).unwrap();
    let (_killed, killed) = killed(&path);
    disk.close().unwrap();
    // The file has everything: nobody needs what lies there.
    fs::write(journal_of(&path), older.as_ref().unwrap()).unwrap();
    let expected: Vec<_> = (2..=11).collect();
    assert_eq!(grants(&Disk::open(&path, &OPTIONS).unwrap()).unwrap(), expected);
    assert!(!journal_of(&path).exists());
    // The file needs its own journal.
    fs::write(journal_of(&killed), older.unwrap()).unwrap();
    assert!(matches!(refused(&killed), JournalError::OtherJournal));
}

#[test]
fn what_is_no_journal_is_neither_read_nor_removed() {
    for closed in [true, false] {
        let (folder, path) = crashed();
        if closed {
            drop(Disk::open(&path, &OPTIONS).unwrap());
        }
        for content in [&b""[..], b"x", b"notes of mine", b"lockjrn\n"] {
            fs::write(journal_of(&path), content).unwrap();
            assert!(matches!(refused(&path), JournalError::NotAJournal { .. }));
        }
        fs::write(journal_of(&path), b"lockjrn\n\x02\0\0\0 and more").unwrap();
        let error = refused(&path);
        assert!(matches!(error, JournalError::NewerFormat { found: 2, supported: 1 }), "{error}");
        fs::remove_file(journal_of(&path)).unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "of somebody else").unwrap();
        symlink(&target, journal_of(&path)).unwrap();
        assert!(matches!(refused(&path), JournalError::Io(_)));
        assert_eq!(fs::read(&target).unwrap(), b"of somebody else");
        fs::remove_file(journal_of(&path)).unwrap();
        fs::create_dir(journal_of(&path)).unwrap();
        assert!(matches!(refused(&path), JournalError::Io(_)));
    }
}

#[test]
fn a_journal_that_cannot_be_made_is_done_without() {
    let (_folder, path) = place();
    let disk = Disk::open(&path, &JOURNALLED).unwrap();
    fs::create_dir(journal_of(&path)).unwrap();
    (1..=3).for_each(|number| fill(&disk, number..=number));
    let (_killed, killed) = killed_without_journal(&path);
    assert_eq!(grants(&Disk::open(&killed, &OPTIONS).unwrap()).unwrap(), [1, 2, 3]);
    disk.close().unwrap();
    assert!(journal_of(&path).is_dir());
}

fn killed_without_journal(path: &Path) -> (TempDir, PathBuf) {
    let (folder, copy) = place();
    fs::copy(path, &copy).unwrap();
    (folder, copy)
}

#[test]
fn a_journal_of_another_length_is_refused() {
    let (_folder, path) = crashed();
    let [_, journal] = contents(&path);
    let journal = journal.unwrap();
    let lengths = [100, BLOCK, BLOCK + 1, 4 * BLOCK, journal.len() - 1, journal.len() + 1];
    for bytes in lengths {
        let mut other = journal.clone();
        other.resize(bytes, 0);
        fs::write(journal_of(&path), other).unwrap();
        let error = refused(&path);
        assert!(matches!(error, JournalError::Damaged { .. }), "{bytes}: {error}");
    }
    fs::write(journal_of(&path), journal).unwrap();
    Disk::open(&path, &OPTIONS).unwrap();
}

/// Eight records in blocks of their own: one that is damaged is the end only if it is the last one.
#[test]
fn a_damaged_journal_is_refused_or_ends_before_its_last_commit() {
    let (_folder, path) = crashed();
    let [file, journal] = contents(&path);
    let journal = journal.unwrap();
    let header = (0..48).chain([100, BLOCK - 1]);
    let records =
        (1..=9).flat_map(|block| [0, 4, 8, 16, 24, 28, 60, 90, 2000].map(|at| block * BLOCK + at));
    for at in header.chain(records) {
        let mut damaged = journal.clone();
        damaged[at] ^= 0x04;
        fs::write(&path, file.as_ref().unwrap()).unwrap();
        fs::write(journal_of(&path), damaged).unwrap();
        let (block, within) = (at / BLOCK, at % BLOCK);
        let means_something = if block == 0 { within < 48 } else { within < 100 && block < 9 };
        if means_something && block < 8 {
            let error = refused(&path);
            let named = matches!(
                error,
                JournalError::Damaged { .. }
                    | JournalError::NotAJournal { .. }
                    | JournalError::NewerFormat { .. }
            );
            assert!(named, "byte {at}: {error}");
            continue;
        }
        let last = if means_something { 8 } else { 9 };
        let found = grants(&Disk::open(&path, &OPTIONS).unwrap()).unwrap();
        assert_eq!(found, (1..=last).collect::<Vec<_>>(), "byte {at}");
    }
}

#[test]
fn a_batch_that_was_torn_is_gone_as_a_whole() {
    let (_folder, path, disk) = journalled();
    disk.commit(&(100..200).map(put).collect::<Vec<_>>()).unwrap();
    let (_killed, path) = killed(&path);
    let [file, journal] = contents(&path);
    let journal = journal.unwrap();
    // It takes two blocks, behind the first and the eight of the single grants.
    for torn in [9 * BLOCK, 9 * BLOCK + 512, 10 * BLOCK, 10 * BLOCK + 3 * 512] {
        let mut torn_off = journal.clone();
        torn_off[torn..].fill(0);
        fs::write(&path, file.as_ref().unwrap()).unwrap();
        fs::write(journal_of(&path), torn_off).unwrap();
        let found = grants(&Disk::open(&path, &OPTIONS).unwrap()).unwrap();
        assert_eq!(found, (1..=9).collect::<Vec<_>>(), "torn at {torn}");
    }
}

#[test]
fn a_journal_begins_anew_when_it_is_full_and_ends_where_it_ends() {
    let (_folder, path) = place();
    let disk = Disk::open(&path, &JOURNALLED).unwrap();
    let bytes = || fs::metadata(journal_of(&path)).unwrap().len();
    fill(&disk, 1..=1);
    let at_first = bytes();
    // More than there are blocks; looked at around the checkpoint, and later.
    for number in 2..=4_500 {
        disk.commit(&[delete(number - 1), put(number)]).unwrap();
        if [2, 2_047, 2_048, 2_049, 2_050, 3_000, 4_500].contains(&number) {
            let (_killed, killed) = killed(&path);
            assert_eq!(grants(&Disk::open(&killed, &OPTIONS).unwrap()).unwrap(), [number]);
        }
    }
    assert_eq!(bytes(), at_first);
}

#[test]
fn large_batches_and_many_rows_are_checkpoints() {
    let (_folder, path, disk) = journalled();
    assert!(disk.has_to_checkpoint());
    fill(&disk, 10..=20_000);
    assert!(!disk.has_to_checkpoint());
    fill(&disk, 20_001..=20_001);
    assert!(disk.has_to_checkpoint());
    disk.checkpoint().unwrap();
    assert!(!disk.has_to_checkpoint());
    // 8192 rows in all.
    for batch in 0..9 {
        let first = 30_000 + batch * 1_000;
        fill(&disk, first..=first + 999);
        assert_eq!(disk.has_to_checkpoint(), batch != 8, "batch {batch}");
    }
    let (_killed, killed) = killed(&path);
    assert_eq!(grants(&Disk::open(&killed, &OPTIONS).unwrap()).unwrap().len(), 29_001);
}

#[test]
fn a_batch_that_changes_the_format_does_so_in_the_file() {
    let (_folder, path, disk) = journalled();
    let format = disk.snapshot().unwrap().format().unwrap();
    let as_row = |version| {
        let row = FormatRecordV1 { version, ..format }.to_row(&RowKey::FORMAT);
        RowChange::put(TableId::Meta, RowKey::FORMAT, row)
    };
    for version in 1..=FORMAT_VERSION {
        disk.commit(&[as_row(version), put(10 + u64::from(version))]).unwrap();
        assert!(!journal_of(&path).exists());
        assert_eq!(disk.snapshot().unwrap().format_on_disk().unwrap().version, version);
        fill(&disk, 20..=20);
        fill(&disk, 21..=21);
        assert!(journal_of(&path).exists());
        let (_killed, killed) = killed(&path);
        let disk = Disk::open(&killed, &OPTIONS).unwrap();
        assert_eq!(disk.snapshot().unwrap().meta().unwrap().format.version, version);
        assert!(grants(&disk).unwrap().ends_with(&[10 + u64::from(version), 20, 21]));
    }
}

#[test]
fn a_batch_that_raises_the_format_under_a_journal_makes_the_tables_and_loses_nothing() {
    let (_folder, path) = place();
    of_format_1(&path);
    let disk = Disk::open(&path, &JOURNALLED).unwrap();
    fill(&disk, 1..=1);
    fill(&disk, 2..=2);
    assert!(journal_of(&path).exists());
    let (_older_folder, older) = killed(&path);
    let mut format = disk.snapshot().unwrap().format().unwrap();
    assert_eq!(format.version, 1, "a journal changes nothing in what the rows are");
    format.version = FORMAT_VERSION;
    let ids = IdsRecordV1::default().to_row(&RowKey::IDS);
    disk.commit(&[
        put(3),
        RowChange::put(TableId::Meta, RowKey::FORMAT, format.to_row(&RowKey::FORMAT)),
        RowChange::put(TableId::Meta, RowKey::IDS, ids),
    ])
    .unwrap();
    assert!(!journal_of(&path).exists());
    let (_raised_folder, raised) = killed(&path);
    fill(&disk, 4..=4);
    fill(&disk, 5..=5);
    let (_newer_folder, newer) = killed(&path);
    for (path, version, last) in
        [(older, 1, 2), (raised, FORMAT_VERSION, 3), (newer, FORMAT_VERSION, 5)]
    {
        let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
        assert_eq!(grants(&disk).unwrap(), (1..=last).collect::<Vec<_>>());
        assert_eq!(disk.snapshot().unwrap().format_on_disk().unwrap().version, version);
        drop(disk);
        let db = redb::Database::open(&path).unwrap();
        let tables = db.begin_read().unwrap().list_tables().unwrap().count();
        let expected = TableId::ALL.into_iter().filter(|table| table.since() <= version).count();
        assert_eq!(tables, expected, "the tables of format {version}");
    }
}

/// A file as versions made it that knew no collections.
fn of_format_1(path: &Path) {
    let disk = Disk::open(path, &OPTIONS).unwrap();
    let format = FormatRecordV1 { version: 1, ..disk.snapshot().unwrap().format().unwrap() };
    disk.commit(&[
        RowChange::put(TableId::Meta, RowKey::FORMAT, format.to_row(&RowKey::FORMAT)),
        RowChange::delete(TableId::Meta, RowKey::IDS),
    ])
    .unwrap();
    disk.close().unwrap();
    let db = redb::Database::open(path).unwrap();
    let transaction = db.begin_write().unwrap();
    for table in TableId::ALL.into_iter().filter(|table| table.since() > 1) {
        assert!(transaction.delete_table(definition(table)).unwrap());
    }
    transaction.commit().unwrap();
}

#[test]
fn a_file_that_says_it_has_a_journal_and_not_which_is_damaged() {
    let (_folder, path) = crashed();
    let before = contents(&path);
    let db = redb::Database::open(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    let mut meta = transaction.open_table(definition(TableId::Meta)).unwrap();
    assert!(meta.remove(RowKey::JOURNAL.as_bytes()).unwrap().is_some());
    drop(meta);
    transaction.commit().unwrap();
    drop(db);
    let error = Disk::open(&path, &OPTIONS).unwrap_err().to_string();
    assert!(error.contains("table meta has no row \"journal\""), "{error}");
    assert_eq!(contents(&path)[1], before[1], "the journal is there still");
}

#[test]
fn a_backup_has_the_rows_of_the_journal_and_needs_none() {
    let (folder, _path, disk) = journalled();
    let copy = folder.path().join("copy");
    disk.backup(&copy).unwrap();
    let copied = Disk::open(&copy, &ONLY_EXISTING).unwrap();
    assert_eq!(grants(&copied).unwrap(), (1..=9).collect::<Vec<_>>());
    let format = copied.snapshot().unwrap().format_on_disk().unwrap();
    assert_eq!(format.version, FORMAT_VERSION);
    assert_eq!(copied.snapshot().unwrap().get(TableId::Meta, &RowKey::JOURNAL).unwrap(), None);
}

#[test]
fn compactions_and_checks_go_with_a_journal() {
    let (_folder, path, mut disk) = journalled();
    assert_eq!(disk.check_integrity().unwrap(), Integrity::Sound);
    fill(&disk, 10..=10);
    disk.compact().unwrap();
    fill(&disk, 11..=11);
    assert_eq!(disk.check_integrity().unwrap(), Integrity::Sound);
    fill(&disk, 12..=12);
    let (_killed, killed) = killed(&path);
    assert_eq!(
        grants(&Disk::open(&killed, &OPTIONS).unwrap()).unwrap(),
        (1..=12).collect::<Vec<_>>()
    );
    disk.close().unwrap();
    assert_eq!(
        grants(&Disk::open(&path, &OPTIONS).unwrap()).unwrap(),
        (1..=12).collect::<Vec<_>>()
    );
}

#[test]
fn a_journal_that_was_forgotten_stays() {
    let (_folder, path, disk) = journalled();
    let before = contents(&path);
    disk.forget();
    assert!(before == contents(&path));
    assert!(matches!(Disk::open(&path, &OPTIONS), Err(OpenError::Locked { .. })));
}

#[test]
fn a_store_that_is_damaged_is_refused_and_its_journal_stays() {
    let (_folder, path) = crashed();
    let mut file = fs::read(&path).unwrap();
    let pages = file.len() / BLOCK;
    (1..pages).for_each(|page| file[page * BLOCK + 10] ^= 0xff);
    fs::write(&path, file).unwrap();
    let before = contents(&path);
    let error = Disk::open(&path, &OPTIONS).unwrap_err();
    assert!(matches!(error, OpenError::Disk { .. }), "{error}");
    assert!(before == contents(&path));
}

/// A journal beside its store whose syncs panic on command, when they are done.
#[derive(Debug)]
struct Panics<J> {
    journal: J,
    now: Arc<AtomicBool>,
}

impl JournalStorage for Panics<BesideStore> {
    fn path(&self) -> PathBuf {
        self.journal.path()
    }

    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        self.journal.open()
    }

    fn make(&self, start: &[u8], bytes: u64) -> io::Result<Box<dyn StorageBackend>> {
        let journal = self.journal.make(start, bytes)?;
        Ok(Box::new(Panics { journal, now: Arc::clone(&self.now) }))
    }

    fn remove(&self) -> io::Result<()> {
        self.journal.remove()
    }
}

impl StorageBackend for Panics<Box<dyn StorageBackend>> {
    fn len(&self) -> io::Result<u64> {
        self.journal.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.journal.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.journal.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.journal.sync_data()?;
        assert!(!self.now.load(Ordering::SeqCst), "the journal panics");
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.journal.write(offset, data)
    }
}

#[test]
fn a_commit_that_panicked_has_failed_and_its_journal_stays_as_it_is() {
    let (_folder, path) = place();
    let now = Arc::new(AtomicBool::new(false));
    let journal = Panics { journal: BesideStore::new(&path), now: Arc::clone(&now) };
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let backend = FileBackend::new(file).unwrap();
    let disk = Disk::open_backend(backend, Some(Box::new(journal)), &JOURNALLED).unwrap();
    (1..=9).for_each(|number| fill(&disk, number..=number));
    now.store(true, Ordering::SeqCst);
    catch_unwind(AssertUnwindSafe(|| disk.commit(&[put(10)]))).unwrap_err();
    now.store(false, Ordering::SeqCst);
    let [_, journal] = contents(&path);
    let refused = disk.commit(&[put(11)]).unwrap_err();
    assert!(matches!(refused, DiskError::Stopped { .. }), "{refused}");
    drop(disk);
    assert!(journal == contents(&path)[1], "something was written after it");
    // Nobody was told of the last one, which had come to the journal.
    let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
    assert_eq!(grants(&disk).unwrap(), (1..=10).collect::<Vec<_>>());
}
