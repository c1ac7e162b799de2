//! Looking after a store: backups, compaction, and the check of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lockstore::ReadError;
use lockstore::{BackupError, LockGuard, MaintenanceError, Store, StoreError, StoreOptions};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{on_all_files, on_all_machines};
use lockstore_tests::machine::{Machine, secs};

#[test]
fn a_backup_is_the_store_as_it_was() {
    on_all_files(|deployment| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.redb");
        let store = deployment.open(&path, StoreOptions::new().restart_grace(secs(0)));
        for i in 0..20 {
            let request = store.lock("shared").shared();
            request.holder(&format!("{i}")).ttl(secs(3_600)).acquire().unwrap().leak();
        }
        let token = store.lock("k").holder("me").acquire().unwrap().leak().token;
        let broken = store.lock("broken").acquire().unwrap().leak();
        store.break_lock("broken", broken.token, "to have one").unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let churn = {
            let (store, over) = (store.clone(), over.clone());
            Call::start(move || {
                while !over.load(Ordering::Relaxed) {
                    store.lock("churn").acquire().unwrap().release().unwrap();
                }
            })
        };
        let copies: Vec<_> = (0..5).map(|i| folder.path().join(format!("copy {i}.redb"))).collect();
        for copy in &copies {
            store.backup(copy).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        churn.outcome();
        for copy in &copies {
            let copy = StoreOptions::new().restart_grace(secs(0)).open(copy).unwrap();
            let (mut theirs, mut ours) =
                (copy.list("", None, 100).unwrap(), store.list("", None, 100).unwrap());
            for lock in theirs.iter_mut().chain(&mut ours) {
                // What is left of the leases goes by, from one look to the next.
                lock.holders.iter_mut().for_each(|holder| holder.remaining = None);
            }
            theirs.retain(|lock| &*lock.key != "churn");
            assert_eq!(theirs, ours);
            assert_eq!(copy.audit(None, 10).unwrap(), store.audit(None, 10).unwrap());
            assert!(copy.check().unwrap().is_sound());
            assert!(copy.lock("new").acquire().unwrap().token() > token);
        }
    });
}

#[test]
fn a_backup_overwrites_nothing() {
    on_all_files(|deployment| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.redb");
        let store = deployment.open(&path, StoreOptions::new());
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        for existing in [&precious, &path] {
            let refused = store.backup(existing).unwrap_err();
            assert!(
                matches!(&refused, MaintenanceError::Backup(BackupError::Exists { .. })),
                "{refused:?}"
            );
        }
        assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
        let nowhere = store.backup(folder.path().join("none/copy")).unwrap_err();
        assert!(matches!(nowhere, MaintenanceError::Backup(BackupError::MissingFolder { .. })));
        store.lock("k").acquire().unwrap().release().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    });
}

#[test]
fn compaction_under_load_loses_nothing_and_gives_back() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let many: Vec<_> = (0..3_000)
            .map(|i| {
                lockstore_tests::task::Task::new(
                    store.lock(&format!("{i} {}", "x".repeat(500))).acquire_async(),
                )
            })
            .collect();
        let many: Vec<LockGuard> = many.into_iter().map(|task| task.outcome().unwrap()).collect();
        let over = Arc::new(AtomicBool::new(false));
        let calls: Vec<_> = (0..3)
            .map(|i| {
                let (store, over) = (store.clone(), over.clone());
                Call::start(move || {
                    let mut last = None;
                    while !over.load(Ordering::Relaxed) {
                        let guard = store.lock(&format!("load {i}")).acquire().unwrap();
                        assert!(Some(guard.token()) > last);
                        last = Some(guard.token());
                        store.audit(None, 3).unwrap();
                        guard.release().unwrap();
                    }
                })
            })
            .collect();
        let grown = store.stats().unwrap().file_bytes;
        drop(many);
        for _ in 0..5 {
            match store.compact() {
                Ok(_) | Err(StoreError::Disk(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        calls.into_iter().for_each(Call::outcome);
        store.lock("kept").holder("me").acquire().unwrap().leak();
        while store.compact().unwrap() {}
        let shrunk = store.stats().unwrap().file_bytes;
        assert!(shrunk < grown, "{shrunk} bytes after {grown}");
        assert!(store.check().unwrap().is_sound());
        drop(store);
        let store = machine.open();
        assert!(store.is_lock_holder("kept", "me").unwrap());
        assert_eq!(store.stats().unwrap().locks, 1);
    });
}

#[test]
fn a_check_of_a_sound_store_finds_nothing() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let session = store.session().unwrap();
        for i in 0..50 {
            let key = format!("{}", i % 30);
            let request = store.lock(&key).shared();
            let request = if i % 2 == 0 { request.ttl(secs(60)) } else { request };
            let request = if i % 3 == 0 { request.session(&session) } else { request };
            request.acquire().unwrap().leak();
        }
        let holder = store.lock("waited for").acquire().unwrap();
        let _waits = lockstore_tests::task::Task::pending(store.lock("waited for").acquire_async());
        let report = store.check().unwrap();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.grants, 51);
        let again = store.check().unwrap();
        assert_eq!(report, again);
        holder.release().unwrap();
    });
}

/// Damage that is planted under a live store is found and stops it: what it had shown is not what is on disk
/// any more.
#[test]
fn a_check_finds_planted_damage_and_stops_the_store() {
    let key = "a key that is easy to find in the file";
    // In the page that the last commit wrote, or in one that older commits share.
    for last in [false, true] {
        let machine = Machine::new();
        let store = machine.open();
        let fill = |store: &Store| {
            for i in 0..200 {
                store.lock(&format!("filler {i}")).holder("me").acquire().unwrap().leak();
            }
        };
        if last {
            fill(&store);
        }
        store.lock(key).holder("me").acquire().unwrap().leak();
        if !last {
            fill(&store);
        }
        let bytes = machine.disk.contents();
        let found = bytes.windows(key.len()).enumerate().filter(|(_, at)| *at == key.as_bytes());
        let places: Vec<_> = found.map(|(at, _)| at as u64).collect();
        assert!(!places.is_empty());
        for at in places {
            machine.disk.damage(at, b"A");
        }
        match store.check() {
            Ok(report) => assert!(!report.is_sound()),
            Err(StoreError::Disk(error)) => {
                assert!(error.to_string().contains("damaged"), "{error}");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(
            matches!(store.is_locked(key), Err(ReadError::Store(StoreError::Poisoned { .. }))),
            "last: {last}"
        );
        assert!(matches!(store.close(), Err(StoreError::Poisoned { .. })));
    }
}
