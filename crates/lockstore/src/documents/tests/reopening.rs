//! Documents outlive the store that wrote them, and the file may be had alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::*;
use crate::disk::{Birth, Disk, DiskOptions, JournalUse};
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::presence::{Instance, Presence, Process};
use crate::records::{FormatRecordV1, Record};
use crate::rows::{RowChange, RowKey, TableId};

/// The files of the store as a kill leaves them now.
fn killed(folder: &TempDir, path: &Path) -> PathBuf {
    let killed = folder.path().join("killed");
    fs::copy(path, &killed).unwrap();
    let journal = path.with_file_name("test.lockstore-journal");
    if journal.exists() {
        fs::copy(journal, folder.path().join("killed-journal")).unwrap();
    }
    killed
}

#[test]
fn documents_and_indexes_are_there_after_a_close_and_after_a_kill() {
    let (folder, path) = place();
    let store = Store::open(&path).unwrap();
    let unique = rawdoc! { "unique": true };
    create_index(&store, rawdoc! { "a": 1 }, "a", &unique).unwrap();
    for id in 0..100 {
        insert(&store, rawdoc! { "_id": id, "a": [id] });
    }
    let expected = documents(&store);
    let killed = killed(&folder, &path);
    let copy = folder.path().join("copy");
    store.backup(&copy).unwrap();
    store.close().unwrap();
    for path in [path, killed, copy] {
        let store = Store::open(path).unwrap();
        assert_eq!(documents(&store), expected);
        let index = collection(&store).index("a").cloned().unwrap();
        assert!(index.is_ready() && index.is_unique());
        assert_eq!(index.multikey(), 1);
        try_insert(&store, rawdoc! { "_id": 100, "a": 5 }).unwrap_err();
        insert(&store, rawdoc! { "_id": 101, "a": 101 });
        let reading = store.engine().reading().unwrap();
        assert_eq!(reading.count(&collection(&store)).unwrap(), 101);
        drop(reading);
        check(&store);
        // Ids go on where they were.
        let other = create_index(&store, rawdoc! { "b": 1 }, "b", &rawdoc! {}).unwrap();
        assert!(other.id() > index.id());
    }
}

#[test]
fn a_build_that_was_cut_short_is_gone_at_the_next_opening() {
    let (folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, rawdoc! { "_id": 1, "a": 1 });
    let specs = vec![rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a" }];
    let definition = Definition::CreateIndexes { namespace: namespace(), create: None, specs };
    done(store.engine().define(definition));
    insert(&store, rawdoc! { "_id": 2, "a": 2 });
    assert_eq!(store.stats().unwrap().index_entries, 3);
    let killed = killed(&folder, &path);
    let store = Store::open(&killed).unwrap();
    assert_eq!(collection(&store).indexes().len(), 1);
    while store.engine().in_seat(|seat| seat.writer.documents().has_to_clear()) {
        thread::yield_now();
    }
    assert_eq!(store.stats().unwrap().index_entries, 2);
    check(&store);
}

/// A store as versions made it that knew no collections.
fn format_1(path: &std::path::Path) {
    of_format(1, path);
}

fn of_format(version: u32, path: &std::path::Path) {
    let birth = Birth { store_id: [7; 16], wall_ms: 5 };
    let options = DiskOptions {
        cache_bytes: 1 << 20,
        verify: true,
        create: Some(birth),
        journal: JournalUse::Never,
        journal_bytes: 0,
    };
    let disk = Disk::open(path, &options).unwrap();
    let format = FormatRecordV1 { version, store_id: [7; 16], created_wall_ms: 5 };
    let mut rows =
        vec![RowChange::put(TableId::Meta, RowKey::FORMAT, format.to_row(&RowKey::FORMAT))];
    if version < TableId::Collections.since() {
        rows.push(RowChange::delete(TableId::Meta, RowKey::IDS));
    }
    disk.commit(&rows).unwrap();
    disk.close().unwrap();
    let db = redb::Database::open(path).unwrap();
    let transaction = db.begin_write().unwrap();
    for table in TableId::ALL.into_iter().filter(|table| table.since() > version) {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new(table.name());
        assert!(transaction.delete_table(table).unwrap());
    }
    transaction.commit().unwrap();
}

fn version(path: &std::path::Path) -> u32 {
    let options = DiskOptions {
        cache_bytes: 1 << 20,
        verify: true,
        create: None,
        journal: JournalUse::Never,
        journal_bytes: 0,
    };
    Disk::open(path, &options).unwrap().snapshot().unwrap().format().unwrap().version
}

#[test]
fn a_file_of_format_1_gets_the_next_with_its_first_collection() {
    let (folder, path) = place();
    format_1(&path);
    let store = Store::open(&path).unwrap();
    store.lock("a").acquire().unwrap().leak();
    assert_eq!(documents(&store), []);
    assert_eq!(store.stats().unwrap().documents, 0);
    check(&store);
    store.backup(folder.path().join("copy")).unwrap();
    store.close().unwrap();
    assert_eq!(version(&path), 1);
    assert_eq!(version(&folder.path().join("copy")), 1);
    let store = Store::open(&path).unwrap();
    insert(&store, rawdoc! { "_id": 1 });
    check(&store);
    store.close().unwrap();
    assert_eq!(version(&path), 2);
    let store = Store::open(&path).unwrap();
    assert!(store.is_locked("a").unwrap());
    assert_eq!(documents(&store).len(), 1);
}

/// A store whose first commit makes a journal.
fn journalled(path: &Path) -> Store {
    StoreOptions::new().journal(JournalUse::AfterCommits(0)).open(path).unwrap()
}

#[test]
fn the_format_of_an_older_file_rises_while_it_has_a_journal_and_a_kill_loses_nothing() {
    for format in [1, 2, 3] {
        let (folder, path) = place();
        of_format(format, &path);
        let store = journalled(&path);
        for key in ["a", "b", "c"] {
            store.lock(key).acquire().unwrap().leak();
        }
        let before = killed(&folder, &path);
        assert_eq!(version(&before), format, "a journal is no reason to rise");
        store.database("test").create_collection("empty").unwrap();
        let lsid = rawdoc! { "startSession": 1 };
        let reply = store.database("admin").run_command(&lsid);
        assert!(reply.get_document("id").is_ok(), "{reply:?}");
        let process = Process::current().unwrap();
        store.open_session(Presence { instance: Instance([1; 16]), process }).unwrap();
        for id in 0..20 {
            insert(&store, rawdoc! { "_id": id });
        }
        let after = killed(&folder, &path);
        store.close().unwrap();
        for path in [path, after] {
            assert_eq!(version(&path), 3);
            let store = journalled(&path);
            assert!(["a", "b", "c"].iter().all(|key| store.is_locked(key).unwrap()));
            assert_eq!(documents(&store).len(), 20);
            assert_eq!(store.stats().unwrap().client_sessions, 1);
            assert_eq!(store.sessions().unwrap().len(), 1);
            check(&store);
        }
    }
}

#[test]
fn a_collection_without_documents_makes_a_whole_file_of_format_1() {
    let (_folder, path) = place();
    format_1(&path);
    let store = Store::open(&path).unwrap();
    store.database("test").create_collection("jobs").unwrap();
    store.close().unwrap();
    check(&Store::open(&path).unwrap());
}

#[test]
fn an_older_file_gets_the_next_format_with_its_first_session_of_another_process() {
    [1, 2].into_iter().for_each(first_session);
}

fn first_session(format: u32) {
    let (_folder, path) = place();
    of_format(format, &path);
    let store = Store::open(&path).unwrap();
    store.session().unwrap().end().unwrap();
    store.close().unwrap();
    assert_eq!(version(&path), format, "a session of this process has no row");
    let store = Store::open(&path).unwrap();
    let process = Process::current().unwrap();
    store.open_session(Presence { instance: Instance([1; 16]), process }).unwrap();
    assert!(store.check().unwrap().is_sound());
    store.close().unwrap();
    assert_eq!(version(&path), 3);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.sessions().unwrap().len(), 1);
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn a_file_gets_format_3_with_the_first_client_session() {
    let (_folder, path) = place();
    format_1(&path);
    let store = Store::open(&path).unwrap();
    store.database("test").create_collection("empty").unwrap();
    store.close().unwrap();
    assert_eq!(version(&path), 2);
    let start = |path| {
        let store = Store::open(path).unwrap();
        let reply = store.database("admin").run_command(&rawdoc! { "startSession": 1 });
        assert!(reply.get_document("id").is_ok(), "{reply:?}");
        check(&store);
        assert_eq!(store.stats().unwrap().client_sessions, 1);
        store.close().unwrap();
    };
    start(&path);
    assert_eq!(version(&path), 3);
    let (_folder, path) = place();
    format_1(&path);
    start(&path);
    assert_eq!(version(&path), 3);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.stats().unwrap().client_sessions, 1);
    insert(&store, rawdoc! { "_id": 1 });
    check(&store);
}

#[test]
fn compaction_lets_readers_finish_and_has_new_ones_wait() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    for id in 0..50 {
        insert(&store, rawdoc! { "_id": id, "text": "x".repeat(10_000) });
    }
    let reading = store.engine().reading().unwrap();
    thread::scope(|scope| {
        let compaction = scope.spawn(|| store.compact().unwrap());
        while store.engine().published.view().try_rows().is_some() {
            thread::yield_now();
        }
        // The writer goes on meanwhile.
        insert(&store, rawdoc! { "_id": 50 });
        assert!(!compaction.is_finished());
        let late = scope.spawn(|| documents(&store).len());
        let seen = reading.count(reading.catalog().collection("test.jobs").unwrap()).unwrap();
        assert_eq!(seen, 50);
        drop(reading);
        compaction.join().unwrap();
        assert_eq!(late.join().unwrap(), 51);
    });
    check(&store);
}

#[test]
fn a_store_closes_while_it_is_read() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, rawdoc! { "_id": 1 });
    let reading = store.engine().reading().unwrap();
    let jobs = collection(&store).id();
    let engine = store.clone();
    store.close().unwrap();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let read = reading.documents(jobs, all, Direction::Forward);
    let read = read.and_then(|mut documents| documents.try_for_each(|read| read.map(drop)));
    if let Err(error) = read {
        assert!(matches!(engine.engine().read_failed(error), StoreError::Closed));
    }
    assert!(matches!(engine.engine().reading(), Err(StoreError::Closed)));
    let again = Store::open(&path).unwrap();
    assert_eq!(documents(&again).len(), 1);
    drop(reading);
}
