//! A script that has a store do everything with documents once, step by step, and what the store holds after each step.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bson::{DateTime, RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Clock, Database, OpenError, Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::SimDisk;

use crate::storage::Storage;

/// One step, which a crash may cut short: it is done or not.
#[derive(Clone, Debug)]
enum Step {
    /// A command that one commit carries out, or an index build; it may be refused for a key that is there already.
    Command(RawDocumentBuf),
    /// Time passes until documents expire.
    Expire,
    /// The file is made smaller.
    Compact,
}

/// The documents and the indexes of a store, as commands tell them.
#[derive(Clone, PartialEq)]
pub struct Content(Vec<(&'static str, Vec<RawDocumentBuf>)>);

/// The steps, and what a healthy store holds before the first and after each of them.
#[derive(Clone, Debug)]
pub struct DocumentScript {
    steps: Vec<Step>,
    contents: Vec<Content>,
}

/// How far a run of the script came.
#[derive(Debug)]
pub struct Progress {
    /// How many steps were answered.
    pub steps: usize,
    /// The reply that was an error, if a step failed.
    pub error: Option<String>,
}

/// Opens the store on `disk`.
///
/// # Errors
///
/// As [`StoreOptions::open_backend`].
pub fn open(storage: Storage, disk: &SimDisk, clock: &ManualClock) -> Result<Store, OpenError> {
    let options = StoreOptions::new().clock(Arc::new(clock.clone())).cache_bytes(1 << 20);
    storage.open(options, disk)
}

impl DocumentScript {
    /// The script for a clock that begins at the same moment as `clock`.
    ///
    /// # Panics
    ///
    /// When a healthy store does not play it.
    pub fn new(clock: &ManualClock) -> Self {
        let mut script = Self { steps: steps(now_ms(clock)), contents: Vec::new() };
        let store = open(Storage::Plain, &SimDisk::new(), clock).expect("a new store opens");
        script.contents.push(Content::of(&store).expect("it can be read"));
        for step in &script.steps {
            step.play(&store, clock).unwrap_or_else(|error| panic!("{step:?}: {error}"));
            script.contents.push(Content::of(&store).expect("it can be read"));
        }
        script
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Plays the steps until one fails.
    pub fn play(&self, store: &Store, clock: &ManualClock) -> Progress {
        for (steps, step) in self.steps.iter().enumerate() {
            if let Err(error) = step.play(store, clock) {
                return Progress { steps, error: Some(error) };
            }
        }
        Progress { steps: self.steps.len(), error: None }
    }

    /// Checks that the store holds what it held after the steps that were answered, or after the step behind them as
    /// well; that documents which are due expire; that it is sound, and serves.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn check(&self, store: &Store, clock: &ManualClock, progress: &Progress, crash: &str) {
        let report = store.check().unwrap_or_else(|error| panic!("{crash}: {error}"));
        assert!(report.is_sound(), "{crash}: {:?}", report.problems);
        let now = now_ms(clock);
        let found = Content::of(store).unwrap_or_else(|error| panic!("{crash}: {error}"));
        let found = found.without_expired(now);
        let until = (progress.steps + 2).min(self.contents.len());
        let mut allowed = self.contents[progress.steps..until].iter();
        assert!(
            allowed.any(|content| content.clone().without_expired(now) == found),
            "{crash}: after {progress:?} of {:?}: {found:?}",
            self.steps.get(progress.steps)
        );
        let listed: usize =
            found.0.iter().filter(|(name, _)| *name == INDEXES).map(|(_, i)| i.len()).sum();
        let indexes = store.stats().unwrap_or_else(|error| panic!("{crash}: {error}")).indexes;
        assert_eq!(indexes, listed, "{crash}: an unfinished build is gone");
        Step::Expire.play(store, clock).unwrap_or_else(|error| panic!("{crash}: {error}"));
        let again =
            rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "z": 1 }, "name": "z" }] };
        let more = rawdoc! { "insert": "jobs", "documents": [{ "_id": 100_000, "email": "z" }] };
        for command in [again, more] {
            run(&store.database("test"), &command)
                .unwrap_or_else(|error| panic!("{crash}: {error}"));
        }
        let report = store.check().unwrap_or_else(|error| panic!("{crash}: {error}"));
        assert!(report.is_sound(), "{crash}: {:?}", report.problems);
    }
}

impl Step {
    fn play(&self, store: &Store, clock: &ManualClock) -> Result<(), String> {
        match self {
            Self::Command(command) => run(&store.database("test"), command).map(drop),
            Self::Compact => store.compact().map(drop).map_err(|error| error.to_string()),
            Self::Expire => {
                clock.advance(Duration::from_millis(EXPIRE_AFTER_MS));
                loop {
                    let now = now_ms(clock);
                    let command = rawdoc! { "find": "sessions", "batchSize": 1_000 };
                    let reply = run(&store.database("test"), &command)?;
                    if !batch(&reply).iter().any(|session| is_due(session, now)) {
                        return Ok(());
                    }
                    // What could not be read for a moment is looked at again.
                    clock.advance(Duration::from_secs(1));
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}

impl Content {
    fn of(store: &Store) -> Result<Self, String> {
        let database = store.database("test");
        let mut content = Vec::new();
        for collection in ["jobs", "sessions"] {
            let reply = run(&database, &rawdoc! { "find": collection, "batchSize": 10_000 })?;
            content.push((collection, batch(&reply)));
            let reply = database.run_command(&rawdoc! { "listIndexes": collection });
            // There may be no such collection.
            let is_there = reply.get_f64("ok").is_ok_and(|ok| ok > 0.0);
            content.push((INDEXES, if is_there { batch(&reply) } else { Vec::new() }));
        }
        Ok(Self(content))
    }

    fn without_expired(mut self, now_ms: i64) -> Self {
        for (_, documents) in &mut self.0 {
            documents.retain(|document| !is_due(document, now_ms));
        }
        self
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.iter().map(|(name, documents)| match *name {
            INDEXES => format!("{documents:?}"),
            _ => format!("{} {name}", documents.len()),
        });
        f.debug_list().entries(counts).finish()
    }
}

/// The reply, or the reason why it is an error. That a key is there already is none.
fn run(database: &Database, command: &RawDocument) -> Result<RawDocumentBuf, String> {
    let reply = database.run_command(command);
    let is_ok = reply.get_f64("ok").is_ok_and(|ok| ok > 0.0);
    let code = |document: &RawDocument| document.get_i32("code").ok();
    if !is_ok && code(&reply) != Some(DUPLICATE_KEY) {
        return Err(format!("{reply:?}"));
    }
    let errors = reply.get_array("writeErrors").ok().into_iter().flatten();
    for error in errors.flatten() {
        if error.as_document().and_then(code) != Some(DUPLICATE_KEY) {
            return Err(format!("{reply:?}"));
        }
    }
    Ok(reply)
}

fn batch(reply: &RawDocument) -> Vec<RawDocumentBuf> {
    let cursor = reply.get_document("cursor").expect("a cursor");
    let batch = cursor.get_array("firstBatch").expect("a batch").into_iter();
    batch
        .map(|document| {
            let document = document.expect("sound BSON");
            document.as_document().expect("a document").to_owned()
        })
        .collect()
}

fn is_due(document: &RawDocument, now_ms: i64) -> bool {
    let at = document.get_datetime("at").map(DateTime::timestamp_millis);
    at.is_ok_and(|at| at + i64::try_from(EXPIRE_AFTER_MS).expect("small") <= now_ms)
}

fn now_ms(clock: &ManualClock) -> i64 {
    i64::try_from(clock.wall().as_millis()).expect("a year of this age")
}

/// Every step is one task of the writer, so that it is done as a whole or not at all.
fn steps(now_ms: i64) -> Vec<Step> {
    let jobs = |ids: std::ops::Range<i32>| {
        let documents = ids.map(|id| {
            rawdoc! { "_id": id, "a": -id, "email": format!("{id}@x"), "tags": [id % 3, id % 7] }
        });
        let documents: RawArrayBuf = documents.collect();
        rawdoc! { "insert": "jobs", "documents": documents }
    };
    // Half of them expire, and half do not in any time that passes here.
    let sessions: RawArrayBuf = (0..20)
        .map(|id| {
            let at = now_ms + if id % 2 == 0 { 0 } else { NEVER_MS };
            rawdoc! { "_id": id, "at": DateTime::from_millis(at), "n": [id, -id - 1] }
        })
        .collect();
    let commands = [
        rawdoc! { "create": "jobs" },
        jobs(0..120),
        jobs(120..240),
        rawdoc! { "createIndexes": "jobs", "indexes": [
            { "key": { "email": 1 }, "name": "email", "unique": true },
            { "key": { "tags": 1 }, "name": "tags" },
        ] },
        rawdoc! { "update": "jobs", "updates": [
            { "q": { "a": { "$lt": -150 } }, "u": { "$push": { "tags": "x" } }, "multi": true },
        ] },
        rawdoc! { "insert": "jobs", "ordered": false, "documents": [
            { "_id": 1_000, "email": "5@x" }, { "_id": 1_001, "email": "new@x", "tags": [[1], 2] },
        ] },
        jobs(300..500),
        rawdoc! { "createIndexes": "jobs", "indexes": [
            { "key": { "a": -1, "tags": 1 }, "name": "both" },
            { "key": { "a": 1 }, "name": "few", "partialFilterExpression": { "tags": "x" } },
        ] },
        rawdoc! { "findAndModify": "jobs", "query": { "tags": "x" }, "sort": { "a": 1 }, "update": { "$set": { "a": 7, "email": "first@x" } } },
        rawdoc! { "update": "jobs", "updates": [
            { "q": { "_id": 2_000 }, "u": { "$set": { "email": "upserted@x" } }, "upsert": true },
        ] },
        rawdoc! { "update": "jobs", "updates": [{ "q": { "_id": 3 }, "u": { "$set": { "email": "4@x" } } }] },
        // Builds that fail leave nothing behind.
        rawdoc! { "createIndexes": "jobs", "indexes": [
            { "key": { "b": 1 }, "name": "b" }, { "key": { "tags": -1 }, "name": "once", "unique": true },
        ] },
        rawdoc! { "delete": "jobs", "deletes": [{ "q": { "tags": "x" }, "limit": 0 }] },
        rawdoc! { "dropIndexes": "jobs", "index": "tags" },
        rawdoc! { "collMod": "jobs", "index": { "name": "both", "hidden": true } },
        rawdoc! { "createIndexes": "sessions", "indexes": [
            { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 10 },
            { "key": { "n": 1 }, "name": "n", "unique": true },
        ] },
        rawdoc! { "insert": "sessions", "documents": sessions },
    ];
    let later = [
        rawdoc! { "drop": "jobs" },
        jobs(600..650),
        rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "email": -1 }, "name": "email" }] },
        rawdoc! { "dropIndexes": "jobs", "index": "*" },
        rawdoc! { "dropDatabase": 1 },
    ];
    let mut steps: Vec<_> = commands.into_iter().map(Step::Command).collect();
    steps.extend([Step::Expire, Step::Compact]);
    steps.extend(later.into_iter().map(Step::Command));
    steps
}

const INDEXES: &str = "indexes";

const DUPLICATE_KEY: i32 = 11_000;

/// That of the index on `at`.
const EXPIRE_AFTER_MS: u64 = 10_000;

/// About three years.
const NEVER_MS: i64 = 100_000_000_000;
