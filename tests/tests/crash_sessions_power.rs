//! The power is lost at every sync of a script with sessions of other processes, and again at every sync of the opening after
//! it. The machine's boot is the same afterwards in some cases, as when only the storage or the store's process failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::presence::{Instance, Presence, Process};
use lockstore::{Clock, DocumentLock, SessionId, Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};
use lockstore_tests::storage::Storage;

/// What was answered: the sessions with their locks, and those that are over, or may be.
#[derive(Clone, Debug, Default)]
struct Told {
    open: BTreeMap<SessionId, BTreeSet<String>>,
    ending: BTreeSet<SessionId>,
    over: BTreeSet<SessionId>,
}

struct Script {
    storage: Storage,
    disk: SimDisk,
    clock: ManualClock,
    told: Told,
    /// They are not released while the disk has power.
    documents: Vec<DocumentLock<Document>>,
}

type Step<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn open(
    storage: Storage,
    disk: &SimDisk,
    clock: &ManualClock,
) -> Result<Store, lockstore::OpenError> {
    storage.open(StoreOptions::new().clock(Arc::new(clock.clone())), disk)
}

impl Script {
    fn play(&mut self, store: &Store) -> Step {
        let process = Process { boot_id: self.clock.boot_id(), ..Process::current()? };
        let elsewhere = Process { pid_namespace: process.pid_namespace + 1, ..process };
        let client = |number, process| Presence { instance: Instance([number; 16]), process };
        let (here, there) = (client(1, process), client(2, elsewhere));
        let jobs = store.database("factory").collection::<Document>("jobs");
        jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).run()?;

        let [first, second] = [self.open(store, here)?, self.open(store, here)?];
        let third = self.open(store, there)?;
        for n in 0..3 {
            for session in [first, second, third] {
                self.take(store, session, &format!("{session}/{n}"))?;
            }
        }
        let lock = jobs.lock_document(doc! { "_id": 1 }).session(&store.session_with(second));
        self.documents.push(lock.acquire()?);
        store.session_lost(there.instance)?;
        store.session_lost(here.instance)?;
        self.clock.advance(Duration::from_secs(1));
        store.session_taken_up(there)?;
        store.session_taken_up(here)?;
        self.close(store, here, second)?;
        let fourth = self.open(store, there)?;
        self.take(store, fourth, "last")?;
        self.told.ending.extend([third, fourth]);
        store.session_lost(there.instance)?;
        self.clock.advance(Duration::from_secs(10));
        if !store.wait_until_free("last", None)? {
            return Err("a wait without end ends when the key is free".into());
        }
        // Both have ended at the same time, in the order in which they were opened.
        self.told.over.insert(third);
        self.take(store, first, "at last")
    }

    fn open(&mut self, store: &Store, client: Presence) -> Step<SessionId> {
        let session = store.open_session(client)?;
        self.told.open.insert(session, BTreeSet::new());
        Ok(session)
    }

    fn take(&mut self, store: &Store, session: SessionId, key: &str) -> Step {
        let handle = store.session_with(session);
        store.lock(key).session(&handle).try_acquire()?.leak();
        self.told.open.get_mut(&session).ok_or("it is open")?.insert(key.to_owned());
        Ok(())
    }

    fn close(&mut self, store: &Store, client: Presence, session: SessionId) -> Step {
        self.told.ending.insert(session);
        store.close_session(client.instance, session)?;
        self.told.over.insert(session);
        Ok(())
    }
}

#[test]
fn no_session_is_lost_or_comes_back_when_the_power_is_lost_at_any_sync() {
    Storage::ALL.into_iter().for_each(check_every_sync);
}

fn check_every_sync(storage: Storage) {
    let mut cuts = 0;
    for sync in 1.. {
        let (disk, clock) = (SimDisk::new(), ManualClock::new());
        disk.lose_power_at_sync(sync);
        let (told, documents) = (Told::default(), Vec::new());
        let mut script = Script { storage, disk, clock, told, documents };
        let opened = open(storage, &script.disk, &script.clock);
        let played = match &opened {
            Ok(store) => script.play(store),
            Err(_) => Err("it was not made".into()),
        };
        if !script.disk.is_off() {
            played.unwrap_or_else(|error| panic!("no power was lost at sync {sync}: {error}"));
            break;
        }
        cuts += 1;
        for loss in
            [PowerLoss::nothing_unsynced(), PowerLoss::everything(), PowerLoss::seeded(sync)]
        {
            let crash = format!("{storage:?}, power lost at sync {sync}, {loss:?}");
            check_every_opening(&script, &script.disk.after_power_loss(&loss), &crash);
        }
        script.documents.clear();
    }
    eprintln!("{cuts} syncs cut");
    assert!(cuts > 20, "the script has only {cuts} syncs");
}

fn check_every_opening(script: &Script, disk: &SimDisk, crash: &str) {
    for same_boot in [true, false] {
        let clock = ManualClock::starting_at(script.clock.now(), script.clock.wall());
        // Clocks that tests make agree in the first boot.
        assert_eq!(clock.boot_id(), script.clock.boot_id(), "{crash}");
        if !same_boot {
            clock.reboot(Duration::from_secs(5));
        }
        for sync in 1.. {
            let again = disk.after_kill();
            again.lose_power_at_sync(sync);
            drop(open(script.storage, &again, &clock));
            if !again.is_off() {
                break;
            }
            let crash = format!("{crash}, and in opening at sync {sync}");
            let left = again.after_power_loss(&PowerLoss::seeded(sync));
            check(script, &left, &clock, same_boot, &crash);
        }
        check(script, disk, &clock, same_boot, crash);
    }
}

fn check(script: &Script, disk: &SimDisk, clock: &ManualClock, same_boot: bool, crash: &str) {
    let Script { storage, told, .. } = script;
    let store = open(*storage, disk, clock).unwrap_or_else(|error| panic!("{crash}: {error}"));
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{crash}: {:?}", report.problems);
    let sessions: BTreeSet<_> = store.sessions().unwrap().iter().map(|info| info.session).collect();
    let mut held: BTreeMap<SessionId, BTreeSet<String>> = BTreeMap::new();
    for lock in store.list("", None, 1_000).unwrap() {
        let session = lock.holders[0].session.expect("all are bound here");
        assert!(sessions.contains(&session), "{crash}: {lock:?} has outlived its session");
        held.entry(session).or_default().insert(lock.key.to_string());
    }
    if !same_boot {
        assert!(sessions.is_empty() && held.is_empty(), "{crash}: {sessions:?} {held:?}");
        assert_eq!(store.stats().unwrap().document_locks, 0, "{crash}");
    }
    for (session, locks) in &told.open {
        if told.over.contains(session) {
            assert!(!sessions.contains(session), "{crash}: {session:?} has come back");
        } else if same_boot && !told.ending.contains(session) {
            assert!(sessions.contains(session), "{crash}: {session:?} is lost");
            let held = held.get(session).cloned().unwrap_or_default();
            assert!(locks.is_subset(&held), "{crash}: {locks:?} are not all in {held:?}");
        }
    }
    let process = Process { boot_id: clock.boot_id(), ..Process::current().unwrap() };
    let next = store.open_session(Presence { instance: Instance([9; 16]), process }).unwrap();
    let last = told.open.keys().chain(&sessions).max();
    assert!(last.is_none_or(|last| *last < next), "{crash}: {next:?} after {last:?}");
}
