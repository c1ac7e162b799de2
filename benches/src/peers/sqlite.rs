//! A lock table in SQLite, in WAL mode with `synchronous=FULL`: what a program without a lock store would
//! write.
//!
//! All threads share one connection behind a mutex. A connection for each thread is slower: SQLite has one
//! writer at a time in any case, and who finds it busy sleeps and tries again, in no order.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use super::{Caller, LockTable};
use crate::{Result, bulk};

/// A database with a table of locks and a counter of tokens.
#[derive(Debug)]
pub(crate) struct Sqlite(Mutex<Connection>);

struct SqliteCaller<'a> {
    database: &'a Sqlite,
    held: Option<Held>,
}

struct Held {
    key: String,
    holder: String,
    token: i64,
}

impl Sqlite {
    /// A new database at `path` with `live` locks and a cache of `cache_bytes`.
    pub(crate) fn new(path: &Path, live: usize, cache_bytes: usize) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "cache_size", -i64::try_from(cache_bytes / 1024)?)?;
        let filling = connection.transaction()?;
        {
            let mut insert = filling.prepare(INSERT)?;
            for number in 0..live {
                let (key, holder) = (bulk::key(number), bulk::holder(number));
                insert.execute(params![key, holder, i64::try_from(number + 1)?, EXPIRES_AT])?;
            }
            filling.execute("UPDATE counter SET token = ?", [i64::try_from(live)?])?;
        }
        filling.commit()?;
        Ok(Self(Mutex::new(connection)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(&self, key: &str, holder: &str) -> rusqlite::Result<i64> {
        let connection = self.lock();
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let token = connection.prepare_cached(NEXT_TOKEN)?.query_row([], |row| row.get(0))?;
        let inserted =
            connection.prepare_cached(INSERT)?.execute(params![key, holder, token, EXPIRES_AT])?;
        assert_eq!(inserted, 1, "the lock of {key} is free");
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(token)
    }

    fn release(&self, held: &Held) -> rusqlite::Result<()> {
        let Held { key, holder, token } = held;
        let connection = self.lock();
        let deleted = connection.prepare_cached(DELETE)?.execute(params![key, holder, token])?;
        assert_eq!(deleted, 1, "the lock of {key} is held");
        Ok(())
    }
}

impl LockTable for Sqlite {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(SqliteCaller { database: self, held: None })
    }
}

impl Caller for SqliteCaller<'_> {
    fn acquire(&mut self, key: &str, holder: &str) {
        let token = self.database.acquire(key, holder).expect("SQLite commits");
        self.held = Some(Held { key: key.to_owned(), holder: holder.to_owned(), token });
    }

    fn release(&mut self) {
        let held = self.held.take().expect("something was acquired");
        self.database.release(&held).expect("SQLite commits");
    }
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE locks (
        key TEXT PRIMARY KEY, holder TEXT NOT NULL, token INTEGER NOT NULL, expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE counter (token INTEGER NOT NULL);
    INSERT INTO counter VALUES (0);
";
const NEXT_TOKEN: &str = "UPDATE counter SET token = token + 1 RETURNING token";
const INSERT: &str = "INSERT INTO locks VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
const DELETE: &str = "DELETE FROM locks WHERE key = ? AND holder = ? AND token = ?";
const EXPIRES_AT: i64 = 4_102_444_800_000;
