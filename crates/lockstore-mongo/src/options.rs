//! How a replica set is used.

use std::time::Duration;

/// How a replica set is used. What the address says of pools and timeouts (`maxPoolSize`, `connectTimeoutMS` ...) holds
/// where nothing is said here.
///
/// What may be read is [an option](Self::reads). Writes are not: each is done when most members have it, for nothing less keeps a lock, and a
/// `w` in the address is not heeded. A command of MongoDB's that has a `writeConcern` of its own
/// ([`Database::run_command`](lockstore::Database::run_command)) keeps it.
///
/// ```no_run
/// use std::time::Duration;
/// use lockstore_mongo::ReplicaSetOptions;
///
/// let store = ReplicaSetOptions::new()
///     .session_ttl(Duration::from_secs(30))
///     .connect("mongodb://a,b,c/?replicaSet=rs0")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "they do nothing until something is connected with them"]
pub struct ReplicaSetOptions {
    pub(crate) database: String,
    pub(crate) session_ttl: Duration,
    pub(crate) look_again: Duration,
    pub(crate) waiter_ttl: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) reads: Reads,
    pub(crate) pool_max: Option<u32>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) strict_release: bool,
}

/// What may be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// What most members have: it is never rolled back. A primary that has been cut off and does not know it yet may show what was so
    /// some seconds ago. Default.
    #[default]
    Majority,
    /// The same, after the primary has made sure that it is the primary: about as dear as a write.
    Linearizable,
}

impl ReplicaSetOptions {
    /// In which database the collections of locks are where nobody says another.
    pub const DATABASE: &'static str = "lockstore";

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// In which database the collections of locks are: `locks`, `sessions`, `audit`, `counters`, `migrations`. Default
    /// [`DATABASE`](Self::DATABASE).
    pub fn database(self, name: impl Into<String>) -> Self {
        Self { database: name.into(), ..self }
    }

    /// How long a session outlives the last sign of life of its process, which gives one each third of that time. Default 30 s, for an
    /// election takes up to 15 s; at least 1 s.
    pub fn session_ttl(self, ttl: Duration) -> Self {
        Self { session_ttl: ttl.max(Duration::from_secs(1)), ..self }
    }

    /// How often whoever waits looks by itself while there is no change stream. Default 1 s.
    pub fn look_again(self, every: Duration) -> Self {
        Self { look_again: every, ..self }
    }

    /// How long whoever waits keeps its place without a sign of life, and how long a lock that was handed to it stays its own before it
    /// has said so. Default 30 s, at least 1 s.
    pub fn waiter_ttl(self, ttl: Duration) -> Self {
        Self { waiter_ttl: ttl.max(Duration::from_secs(1)), ..self }
    }

    /// How long a write may take to reach most members before its outcome is looked for: `wtimeout`. Default 10 s.
    pub fn write_timeout(self, timeout: Duration) -> Self {
        Self { write_timeout: timeout, ..self }
    }

    /// How long a call without a deadline of its own goes on while there is no primary, or while it is not known what has become of it.
    /// Default 60 s.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// What may be read. Default [`Reads::Majority`].
    pub fn reads(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// How many connections to each member there may be. Default what the address says, or 100.
    pub fn pool_max(self, connections: u32) -> Self {
        Self { pool_max: Some(connections), ..self }
    }

    /// How long a connection may take to be made. Default what the address says, or 5 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: Some(timeout), ..self }
    }

    /// Whether [`LockManager::release_lock`](lockstore::LockManager::release_lock) of a key that nobody holds is an error. Default no.
    pub fn strict_release(self, strict: bool) -> Self {
        Self { strict_release: strict, ..self }
    }
}

impl Default for ReplicaSetOptions {
    fn default() -> Self {
        Self {
            database: Self::DATABASE.into(),
            session_ttl: Duration::from_secs(30),
            look_again: Duration::from_secs(1),
            waiter_ttl: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(60),
            reads: Reads::default(),
            pool_max: None,
            connect_timeout: None,
            strict_release: false,
        }
    }
}
