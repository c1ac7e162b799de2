//! Who competes, and the servers behind them.

use std::path::{Path, PathBuf};

use lockstore::Store;

use crate::Result;
use crate::measure::Latencies;
use crate::peers::{Address, JobsOfMongod, OurJobs, RedbAlone, RedisServer};
use crate::place::Place;

/// One way for processes to share locks or documents.
#[derive(Debug)]
pub(super) struct Contender {
    /// What it is called in tables.
    pub(super) name: &'static str,
    /// What it is called in figures.
    pub(super) key: &'static str,
    pub(super) address: Address,
    /// Whether who waits for a lock sleeps and looks again.
    pub(super) polls: bool,
}

/// All servers; they end with this.
#[derive(Debug)]
pub(super) struct Servers {
    file: PathBuf,
    /// Keeps the server of the file up.
    ours: Store,
    redis: Option<[RedisServer; 2]>,
    mongod: Option<JobsOfMongod>,
    flock: PathBuf,
}

impl Servers {
    /// Starts them, in files called after `name`, with so many documents in those that have documents.
    pub(super) fn start(place: &Place, name: &str, documents: usize) -> Result<Self> {
        let file = place.file(&format!("{name}.lockstore"));
        let ours = connect(&file)?;
        OurJobs::new(ours.clone())?.fill(documents)?;
        let folder = |of: &str| place.file(&format!("{name}.{of}"));
        let redis = match RedisServer::program() {
            Some(program) => Some([
                RedisServer::start(&program, &folder("redis-always"), "always")?,
                RedisServer::start(&program, &folder("redis-everysec"), "everysec")?,
            ]),
            None => None,
        };
        let mongod = match std::env::var_os("MONGOD") {
            Some(program) => {
                Some(JobsOfMongod::start(program.as_ref(), &folder("mongod"), documents)?)
            }
            None => None,
        };
        let flock = folder("flock");
        std::fs::create_dir(&flock)?;
        Ok(Self { file, ours, redis, mongod, flock })
    }

    /// Those that have locks, ours first.
    pub(super) fn of_locks(&self) -> Vec<Contender> {
        let mut contenders = vec![self.ours()];
        if let Some([always, everysec]) = &self.redis {
            let redis = |name, key, server: &RedisServer| {
                let address = Address::Redis(server.socket().to_owned());
                Contender { name, key, address, polls: true }
            };
            contenders.push(redis("redis, AOF always", "redis_always", always));
            contenders.push(redis("redis, AOF everysec (not durable)", "redis_everysec", everysec));
        }
        contenders.extend(self.mongod());
        contenders.push(Contender {
            name: "flock (not durable)",
            key: "flock",
            address: Address::Flock(self.flock.clone()),
            polls: false,
        });
        contenders
    }

    /// Those that have documents, ours first.
    pub(super) fn of_documents(&self) -> Vec<Contender> {
        std::iter::once(self.ours()).chain(self.mongod()).collect()
    }

    /// What is to be known of them.
    pub(super) fn notes(&self) -> Vec<String> {
        let redis = match &self.redis {
            Some(_) => {
                "redis: SET NX PX and a script that compares and deletes, over a Unix socket"
                    .to_owned()
            }
            None => "redis: not measured, as there is no redis-server".to_owned(),
        };
        vec![redis, crate::documents::note_of(self.mongod.as_ref())]
    }

    fn ours(&self) -> Contender {
        let address = Address::Lockstore(self.file.clone());
        Contender { name: "lockstore", key: "lockstore", address, polls: false }
    }

    fn mongod(&self) -> Option<Contender> {
        let mongod = self.mongod.as_ref()?;
        let address = Address::Mongod(mongod.port());
        Some(Contender { name: "mongod, journalled", key: "mongod", address, polls: true })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Err(error) = self.ours.clone().close() {
            eprintln!("lockstore-benches: {error}");
        }
    }
}

/// Joins the processes that share the file at `path`.
pub(crate) fn connect(path: &Path) -> Result<Store> {
    Ok(lockstore_server::connect(path)?)
}

/// What a commit of one row costs without lockstore.
#[derive(Debug)]
pub(super) struct Floor(RedbAlone);

impl Floor {
    pub(super) fn new(place: &Place, name: &str) -> Result<Self> {
        let path = place.file(&format!("{name}.floor"));
        let store = Store::open(&path)?;
        crate::bulk::fill(&store, 1);
        store.close()?;
        Ok(Self(RedbAlone::open(&path, CACHE_BYTES)?))
    }

    /// How long one takes now, in ns.
    pub(super) fn commit_ns(&self) -> Result<f64> {
        let mut took = Latencies::new();
        for _ in 0..COMMITS / 2 {
            let token = took.time(|| self.0.put())?;
            took.time(|| self.0.delete(token))?;
        }
        Ok(took.quantile(0.5))
    }
}

const COMMITS: usize = 200;
const CACHE_BYTES: usize = 32 << 20;
