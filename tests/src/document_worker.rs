//! Busy threads that write documents, build indexes and drop things, and tell what they were answered.

use std::collections::HashMap;
use std::fmt;

use bson::{DateTime, RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Database, Store};
use lockstore_testkit::crash::Record;

use crate::dice::Dice;

/// Something that is known of a document. Its content follows from its version; version 0 is that it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentFact {
    /// A document is about to be brought to a version, and may have it from here on.
    Doing(String, u32),
    /// A document has a version: it was answered.
    Done(String, u32),
    /// A counter that all threads share was raised to a value.
    Counted(i64),
}

/// What must be in the store.
#[derive(Debug, Default)]
pub struct DocumentAccount {
    /// The version that was answered last, and the one that was on its way.
    versions: HashMap<String, (u32, Option<u32>)>,
    /// The highest value of the counter that was answered.
    counted: i64,
}

/// One busy thread. The documents that it writes are written by nobody else.
pub struct DocumentWorker<'a> {
    /// The store that it works with.
    pub store: &'a Store,
    /// Where its choices come from.
    pub dice: Dice,
    /// Tells its documents from those of all other threads, and of all other processes: no spaces.
    pub name: String,
    /// Takes what it knows.
    pub report: &'a (dyn Fn(DocumentFact) + Sync),
    /// The versions of its documents.
    pub versions: Vec<u32>,
}

impl Record for DocumentFact {
    fn to_line(&self) -> String {
        match self {
            Self::Doing(id, version) => format!("doing {id} {version}"),
            Self::Done(id, version) => format!("done {id} {version}"),
            Self::Counted(value) => format!("counted {value}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        Some(match *words.as_slice() {
            ["doing", id, version] => Self::Doing(id.to_owned(), version.parse().ok()?),
            ["done", id, version] => Self::Done(id.to_owned(), version.parse().ok()?),
            ["counted", value] => Self::Counted(value.parse().ok()?),
            _ => return None,
        })
    }
}

impl DocumentAccount {
    /// Takes a fact.
    pub fn take(&mut self, fact: DocumentFact) {
        match fact {
            DocumentFact::Doing(id, version) => {
                self.versions.entry(id).or_default().1 = Some(version);
            }
            DocumentFact::Done(id, version) => {
                self.versions.insert(id, (version, None));
            }
            DocumentFact::Counted(value) => self.counted = self.counted.max(value),
        }
    }

    /// Checks that what was answered is there, and what was on its way whole or not at all; from here on the account
    /// knows which.
    ///
    /// # Panics
    ///
    /// When the store holds anything else, or is not sound.
    pub fn check(&mut self, store: &Store) {
        let report = store.check().expect("the store can be checked");
        assert!(report.is_sound(), "{:?}", report.problems);
        let database = store.database(DATABASE);
        let mut found = HashMap::new();
        for document in all(&database, "jobs") {
            let id = document.get_str("_id").expect("a name").to_owned();
            let version = u32::try_from(document.get_i32("v").expect("a version")).expect("small");
            assert_eq!(document, content(&id, version), "{id} is half written");
            found.insert(id, version);
        }
        for (id, (done, doing)) in &mut self.versions {
            let version = found.remove(id).unwrap_or_default();
            let is_known = version == *done || Some(version) == *doing;
            assert!(is_known, "{id} has version {version}, not {done} or {doing:?}");
            (*done, *doing) = (version, None);
        }
        assert!(found.is_empty(), "nobody wrote {found:?}");
        let counted = all(&database, "counters");
        let counted = counted.first().map_or(0, |counter| counter.get_i64("n").expect("a number"));
        assert!(counted >= self.counted, "{} was answered, {counted} found", self.counted);
        let listed: usize = ["jobs", "counters", "scratch", "sessions"]
            .iter()
            .map(|name| indexes(&database, name))
            .sum();
        let stats = store.stats().expect("the store serves");
        assert_eq!(stats.indexes, listed, "an unfinished build is gone");
    }

    /// How many documents it knows.
    pub fn documents(&self) -> usize {
        self.versions.len()
    }
}

impl DocumentWorker<'_> {
    /// Works until something fails, and tells what.
    pub fn work(&mut self) -> String {
        loop {
            let worked = match self.dice.below(16) {
                0..4 => self.insert_some(),
                4..9 => self.write_one(),
                9..12 => self.count(),
                12 => self.build(),
                13 => self.scratch(),
                _ => self.expire(),
            };
            if let Err(error) = worked {
                return error;
            }
        }
    }

    /// Inserts documents, some with one task of the writer and some with several.
    fn insert_some(&mut self) -> Result<(), String> {
        let first = self.versions.len();
        let ids = first..first + 1 + usize::try_from(self.dice.below(12)).expect("small");
        self.versions.resize(ids.end, 1);
        for number in ids.clone() {
            (self.report)(DocumentFact::Doing(self.id(number), 1));
        }
        let documents: RawArrayBuf = ids.clone().map(|n| content(&self.id(n), 1)).collect();
        self.run(&rawdoc! { "insert": "jobs", "documents": documents })?;
        for number in ids {
            (self.report)(DocumentFact::Done(self.id(number), 1));
        }
        Ok(())
    }

    fn write_one(&mut self) -> Result<(), String> {
        if self.versions.is_empty() {
            return Ok(());
        }
        let bound = u64::try_from(self.versions.len()).expect("small");
        let number = usize::try_from(self.dice.below(bound)).expect("small");
        let id = self.id(number);
        let old = self.versions[number];
        // What was deleted is not inserted anew: its version is 0 for ever.
        if old == 0 {
            return Ok(());
        }
        let version = if self.dice.chance(1, 5) { 0 } else { old + 1 };
        (self.report)(DocumentFact::Doing(id.clone(), version));
        let by_key = rawdoc! { "key": content(&id, old).get_str("key").expect("a key") };
        let command = if version == 0 {
            rawdoc! { "delete": "jobs", "deletes": [{ "q": by_key, "limit": 1 }] }
        } else if self.dice.chance(1, 2) {
            rawdoc! { "update": "jobs", "updates": [{ "q": by_key, "u": content(&id, version) }] }
        } else {
            rawdoc! { "findAndModify": "jobs", "query": { "_id": &*id }, "update": content(&id, version) }
        };
        self.run(&command)?;
        self.versions[number] = version;
        (self.report)(DocumentFact::Done(id, version));
        Ok(())
    }

    fn count(&mut self) -> Result<(), String> {
        let command = rawdoc! {
            "findAndModify": "counters", "query": { "_id": 0 }, "upsert": true, "new": true,
            "update": { "$inc": { "n": 1_i64 } },
        };
        let reply = self.run(&command)?;
        let value = reply.get_document("value").expect("the counter").get_i64("n");
        (self.report)(DocumentFact::Counted(value.expect("a number")));
        Ok(())
    }

    fn build(&mut self) -> Result<(), String> {
        let (tags, both) = (rawdoc! { "tags": 1 }, rawdoc! { "tags": -1, "v": 1 });
        let (key, name) = if self.dice.chance(1, 2) { (tags, "tags") } else { (both, "both") };
        if self.dice.chance(1, 2) {
            let key_index = rawdoc! { "key": { "key": 1 }, "name": "key", "unique": true };
            let specs = [rawdoc! { "key": key, "name": name }, key_index];
            let specs: RawArrayBuf = specs.into_iter().collect();
            self.run_beside_others(&rawdoc! { "createIndexes": "jobs", "indexes": specs })
        } else {
            self.run_beside_others(&rawdoc! { "dropIndexes": "jobs", "index": name })
        }
    }

    fn scratch(&mut self) -> Result<(), String> {
        if self.dice.chance(1, 3) {
            return self.run_beside_others(&rawdoc! { "drop": "scratch" });
        }
        let index = rawdoc! { "key": { "a": 1 }, "name": "a" };
        self.run_beside_others(&rawdoc! { "createIndexes": "scratch", "indexes": [index] })?;
        let documents: RawArrayBuf = (0..30).map(|n| rawdoc! { "a": [n, n + 1] }).collect();
        self.run_beside_others(&rawdoc! { "insert": "scratch", "documents": documents })
    }

    /// Inserts documents that expire at once, and some that never do.
    fn expire(&mut self) -> Result<(), String> {
        let index = rawdoc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 0 };
        self.run_beside_others(&rawdoc! { "createIndexes": "sessions", "indexes": [index] })?;
        let documents: RawArrayBuf =
            (0..5).map(|n| rawdoc! { "at": [DateTime::now(), n], "n": n }).collect();
        self.run_beside_others(&rawdoc! { "insert": "sessions", "documents": documents })
    }

    /// A command that another thread may be in the way of: only a store that has stopped is an error.
    fn run_beside_others(&self, command: &RawDocument) -> Result<(), String> {
        let refused = self.run(command).err();
        refused.filter(|_| self.store.stats().is_err()).map_or(Ok(()), Err)
    }

    fn run(&self, command: &RawDocument) -> Result<RawDocumentBuf, String> {
        let reply = self.store.database(DATABASE).run_command(command);
        let is_ok = reply.get_f64("ok").is_ok_and(|ok| ok > 0.0)
            && reply.get("writeErrors").is_ok_and(|errors| errors.is_none());
        if is_ok { Ok(reply) } else { Err(format!("{command:?}: {reply:?}")) }
    }

    fn id(&self, number: usize) -> String {
        format!("{}/{number}", self.name)
    }
}

impl fmt::Debug for DocumentWorker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentWorker").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A document at a version.
fn content(id: &str, version: u32) -> RawDocumentBuf {
    let v = i32::try_from(version).expect("small");
    let filler = "x".repeat(usize::try_from(version % 7).expect("small") * 100);
    rawdoc! { "_id": id, "v": v, "key": format!("{id}@{v}"), "tags": [v % 3, v % 5, id], "filler": filler }
}

fn all(database: &Database, collection: &str) -> Vec<RawDocumentBuf> {
    let reply = database.run_command(&rawdoc! { "find": collection, "batchSize": 1_000_000 });
    let mut cursor = reply.get_document("cursor").expect("a cursor").to_owned();
    let mut found = Vec::new();
    loop {
        let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch"));
        for document in batch.expect("a batch") {
            let document = document.expect("sound BSON");
            found.push(document.as_document().expect("a document").to_owned());
        }
        let id = cursor.get_i64("id").expect("an id");
        if id == 0 {
            return found;
        }
        let reply = database.run_command(&rawdoc! { "getMore": id, "collection": collection });
        cursor = reply.get_document("cursor").expect("a cursor").to_owned();
    }
}

fn indexes(database: &Database, collection: &str) -> usize {
    let reply = database.run_command(&rawdoc! { "listIndexes": collection });
    // There may be no such collection.
    let cursor = reply.get_document("cursor");
    cursor.map_or(0, |cursor| cursor.get_array("firstBatch").expect("a batch").into_iter().count())
}

const DATABASE: &str = "test";
