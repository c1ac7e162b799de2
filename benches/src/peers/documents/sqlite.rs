//! Jobs as JSON text in SQLite, in WAL mode with `synchronous=FULL`, with indexes on what is looked for.
//!
//! All threads share one connection behind a mutex, as the table of locks does, for the same reason.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Params, params};

use super::{JobCaller, JobStore, JobWriter, Pipeline, WriteCaller};
use crate::Result;
use crate::documents::job::{self, Mark, Names};

/// A database with a table of jobs.
#[derive(Debug)]
pub(crate) struct JobsOfSqlite(Mutex<Connection>);

struct SqliteCaller<'a> {
    jobs: &'a JobsOfSqlite,
    /// What was taken: the number of its row.
    taken: i64,
}

impl JobsOfSqlite {
    /// A new database at `path` with `documents` jobs and a cache of `cache_bytes`.
    pub(crate) fn new(path: &Path, documents: usize, cache_bytes: usize) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "cache_size", -i64::try_from(cache_bytes / 1024)?)?;
        let filling = connection.transaction()?;
        {
            let mut insert = filling.prepare(INSERT)?;
            for number in 0..documents {
                insert.execute(params![Names::new(number).id_text, job::json(number)])?;
            }
        }
        filling.commit()?;
        Ok(Self(Mutex::new(connection)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an update, and gives the row and the document.
    fn update(&self, sql: &str, params: impl Params) -> rusqlite::Result<(i64, String)> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        let found = (row.get(0)?, row.get(1)?);
        // It commits when the last row has been asked for.
        assert!(rows.next()?.is_none(), "one job is updated");
        Ok(found)
    }

    /// Gives how many documents a query finds, having read each.
    fn find(&self, sql: &str, params: impl Params) -> usize {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).expect("SQLite knows the statement");
        let found = statement.query_map(params, |row| row.get::<_, String>(0));
        found.expect("SQLite finds").flatten().count()
    }
}

impl JobWriter for JobsOfSqlite {
    fn caller(&self) -> Box<dyn WriteCaller + '_> {
        Box::new(SqliteCaller { jobs: self, taken: 0 })
    }
}

impl JobStore for JobsOfSqlite {
    fn jobs(&self) -> Box<dyn JobCaller + '_> {
        Box::new(SqliteCaller { jobs: self, taken: 0 })
    }
}

impl WriteCaller for SqliteCaller<'_> {
    fn update(&mut self, names: &Names, mark: &Mark) {
        let Mark { priority, updated_on_ms, lock_id } = mark;
        let params = params![names.db_id, priority, updated_on_ms, lock_id];
        self.jobs.update(UPDATE, params).expect("SQLite commits");
    }

    fn take(&mut self, mark: &Mark) {
        let params = params![mark.updated_on_ms, mark.lock_id];
        let (row, _) = self.jobs.update(TAKE, params).expect("SQLite commits");
        self.taken = row;
    }

    fn put_back(&mut self, mark: &Mark, index: i64) {
        let params = params![self.taken, mark.updated_on_ms, index];
        self.jobs.update(PUT_BACK, params).expect("SQLite commits");
    }
}

impl JobCaller for SqliteCaller<'_> {
    fn update_by_uuid(&mut self, names: &Names, mark: &Mark) {
        let Mark { priority, updated_on_ms, lock_id } = mark;
        let params = params![names.uuid, priority, updated_on_ms, lock_id];
        self.jobs.update(UPDATE_BY_UUID, params).expect("SQLite commits");
    }

    fn by_id(&mut self, names: &Names) -> usize {
        self.jobs.find("SELECT doc FROM jobs WHERE id = ?", [&names.id_text])
    }

    fn by_index(&mut self, names: &Names) -> usize {
        let sql = "SELECT doc FROM jobs WHERE json_extract(doc, '$.db_id') = ? LIMIT 1";
        self.jobs.find(sql, [&names.db_id])
    }

    fn last_queued(&mut self, limit: usize) -> usize {
        self.jobs.find(LAST_QUEUED, [i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    fn most_urgent(&mut self, limit: usize) -> usize {
        let sql = "SELECT doc FROM jobs ORDER BY json_extract(doc, '$.priority') DESC LIMIT ?";
        self.jobs.find(sql, [i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    fn by_uuid(&mut self, names: &Names) -> usize {
        let sql = "SELECT doc FROM jobs WHERE json_extract(doc, '$.uuid') = ?";
        self.jobs.find(sql, [&names.uuid])
    }

    fn pipeline(&mut self, pipeline: Pipeline<'_>) -> usize {
        self.jobs.find(pipeline.sql, [])
    }
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE jobs (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
    CREATE INDEX jobs_db_id ON jobs (json_extract(doc, '$.db_id'));
    CREATE INDEX jobs_state ON jobs (json_extract(doc, '$.state'), json_extract(doc, '$.index'));
";
const INSERT: &str = "INSERT INTO jobs VALUES (?, ?)";
const UPDATE: &str = "
    UPDATE jobs SET doc = json_set(doc, '$.priority', ?2, '$.updated_on', ?3, '$.lock_id', ?4)
    WHERE rowid = (SELECT rowid FROM jobs WHERE json_extract(doc, '$.db_id') = ?1 LIMIT 1)
    RETURNING rowid, doc";
const UPDATE_BY_UUID: &str = "
    UPDATE jobs SET doc = json_set(doc, '$.priority', ?2, '$.updated_on', ?3, '$.lock_id', ?4)
    WHERE rowid = (SELECT rowid FROM jobs WHERE json_extract(doc, '$.uuid') = ?1 LIMIT 1)
    RETURNING rowid, doc";
const TAKE: &str = "
    UPDATE jobs SET doc = json_set(doc, '$.state', 'TAKEN', '$.updated_on', ?1, '$.lock_id', ?2)
    WHERE rowid = (
        SELECT rowid FROM jobs WHERE json_extract(doc, '$.state') = 'READY'
        ORDER BY json_extract(doc, '$.index') LIMIT 1
    )
    RETURNING rowid, doc";
const PUT_BACK: &str = "
    UPDATE jobs SET doc =
        json_set(doc, '$.state', 'READY', '$.updated_on', ?2, '$.index', ?3, '$.lock_id', NULL)
    WHERE rowid = ?1
    RETURNING rowid, doc";
const LAST_QUEUED: &str = "
    SELECT doc FROM jobs WHERE json_extract(doc, '$.state') = 'READY'
    ORDER BY json_extract(doc, '$.index') DESC LIMIT ?";
