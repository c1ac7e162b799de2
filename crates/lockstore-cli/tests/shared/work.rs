//! What a client process does all the time: each of its threads makes changes that can be counted afterwards, and counts those
//! that were acknowledged.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lockstore::bson::{Document, doc};
use lockstore::{Collection, DocumentError, Store};

/// One thread's kind of work. The number of its acknowledged changes must be found in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Adds one to a document of its own.
    Adds,
    /// Inserts documents.
    Inserts,
    /// Adds one to a document of its own and one to another, in a transaction.
    Transacts,
    /// Acquires a lock that all want, and releases it.
    Locks,
    /// Locks a document that all want, and adds one to it as it releases it.
    LocksDocuments,
}

/// All that a client does, one thread each.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Adds, Kind::Inserts, Kind::Transacts, Kind::Locks, Kind::Locks, Kind::LocksDocuments];

/// How many locks, and how many documents, all clients want.
pub(crate) const WANTED: usize = 3;

/// A thread at work.
#[derive(Debug)]
pub(crate) struct Worker<'w> {
    pub(crate) store: &'w Store,
    /// A folder that all clients share, for the marks of who holds a lock.
    pub(crate) folder: &'w Path,
    /// Tells it from all other threads of all clients.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) acknowledged: &'w AtomicU64,
    pub(crate) stop: &'w AtomicBool,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

impl Worker<'_> {
    /// Works until it is told to stop.
    pub(crate) fn work(&self) {
        let mut turn = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let done = match self.kind {
                Kind::Adds => self.add(),
                Kind::Inserts => self.insert(turn),
                Kind::Transacts => self.transact(),
                Kind::Locks => self.lock(turn),
                Kind::LocksDocuments => self.lock_document(turn),
            };
            if let Err(error) = done {
                panic!("{} ({:?}), turn {turn}: {error}", self.name, self.kind);
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            turn += 1;
        }
    }

    fn collection(&self, name: &str) -> Collection {
        self.store.database("proof").collection(name)
    }

    fn add(&self) -> Outcome {
        let one = doc! { "$inc": { "n": 1 } };
        self.collection("sums").update_one(doc! { "_id": &self.name }, one).upsert(true).run()?;
        Ok(())
    }

    fn insert(&self, turn: usize) -> Outcome {
        let document = doc! { "by": &self.name, "turn": i64::try_from(turn)? };
        self.collection("inserted").insert_one(document)?;
        Ok(())
    }

    fn transact(&self) -> Outcome {
        self.store.transaction(|tx| {
            for sums in ["sums", "mirror"] {
                let sums: Collection = tx.collection("proof", sums);
                let one = doc! { "$inc": { "n": 1 } };
                sums.update_one(doc! { "_id": &self.name }, one).upsert(true).run()?;
            }
            Ok::<_, DocumentError>(())
        })?;
        Ok(())
    }

    fn lock(&self, turn: usize) -> Outcome {
        let key = format!("wanted/{}", turn % WANTED);
        let guard = self.store.lock(&key).acquire()?;
        let alone = Alone::with(self.folder, &key);
        alone.see_token(guard.token().get());
        drop(alone);
        guard.release()?;
        Ok(())
    }

    fn lock_document(&self, turn: usize) -> Outcome {
        let id = i32::try_from(turn % WANTED)?;
        let jobs: Collection<Document> = self.collection("jobs");
        let wanted = jobs.lock_document(doc! { "_id": id });
        let mut lock = wanted.sleep(std::time::Duration::from_secs(1)).acquire()?;
        assert!(lock.locked_document().is_some(), "it has waited until it came");
        let alone = Alone::with(self.folder, &format!("job/{id}"));
        lock.set_update_on_release(doc! { "$inc": { "done": 1 } })?;
        drop(alone);
        lock.release()?;
        Ok(())
    }
}

/// A mark in the file system that nobody else holds the same: a second one cannot be made.
struct Alone {
    mark: PathBuf,
    last_token: PathBuf,
}

impl Alone {
    fn with(folder: &Path, key: &str) -> Self {
        let key = key.replace('/', "-");
        let mark = folder.join(format!("{key}.held"));
        let made = OpenOptions::new().write(true).create_new(true).open(&mark);
        made.unwrap_or_else(|error| panic!("two hold {key} at once: {error}"));
        Self { mark, last_token: folder.join(format!("{key}.token")) }
    }

    /// Tokens rise.
    fn see_token(&self, token: u64) {
        let last = fs::read_to_string(&self.last_token).unwrap_or_else(|_| "0".into());
        let last: u64 = last.parse().expect("a number was written");
        assert!(token > last, "token {token} after {last}");
        fs::write(&self.last_token, token.to_string()).expect("the folder can be written");
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        fs::remove_file(&self.mark).expect("the mark is there");
    }
}
