//! The power is lost at every sync of a script of writes and transactions, some of locks too, in a client session. Whoever has got no
//! answer asks again under the same number, and in the end everything was done once.

use std::sync::Arc;

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr, doc, rawdoc};
use lockstore::{Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};
use lockstore_tests::storage::Storage;

/// What the client has got an answer to, across crashes.
#[derive(Debug, Default)]
struct Client {
    /// How many steps were answered.
    done: usize,
    /// The number of the step that is under way.
    number: i64,
    /// Whether the transaction of that number was told to commit.
    committing: bool,
    /// What a reply has told.
    replies: Vec<Vec<String>>,
}

/// The store could not answer.
struct Broken;

impl Client {
    /// Goes on with the script from where it was left, until the store breaks.
    fn play(&mut self, store: &Store) -> Result<(), Broken> {
        while self.done < STEPS {
            let reply = if self.done % 7 == 6 {
                self.transaction(store)?
            } else {
                let mut command = write(self.done);
                command.append(cstr!("txnNumber"), self.number);
                run(store, command)?
            };
            self.replies.push(told(&reply));
            self.done += 1;
            self.number += 1;
        }
        Ok(())
    }

    fn transaction(&mut self, store: &Store) -> Result<RawDocumentBuf, Broken> {
        loop {
            if !self.committing {
                let mut begin = update(1, 5);
                begin.append(cstr!("txnNumber"), self.number);
                begin.append(cstr!("autocommit"), false);
                begin.append(cstr!("startTransaction"), true);
                let reply = run(store, begin)?;
                // What was begun before the crash is gone with it.
                assert!(reply.get_i32("n").is_ok(), "{reply:?}");
                for mut lock in locks(self.done) {
                    lock.append(cstr!("txnNumber"), self.number);
                    lock.append(cstr!("autocommit"), false);
                    let reply = run(store, lock)?;
                    assert!(reply.get_bool("inCommit").is_ok(), "{reply:?}");
                }
                self.committing = true;
            }
            let commit =
                rawdoc! { "commitTransaction": 1, "txnNumber": self.number, "autocommit": false };
            let reply = run(store, commit)?;
            self.committing = false;
            if reply.get_i32("code").is_err() {
                check_granted(store, self.done, &reply);
                return Ok(reply);
            }
            assert_eq!(reply.get_i32("code").unwrap(), 251, "{reply:?}");
            self.number += 1;
        }
    }
}

/// The locks that the transaction of a step changes: it takes one, and releases that of the transaction before it.
fn locks(step: usize) -> Vec<RawDocumentBuf> {
    let mut locks = vec![rawdoc! { "lockAcquire": key(step), "holder": "script" }];
    if step > 7 {
        locks.push(rawdoc! { "lockRelease": key(step - 7), "holder": "script" });
    }
    locks
}

fn key(step: usize) -> String {
    format!("of step {step}")
}

/// Checks that a commit tells of the grant that there is.
fn check_granted(store: &Store, step: usize, committed: &RawDocument) {
    let granted = committed.get_array("locks").unwrap().get_document(0).unwrap();
    let lock = store.inspect(&key(step)).unwrap().expect("it was granted");
    assert_eq!(granted.get_i64("token").unwrap().cast_unsigned(), lock.holders[0].token.get());
}

/// A write of the script that changes something whenever it is carried out.
fn write(step: usize) -> RawDocumentBuf {
    let id = i32::try_from(step).unwrap();
    match step % 7 {
        0 => {
            let documents = (0..300).map(|n| rawdoc! { "of": id, "n": n });
            rawdoc! { "insert": "jobs", "documents": documents.collect::<RawArrayBuf>() }
        }
        1 => update(1, 1),
        2 => update(6, 1),
        3 => {
            rawdoc! { "delete": "jobs", "deletes": [{ "q": { "n": { "$exists": true } }, "limit": 1 }] }
        }
        4 => rawdoc! {
            "findAndModify": "counters", "query": { "_id": "found" }, "update": { "$inc": { "times": 1 } },
            "upsert": true, "new": true,
        },
        _ => rawdoc! {
            "findAndModify": "jobs", "query": { "n": { "$exists": true } }, "sort": { "n": -1 }, "remove": true,
            "fields": { "_id": 0 },
        },
    }
}

fn update(statements: i32, by: i32) -> RawDocumentBuf {
    let updates = (0..statements)
        .map(|id| rawdoc! { "q": { "_id": id }, "u": { "$inc": { "times": by } }, "upsert": true });
    rawdoc! { "update": "counters", "updates": updates.collect::<RawArrayBuf>() }
}

fn run(store: &Store, mut command: RawDocumentBuf) -> Result<RawDocumentBuf, Broken> {
    let id = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![7; 16] };
    command.append(cstr!("lsid"), rawdoc! { "id": id });
    let is_commit = matches!(command.get("commitTransaction"), Ok(Some(_)));
    let reply = store.database(if is_commit { "admin" } else { "test" }).run_command(&command);
    match reply.get_i32("code") {
        Ok(SHUTDOWN_IN_PROGRESS) => Err(Broken),
        _ => Ok(reply),
    }
}

/// What a reply tells, apart from whether it was told before, and from tokens: after a crash there are others.
fn told(reply: &RawDocument) -> Vec<String> {
    let fields = reply.iter().map(Result::unwrap).filter(|(name, _)| {
        let name = name.as_str();
        !name.starts_with("retriedStmtId") && name != "token"
    });
    let told = fields.flat_map(|(name, value)| match value.as_array() {
        Some(locks) if name.as_str() == "locks" => {
            locks.into_iter().flat_map(|lock| told(lock.unwrap().as_document().unwrap())).collect()
        }
        _ => vec![format!("{name}: {value:?}")],
    });
    told.collect()
}

fn open(storage: Storage, disk: &SimDisk) -> Result<Store, lockstore::OpenError> {
    let clock = Arc::new(ManualClock::new());
    storage.open(StoreOptions::new().clock(clock).cache_bytes(1 << 20), disk)
}

fn content(store: &Store) -> Vec<bson::Document> {
    let test = store.database("test");
    let of = |name: &str| {
        // Their ids are made when they are inserted.
        let is_numbered = name == "jobs";
        let found = test.collection::<bson::Document>(name).find(doc! {}).run().unwrap();
        found.map(Result::unwrap).map(move |mut document| {
            if is_numbered {
                document.remove("_id");
            }
            document
        })
    };
    let locks = store.list("", None, 100).unwrap().into_iter();
    let locks = locks.map(|lock| doc! { "held": lock.key.as_str() });
    of("jobs").chain(of("counters")).chain(locks).collect()
}

#[test]
fn what_is_asked_again_after_a_crash_at_any_sync_is_done_once() {
    Storage::ALL.into_iter().for_each(check_every_sync);
}

fn check_every_sync(storage: Storage) {
    let healthy = open(storage, &SimDisk::new()).unwrap();
    let mut client = Client::default();
    assert!(client.play(&healthy).is_ok());
    let (expected, replies) = (content(&healthy), client.replies);
    let mut cuts = 0;
    for sync in 1.. {
        let disk = SimDisk::new();
        disk.lose_power_at_sync(sync);
        let mut client = Client::default();
        if let Ok(store) = open(storage, &disk) {
            drop(client.play(&store));
        }
        if !disk.is_off() {
            break;
        }
        cuts += 1;
        for loss in
            [PowerLoss::nothing_unsynced(), PowerLoss::everything(), PowerLoss::seeded(sync)]
        {
            let crash = format!("{storage:?}, power lost at sync {sync}, {loss:?}");
            let mut client = Client { replies: client.replies.clone(), ..client };
            let store = open(storage, &disk.after_power_loss(&loss))
                .unwrap_or_else(|error| panic!("{crash}: {error}"));
            assert!(client.play(&store).is_ok(), "{crash}");
            assert_eq!(client.replies, replies, "{crash}");
            assert_eq!(content(&store), expected, "{crash}");
            let report = store.check().unwrap();
            assert!(report.is_sound(), "{crash}: {:?}", report.problems);
        }
    }
    eprintln!("{cuts} syncs cut");
    assert!(cuts > STEPS, "the script has only {cuts} syncs");
}

const STEPS: usize = 14;

const SHUTDOWN_IN_PROGRESS: i32 = 91;
