//! Files that are no store, or a damaged one: `Store::open` names what is wrong, and every byte stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lockstore::{DiskError, OpenError, Store, StoreOptions};
use redb::{Database, ReadableTable, TableDefinition};
use tempfile::TempDir;

type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;
const GRANTS: Rows = TableDefinition::new("grants");
const META: Rows = TableDefinition::new("meta");
const AUDIT: Rows = TableDefinition::new("audit");

/// A store with three grants and a break, closed.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let store = Store::open(&path).unwrap();
    for key in ["a", "b", "c"] {
        store.lock(key).holder("me").acquire().unwrap().leak();
    }
    let token = store.lock("broken").acquire().unwrap().leak().token;
    store.break_lock("broken", token, "to have a record").unwrap();
    store.close().unwrap();
    (folder, path)
}

/// The store is refused with an error of this sentence, and its file is what it was.
#[track_caller]
fn refused(path: &Path, expected: &[&str]) -> OpenError {
    let before = fs::read(path).ok();
    for verify in [false, true] {
        let error = match StoreOptions::new().verify_on_open(verify).open(path) {
            Ok(store) => panic!("it opened: {store:?}"),
            Err(error) => error,
        };
        let sentence = error.to_string();
        assert!(sentence.starts_with(&path.display().to_string()), "{sentence}");
        for part in expected {
            assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
        }
        // Not assert_eq, which would print them.
        assert!(fs::read(path).ok() == before, "the file has changed (verify: {verify})");
    }
    Store::open(path).unwrap_err()
}

/// Changes a closed store behind its back, with sound pages.
fn tamper(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let db = Database::open(path).unwrap();
    let transaction = db.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

/// The row with the lowest key.
fn first_row(transaction: &redb::WriteTransaction, table: Rows) -> (Vec<u8>, Vec<u8>) {
    let rows = transaction.open_table(table).unwrap();
    let (key, value) = rows.first().unwrap().expect("there is a row");
    (key.value().to_vec(), value.value().to_vec())
}

#[test]
fn a_folder_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(folder.path(), &["is a folder, where a file was expected"]);
    assert!(matches!(error, OpenError::NotAFile { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_file_of_another_kind_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    for (content, expected) in [
        (
            "SQLite format 3\0 and more than a page of it",
            "is no store: it begins with \"SQLite fo\"",
        ),
        ("x", "is no store: it begins with \"x\""),
        ("", "is empty, which a store never is"),
    ] {
        let path = folder.path().join("other");
        fs::write(&path, content).unwrap();
        refused(&path, &[expected]);
    }
}

#[test]
fn a_truncated_store_is_refused() {
    let (_folder, path) = place();
    let whole = fs::read(&path).unwrap();
    for len in [1, 8, 9, 300, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        let error = refused(&path, &[]);
        assert!(
            matches!(error, OpenError::Disk { source: DiskError::Corrupted { .. }, .. }),
            "{len} of {} bytes: {error:?}",
            whole.len()
        );
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(Store::open(&path).unwrap().list("", None, 10).unwrap().len(), 3);
}

/// Wherever a page is damaged, the store is refused as it is, or opens with all that was in it.
#[test]
fn a_store_with_damaged_pages_is_refused_or_right() {
    let (_folder, path) = place();
    let whole = fs::read(&path).unwrap();
    let mut refusals = 0;
    for at in (0..whole.len()).step_by(1_013) {
        let mut bytes = whole.clone();
        let end = bytes.len().min(at + 64);
        bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&path, &bytes).unwrap();
        match Store::open(&path) {
            Ok(store) => {
                let keys: Vec<_> = store.list("", None, 10).unwrap();
                assert!(keys.iter().map(|lock| &*lock.key).eq(["a", "b", "c"]), "at {at}");
                assert_eq!(store.audit(None, 10).unwrap().len(), 1, "at {at}");
            }
            Err(error) => {
                refusals += 1;
                assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
                assert!(fs::read(&path).unwrap() == bytes, "damaged at {at}: the file has changed");
            }
        }
    }
    assert!(refusals > 0);
}

#[test]
fn a_damaged_record_is_named() {
    #[track_caller]
    fn check(table: Rows, change: fn(&mut Vec<u8>), expected: &[&str]) {
        let (_folder, path) = place();
        tamper(&path, |transaction| {
            let (key, mut value) = first_row(transaction, table);
            change(&mut value);
            let mut rows = transaction.open_table(table).unwrap();
            rows.insert(&*key, &*value).unwrap();
        });
        let error = refused(&path, expected);
        assert!(matches!(error, OpenError::Disk { source: DiskError::Record(_), .. }), "{error:?}");
    }
    check(GRANTS, |value| value[10] ^= 1, &["row 1 of table grants is damaged", "its checksum is"]);
    check(GRANTS, Vec::clear, &["row 1 of table grants", "at least 4 were expected"]);
    check(GRANTS, |value| value.resize(5_000, 0), &["row 1 of table grants", "at most 4096"]);
    check(META, |value| value[0] ^= 1, &["row \"format\" of table meta is damaged"]);
}

/// "A record that cannot be read becomes the default, and the token starts again at 0": corruption is an
/// error.
#[test]
fn a_token_row_that_cannot_be_read_is_an_error() {
    let (_folder, path) = place();
    tamper(&path, |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(&b"token"[..], &[0_u8; 12][..]).unwrap();
    });
    refused(&path, &["row \"token\" of table meta is damaged", "checksum"]);
    tamper(&path, |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.remove(&b"token"[..]).unwrap();
    });
    let error = refused(&path, &["table meta has no row \"token\""]);
    assert!(matches!(error, OpenError::Disk { source: DiskError::MissingRow { .. }, .. }));
}

/// Records that are sound each by itself, and cannot be true together.
#[test]
fn records_that_contradict_each_other_are_damage() {
    // A token beyond those that were ever reserved: the counter is older than the grants.
    let (folder, path) = place();
    let older = folder.path().join("older.redb");
    drop(Store::open(&older).unwrap());
    let mut token = None;
    tamper(&older, |transaction| {
        let meta = transaction.open_table(META).unwrap();
        token = meta.get(&b"token"[..]).unwrap().map(|value| value.value().to_vec());
    });
    tamper(&path, |transaction| {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(&b"token"[..], &*token.unwrap()).unwrap();
    });
    refused(&path, &["row 1 of table grants", "its token is 1", "how far tokens are reserved"]);

    // A row under the key of another.
    let (_folder, path) = place();
    tamper(&path, |transaction| {
        let (_, value) = first_row(transaction, GRANTS);
        let mut rows = transaction.open_table(GRANTS).unwrap();
        rows.insert(&2_u64.to_be_bytes()[..], &*value).unwrap();
    });
    refused(&path, &["row 2 of table grants is damaged", "checksum"]);

    // Two exclusive grants of one lock.
    let (folder, path) = place();
    let rival = folder.path().join("rival.redb");
    let store = Store::open(&rival).unwrap();
    store.lock("x").acquire().unwrap().leak();
    store.lock("b").holder("rival").acquire().unwrap().leak();
    store.lock("a").holder("rival").acquire().unwrap().leak();
    store.close().unwrap();
    let mut row = Vec::new();
    tamper(&rival, |transaction| {
        let rows = transaction.open_table(GRANTS).unwrap();
        row = rows.get(&3_u64.to_be_bytes()[..]).unwrap().unwrap().value().to_vec();
    });
    tamper(&path, |transaction| {
        let mut rows = transaction.open_table(GRANTS).unwrap();
        rows.insert(&3_u64.to_be_bytes()[..], &*row).unwrap();
    });
    refused(&path, &["row 3 of table grants", "excludes another one that is held"]);
}

#[test]
fn a_damaged_audit_record_is_told_by_who_reads_it() {
    let (_folder, path) = place();
    tamper(&path, |transaction| {
        let (key, mut value) = first_row(transaction, AUDIT);
        value[3] ^= 1;
        let mut rows = transaction.open_table(AUDIT).unwrap();
        rows.insert(&*key, &*value).unwrap();
    });
    let store = Store::open(&path).unwrap();
    let error = store.audit(None, 10).unwrap_err().to_string();
    assert!(error.contains("row 1 of table audit is damaged"), "{error}");
    let report = store.check().unwrap();
    assert!(report.problems[0].contains("row 1 of table audit is damaged"), "{report:?}");
    assert!(store.is_locked("a").unwrap(), "the locks are none the worse");
}

#[test]
fn a_redb_file_of_somebody_else_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.redb");
    let db = Database::create(&path).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction
        .open_table(TableDefinition::<u64, u64>::new("numbers"))
        .unwrap()
        .insert(1, 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(db);
    let error = refused(&path, &["is a redb file, but no store"]);
    assert!(matches!(error, OpenError::NotAStore { .. }));
}

#[test]
fn a_store_is_open_once() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let locked = Store::open(&path).unwrap_err();
    assert!(matches!(locked, OpenError::Locked { pid, .. } if pid == Some(std::process::id())));
    store.lock("d").acquire().unwrap().release().unwrap();
    drop(store);
    drop(Store::open(&path).unwrap());
}

/// Held by another process: it is named, and neither it nor the file notices.
#[test]
fn a_store_that_another_process_holds_is_refused_by_its_pid() {
    const PATH: &str = "LOCKSTORE_TEST_HOLD";
    if let Some(path) = std::env::var_os(PATH) {
        let store = Store::open(path).unwrap();
        println!("open");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        store.lock("d").holder("other").acquire().unwrap().leak();
        return;
    }
    let (_folder, path) = place();
    let name = "a_store_that_another_process_holds_is_refused_by_its_pid";
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(PATH, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(other.stdout.take().unwrap()));
    let mut lines = lines.map(Result::unwrap);
    assert!(lines.any(|line| line.contains("open")), "the other process has the store");
    let error = refused(&path, &["a store can be open only once at a time"]);
    assert!(matches!(error, OpenError::Locked { pid, .. } if pid == Some(other.id())), "{error:?}");
    drop(other.stdin.take());
    assert!(lines.count() > 0 && other.wait().unwrap().success());
    let store = Store::open(&path).unwrap();
    assert!(store.is_lock_holder("d", "other").unwrap());
}

#[test]
fn a_store_that_is_not_there_is_made_only_when_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.redb");
    let missing = StoreOptions::new().create(false).open(&path).unwrap_err();
    assert!(matches!(missing, OpenError::Missing { .. }));
    let nowhere = Store::open(folder.path().join("none/new.redb")).unwrap_err();
    assert!(matches!(nowhere, OpenError::MissingFolder { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    drop(Store::open(&path).unwrap());
    drop(StoreOptions::new().create(false).open(&path).unwrap());
}
