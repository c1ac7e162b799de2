//! The disk is full under a server that several clients use: whoever writes is told, nobody hangs, and all go on when there is room.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use lockstore::bson::{Document, doc};
use lockstore::{Collection, DocumentError, Store, StoreError};
use lockstore_server::ConnectOptions;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::crowd::{PATIENCE, kill_servers_of, servers_of};

/// A disk that can be full: no process that serves the file may write behind the first page of a file, as if there were no room.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let disk = Self { folder: tempfile::tempdir().unwrap() };
        // A write that fails is an error, and does not end the process.
        let script = format!(
            "#!/bin/sh\ntrap '' XFSZ\nif [ -e '{}' ]; then ulimit -S -f 8; fi\nexec '{}' \"$@\"\n",
            disk.mark().display(),
            env!("CARGO_BIN_EXE_lockstore"),
        );
        fs::write(disk.program(), script).unwrap();
        fs::set_permissions(disk.program(), fs::Permissions::from_mode(0o700)).unwrap();
        disk
    }

    fn connect(&self) -> Store {
        let options = ConnectOptions::new().program(self.program());
        options.start_timeout(Duration::from_secs(2)).connect(self.file()).unwrap()
    }

    fn is_full(&self, full: bool) {
        if full {
            fs::write(self.mark(), "").unwrap();
        } else {
            fs::remove_file(self.mark()).unwrap();
        }
        for server in servers_of(&self.file()) {
            let server = Pid::from_raw(i32::try_from(server).unwrap()).unwrap();
            let usual = getrlimit(Resource::Fsize);
            let limit = if full { Rlimit { current: Some(8 * 512), ..usual } } else { usual };
            // One that has ended meanwhile has no limits.
            let _ = prlimit(Some(server), Resource::Fsize, limit);
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("jobs.redb")
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// It lies there while the disk is full.
    fn mark(&self) -> PathBuf {
        self.folder.path().join("full")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        kill_servers_of(&self.file());
    }
}

fn jobs(store: &Store) -> Collection<Document> {
    store.database("proof").collection("jobs")
}

/// What was asked for, and how often it was acknowledged, by any client.
#[derive(Default)]
struct Asked {
    acknowledged: BTreeSet<i32>,
    /// Whether it was done, nobody knows.
    unknown: BTreeSet<i32>,
}

#[test]
fn a_full_disk_is_an_error_for_who_writes_and_all_go_on_when_there_is_room() {
    let disk = Disk::new();
    let clients = [(); 4].map(|()| disk.connect());
    let holder = disk.connect();
    let held = holder.lock("held").acquire().unwrap();
    let asked = Mutex::new(Asked::default());
    let insert = |client: usize, turn: i32| {
        let id = i32::try_from(client).unwrap() * 1_000_000 + turn;
        let inserted = jobs(&clients[client]).insert_one(doc! { "_id": id });
        let mut asked = asked.lock().unwrap();
        match &inserted {
            Ok(_) => asked.acknowledged.insert(id),
            Err(_) => asked.unknown.insert(id),
        };
        inserted.map(drop)
    };
    for client in 0..clients.len() {
        (0..20).for_each(|turn| insert(client, turn).unwrap());
    }

    disk.is_full(true);
    thread::scope(|scope| {
        for client in 0..clients.len() {
            let insert = &insert;
            scope.spawn(move || {
                for turn in 100..103 {
                    let refused = insert(client, turn).unwrap_err();
                    assert!(
                        matches!(
                            refused,
                            DocumentError::Store(
                                StoreError::Poisoned { .. }
                                    | StoreError::Unreachable { .. }
                                    | StoreError::OutcomeUnknown { .. }
                            )
                        ),
                        "{refused:?}"
                    );
                }
            });
        }
    });

    disk.is_full(false);
    thread::scope(|scope| {
        for client in 0..clients.len() {
            let insert = &insert;
            scope.spawn(move || {
                let began = Instant::now();
                // The server that has stopped opens the store again, or the next one does.
                let mut turn = 1_000;
                while let Err(error) = insert(client, turn) {
                    assert!(began.elapsed() < PATIENCE, "there is room again: {error}");
                    turn += 1;
                }
                (2_000..2_020).for_each(|turn| insert(client, turn).unwrap());
            });
        }
    });
    let asked = asked.into_inner().unwrap();
    let found = jobs(&clients[0]).find(doc! {}).run().unwrap();
    let found: Vec<i32> = found.map(|job| job.unwrap().get_i32("_id").unwrap()).collect();
    let stored: BTreeSet<i32> = found.iter().copied().collect();
    assert_eq!(stored.len(), found.len(), "nothing is there twice");
    assert!(asked.acknowledged.is_subset(&stored), "all that was acknowledged is there");
    let more: Vec<_> = stored.difference(&asked.acknowledged).collect();
    assert!(more.iter().all(|id| asked.unknown.contains(id)), "{more:?} were never asked for");

    let lock = clients[1].inspect("held").unwrap().unwrap();
    assert_eq!(lock.holders[0].token, held.token(), "a lock that was held is held");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| clients[2].lock("held").acquire().unwrap().release());
        let began = Instant::now();
        while clients[3].stats().unwrap().waiters == 0 {
            assert!(began.elapsed() < PATIENCE, "it never waits");
            thread::sleep(Duration::from_millis(1));
        }
        held.release().unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert!(clients[0].check().unwrap().is_sound());
}
