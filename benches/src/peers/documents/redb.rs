//! redb, with one transaction for each call: the floor, and what a document store is without group commit.
//!
//! It works on a copy of a lockstore file, so it has the same tables, rows and pages, and writes rows of the same
//! size under the same keys. It looks for nothing, reads nothing and compares nothing: it was told the keys before. Threads
//! queue for redb's own write lock.

use std::collections::HashMap;
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::{JobWriter, WriteCaller};
use crate::Result;
use crate::documents::job::{self, Mark, Names};

/// A database with the rows of a store of jobs.
#[derive(Debug)]
pub(crate) struct JobsOfRedb {
    db: Database,
    /// The keys of the documents, by their `_id`s.
    documents: HashMap<[u8; 12], Vec<u8>>,
    /// The jobs in the queue.
    queued: Vec<Queued>,
    /// What a document's row holds.
    value: Vec<u8>,
}

/// The rows of a job in the queue.
#[derive(Debug)]
struct Queued {
    document: Vec<u8>,
    ready: Vec<u8>,
    taken: Vec<u8>,
}

struct RedbCaller<'a> {
    jobs: &'a JobsOfRedb,
    /// Which of the queue are this thread's, in turns.
    own: Vec<&'a Queued>,
    next: usize,
}

impl JobsOfRedb {
    /// Opens a copy of a store's file, with a cache of `cache_bytes`.
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self> {
        let db = Database::builder().set_cache_size(cache_bytes).open(path)?;
        let (mut documents, mut by_record, mut last) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut queued = Vec::new();
        {
            let reading = db.begin_read()?;
            for row in reading.open_table(DOCUMENTS)?.iter()? {
                let (key, value) = row?;
                let (key, value) = (key.value().to_vec(), value.value().to_vec());
                // A document begins with its length, and then the type and the name of `_id`.
                let id: [u8; 12] = value[9..21].try_into()?;
                by_record.insert(key[4..].to_vec(), key.clone());
                documents.insert(id, key);
                last = value;
            }
            for row in reading.open_table(ENTRIES)?.iter()? {
                let ready = row?.0.value().to_vec();
                let state = ready.windows(5).position(|bytes| bytes == job::READY.as_bytes());
                if let Some(place) = state {
                    let mut taken = ready.clone();
                    taken[place..place + 5].copy_from_slice(job::TAKEN.as_bytes());
                    let document = by_record[&ready[ready.len() - 8..]].clone();
                    queued.push(Queued { document, ready, taken });
                }
            }
        }
        Ok(Self { db, documents, queued, value: last })
    }

    /// One commit of the row of a document, and of an entry that gives way to another.
    fn put(&self, document: &[u8], moved: Option<(&[u8], &[u8])>) -> Result {
        let transaction = self.db.begin_write()?;
        transaction.open_table(DOCUMENTS)?.insert(document, self.value.as_slice())?;
        if let Some((from, to)) = moved {
            let mut entries = transaction.open_table(ENTRIES)?;
            entries.remove(from)?;
            entries.insert(to, [].as_slice())?;
        }
        // redb's default is to sync the file.
        transaction.commit()?;
        Ok(())
    }
}

impl JobWriter for JobsOfRedb {
    fn caller(&self) -> Box<dyn WriteCaller + '_> {
        Box::new(RedbCaller { jobs: self, own: Vec::new(), next: 0 })
    }
}

impl WriteCaller for RedbCaller<'_> {
    fn update(&mut self, names: &Names, _mark: &Mark) {
        let document = &self.jobs.documents[&names.id.bytes()];
        self.jobs.put(document, None).expect("redb commits");
    }

    fn enter(&mut self, thread: usize, threads: usize) {
        self.own = self.jobs.queued.iter().skip(thread).step_by(threads).collect();
    }

    fn take(&mut self, _mark: &Mark) {
        let Queued { document, ready, taken } = self.own[self.next];
        self.jobs.put(document, Some((ready, taken))).expect("redb commits");
    }

    fn put_back(&mut self, _mark: &Mark, _index: i64) {
        let Queued { document, ready, taken } = self.own[self.next];
        self.jobs.put(document, Some((taken, ready))).expect("redb commits");
        self.next = (self.next + 1) % self.own.len();
    }
}

const DOCUMENTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("documents");
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("index_entries");
