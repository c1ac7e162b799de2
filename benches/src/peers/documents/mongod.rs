//! A real mongod, started for this run on a port and a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bson::{DateTime, RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};

use super::ours::{AT_ONCE, indexes, marking, putting_back, taking, unlocking_all};
use super::wire::Connection;
use super::{JobCaller, JobLocker, JobStore, JobWriter, LockCaller, Pipeline, WriteCaller};
use crate::Result;
use crate::documents::job::{self, Mark, Names};

/// A server with a collection of jobs; it ends with this.
#[derive(Debug)]
pub(crate) struct JobsOfMongod {
    server: Server,
    version: String,
}

#[derive(Debug)]
struct Server {
    process: Child,
    port: u16,
}

struct MongodCaller {
    connection: Connection,
    taken: Option<RawDocumentBuf>,
}

impl JobsOfMongod {
    /// Starts `program` in a new `folder`, and fills a collection with `documents` jobs.
    pub(crate) fn start(program: &Path, folder: &Path, documents: usize) -> Result<Self> {
        let server = Server::start(program, folder)?;
        let mut connection = server.connect()?;
        let version = connection.run(&rawdoc! { "buildInfo": 1, "$db": "admin" })?;
        let version = version.get_str("version")?.to_owned();
        connection.run(&addressed(indexes()))?;
        for first in (0..documents).step_by(AT_ONCE) {
            let mut jobs = RawArrayBuf::new();
            for number in first..documents.min(first + AT_ONCE) {
                jobs.push(job::bson(number));
            }
            connection.run(&addressed(rawdoc! { "insert": "jobs", "documents": jobs }))?;
        }
        // What was inserted must not be written back while something is measured.
        connection.run(&rawdoc! { "fsync": 1, "$db": "admin" })?;
        Ok(Self { server, version })
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Unlocks all jobs, which are inserted with what an update has set.
    pub(crate) fn unlock_all(&self) -> Result {
        let mut connection = self.server.connect()?;
        connection.run(&addressed(unlocking_all()))?;
        connection.run(&rawdoc! { "fsync": 1, "$db": "admin" })?;
        Ok(())
    }

    fn mongod_caller(&self) -> MongodCaller {
        let connection = self.server.connect().expect("mongod takes connections");
        MongodCaller { connection, taken: None }
    }
}

impl Server {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder)?;
        // The port is free again when it is asked for; nobody else is likely to take it.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args([
            "--bind_ip",
            "127.0.0.1",
            "--nounixsocket",
            "--wiredTigerCacheSizeGB",
            "0.25",
        ]);
        command.arg("--port").arg(port.to_string()).arg("--dbpath").arg(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command
            .spawn()
            .map_err(|error| format!("MONGOD: cannot run {}: {error}", program.display()))?;
        let mut server = Self { process, port };
        let start = Instant::now();
        while server.connect().is_err() {
            if let Some(status) = server.process.try_wait()? {
                return Err(format!("mongod has ended ({status})").into());
            }
            if start.elapsed() > STARTING_MAX {
                return Err("mongod takes no connections".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn connect(&self) -> Result<Connection> {
        Connection::new(self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its folder is gone with this run, so it has nothing to put in order.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("lockstore-benches: mongod ({}) was not stopped: {error}", self.process.id());
        }
    }
}

impl JobWriter for JobsOfMongod {
    fn caller(&self) -> Box<dyn WriteCaller + '_> {
        Box::new(self.mongod_caller())
    }
}

impl JobStore for JobsOfMongod {
    fn jobs(&self) -> Box<dyn JobCaller + '_> {
        Box::new(self.mongod_caller())
    }
}

impl MongodCaller {
    fn find_and_modify(
        &mut self,
        query: RawDocumentBuf,
        sort: RawDocumentBuf,
        update: RawDocumentBuf,
    ) -> RawDocumentBuf {
        let command = addressed(rawdoc! {
            "findAndModify": "jobs",
            "query": query,
            "sort": sort,
            "update": update,
            "writeConcern": { "w": 1, "j": true },
        });
        let reply = self.connection.run(&command).expect("mongod commits");
        reply.get_document("value").expect("there is such a job").to_owned()
    }

    fn find(&mut self, filter: RawDocumentBuf, sort: RawDocumentBuf, limit: usize) -> usize {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let command = addressed(
            rawdoc! { "find": "jobs", "filter": filter, "sort": sort, "limit": limit, "singleBatch": true },
        );
        let reply = self.connection.run(&command).expect("mongod finds");
        found(&reply).expect("mongod gives a cursor")
    }
}

impl WriteCaller for MongodCaller {
    fn update(&mut self, names: &Names, mark: &Mark) {
        self.find_and_modify(rawdoc! { "db_id": &*names.db_id }, rawdoc! {}, marking(mark));
    }

    fn take(&mut self, mark: &Mark) {
        let (query, sort) = (rawdoc! { "state": job::READY }, rawdoc! { "index": 1 });
        self.taken = Some(self.find_and_modify(query, sort, taking(mark)));
    }

    fn put_back(&mut self, mark: &Mark, index: i64) {
        let taken = self.taken.take().expect("a job was taken");
        let db_id = taken.get_str("db_id").expect("a job has one");
        self.find_and_modify(rawdoc! { "db_id": db_id }, rawdoc! {}, putting_back(mark, index));
    }
}

impl JobCaller for MongodCaller {
    fn update_by_uuid(&mut self, names: &Names, mark: &Mark) {
        self.find_and_modify(rawdoc! { "uuid": &*names.uuid }, rawdoc! {}, marking(mark));
    }

    fn by_id(&mut self, names: &Names) -> usize {
        self.find(rawdoc! { "_id": names.id }, rawdoc! {}, 1)
    }

    fn by_index(&mut self, names: &Names) -> usize {
        self.find(rawdoc! { "db_id": &*names.db_id }, rawdoc! {}, 1)
    }

    fn last_queued(&mut self, limit: usize) -> usize {
        self.find(rawdoc! { "state": job::READY }, rawdoc! { "index": -1 }, limit)
    }

    fn most_urgent(&mut self, limit: usize) -> usize {
        self.find(rawdoc! {}, rawdoc! { "priority": -1 }, limit)
    }

    fn by_uuid(&mut self, names: &Names) -> usize {
        self.find(rawdoc! { "uuid": &*names.uuid }, rawdoc! {}, 0)
    }

    fn pipeline(&mut self, pipeline: Pipeline<'_>) -> usize {
        let command = addressed(rawdoc! {
            "aggregate": "jobs",
            "pipeline": pipeline.stages.to_owned(),
            "cursor": { "batchSize": i32::MAX },
        });
        let reply = self.connection.run(&command).expect("mongod runs pipelines");
        found(&reply).expect("mongod gives a cursor")
    }
}

impl JobLocker for JobsOfMongod {
    fn locker(&self) -> Box<dyn LockCaller + '_> {
        Box::new(self.mongod_caller())
    }
}

/// As jobflow-remote's `MongoLock` does it: a `find_one_and_update` that sets the fields of the lock, and an `update_one` that
/// clears them.
impl MongodCaller {
    fn lock(&mut self, query: RawDocumentBuf, sort: RawDocumentBuf, mark: &Mark) -> RawDocumentBuf {
        let lock_time = DateTime::from_millis(mark.updated_on_ms);
        let command = addressed(rawdoc! {
            "findAndModify": "jobs",
            "query": query,
            "sort": sort,
            "update": { "$set": { "lock_id": &*mark.lock_id, "lock_time": lock_time } },
            "new": true,
            "writeConcern": { "w": 1, "j": true },
        });
        let reply = self.connection.run(&command).expect("mongod commits");
        reply.get_document("value").expect("one is free").to_owned()
    }

    fn release(&mut self, locked: &RawDocument, mark: &Mark, set: RawDocumentBuf) {
        let id = locked.get_object_id("_id").expect("a job has one");
        let command = addressed(rawdoc! {
            "update": "jobs",
            "updates": [{ "q": { "_id": id, "lock_id": &*mark.lock_id }, "u": { "$set": set } }],
            "writeConcern": { "w": 1, "j": true },
        });
        let reply = self.connection.run(&command).expect("mongod commits");
        assert_eq!(reply.get_i32("n").expect("a count"), 1, "it is held");
    }
}

impl LockCaller for MongodCaller {
    fn by_index(&mut self, names: &Names, mark: &Mark) {
        let query = rawdoc! { "db_id": &*names.db_id, "lock_id": null };
        let locked = self.lock(query, rawdoc! {}, mark);
        self.release(&locked, mark, rawdoc! { "lock_id": null, "lock_time": null });
    }

    fn next_of_queue(&mut self, mark: &Mark, index: i64) {
        let query = rawdoc! { "state": job::READY, "lock_id": null };
        let locked = self.lock(query, rawdoc! { "index": 1 }, mark);
        let set = rawdoc! { "lock_id": null, "lock_time": null, "index": index };
        self.release(&locked, mark, set);
    }
}

/// The command, to the database that is measured.
fn addressed(mut command: RawDocumentBuf) -> RawDocumentBuf {
    command.append(bson::cstr!("$db"), "bench");
    command
}

fn found(reply: &RawDocument) -> Result<usize> {
    Ok(reply.get_document("cursor")?.get_array("firstBatch")?.into_iter().count())
}

/// How long a server may take to start.
const STARTING_MAX: Duration = Duration::from_secs(30);
