//! Connecting to a replica set, or to a file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bson::{Document, doc};
use lockstore::remote::Remote;
use lockstore::{Store, StoreError};
use mongodb::Client;
use mongodb::options::{ClientOptions, ReadPreference, SelectionCriteria};

use crate::failure;
use crate::options::ReplicaSetOptions;
use crate::replica_set::ReplicaSet;
use crate::runtime::Threads;

/// Connects to a store, wherever it is: at `mongodb://` and `mongodb+srv://` on a replica set, else in the file of that path, whose server
/// is joined or started ([`lockstore_server::connect`]). All that a store can do it can do in both.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let store = lockstore::Store::open(folder.path().join("jobs.redb"))?;
/// # fn connect(_: &str) -> Result<(), lockstore_mongo::ConnectError> { Ok(()) }
/// let address = std::env::var("STORE").unwrap_or_else(|_| "jobs.redb".into());
/// let store_or_error = connect(&address); // "mongodb://a,b,c/?replicaSet=rs0" on many machines
/// # store_or_error?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`ConnectError`].
pub fn connect(address: &str) -> Result<Store, ConnectError> {
    if is_replica_set(address) {
        return ReplicaSetOptions::new().connect(address);
    }
    Ok(lockstore_server::connect(address)?)
}

/// Whether an address is a replica set's, and not a path.
pub fn is_replica_set(address: &str) -> bool {
    address.starts_with("mongodb://") || address.starts_with("mongodb+srv://")
}

/// Why a store cannot be connected to. No user and no password is in its words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address makes no sense.
    #[error(
        "the address of the replica set makes no sense, or has an option that MongoDB does not have; are user and password \
         percent-encoded, and the hosts {address}?"
    )]
    Address {
        /// The address, without user, password and options.
        address: String,
    },
    /// No member answers, or none is the primary.
    #[error("the replica set {address} cannot be used: {reason}")]
    Unusable {
        /// The address, without user and password.
        address: String,
        /// Why not.
        reason: String,
    },
    /// There are no threads for the driver.
    #[error("there are no threads for the driver of MongoDB: {0}")]
    Threads(#[from] std::io::Error),
    /// The file's server.
    #[error(transparent)]
    Server(#[from] lockstore_server::ConnectError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReplicaSetOptions {
    /// Connects to the replica set at `address`: `mongodb://a,b,c/?replicaSet=rs0`, with all that MongoDB's addresses have (users, TLS,
    /// timeouts). It needs MongoDB 6.0, and a user who may read and write the database of the locks. What the locks need there is made.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn connect(self, address: &str) -> Result<Store, ConnectError> {
        Ok(Store::remote(self.transport(address)?))
    }

    /// Connects as [`connect`](Self::connect) does, and gives the way to the replica set alone: for who wants to stand between it and the store, as
    /// the tests do.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    pub fn transport(self, address: &str) -> Result<Arc<dyn Remote>, ConnectError> {
        let shown = without_secrets(address);
        let threads = Threads::start()?;
        let parsed = {
            let address = address.to_owned();
            threads.run(async move { ClientOptions::parse(address).await })?
        };
        // The driver's words are not passed on: where a password is not percent-encoded they have parts of it.
        let mut options = parsed.map_err(|_| ConnectError::Address { address: shown.clone() })?;
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.max_pool_size = self.pool_max.or(options.max_pool_size);
        // The driver's own are 10 s each: a primary that is cut off would be noticed after 20 s.
        options.connect_timeout =
            self.connect_timeout.or(options.connect_timeout).or(Some(CONNECT_TIMEOUT));
        options.heartbeat_freq = options.heartbeat_freq.or(Some(HEARTBEAT));
        // The driver's own is 30 s.
        let patience = options
            .server_selection_timeout
            .map_or(self.patience, |timeout| timeout.min(self.patience));
        options.server_selection_timeout = Some(patience);
        // What has become of a write is known by its number.
        options.retry_writes = Some(true);
        options.app_name.get_or_insert_with(|| "lockstore".into());
        let unusable = |reason: String| ConnectError::Unusable { address: shown.clone(), reason };
        // The driver looks at its members on these threads from here on.
        let client = threads.run(async move { Client::with_options(options) })?;
        let client = client.map_err(|error| unusable(failure::reason(&error)))?;
        let asked = client.clone();
        let hello = threads
            .run(async move { asked.database("admin").run_command(doc! { "hello": 1 }).await })?;
        let hello = hello.map_err(|error| unusable(failure::reason(&error)))?;
        if let Some(lacks) = lacks(&hello) {
            return Err(unusable(lacks.into()));
        }
        let called: Arc<Path> = Path::new(&shown).into();
        let replica_set = ReplicaSet::new(threads, client, called, &self)?;
        replica_set.prepare()?.map_err(|error| unusable(failure::reason(&error)))?;
        Ok(Arc::new(replica_set))
    }
}

/// What a server lacks that its locks would need, by what it says of itself.
fn lacks(hello: &Document) -> Option<&'static str> {
    let wire_version = hello.get_i32("maxWireVersion").unwrap_or(0);
    if hello.contains_key("msg") {
        Some("it is a sharded cluster, on which this has not been tested")
    } else if !hello.contains_key("setName") {
        Some(
            "it is a mongod of its own, and no replica set: one member is enough, started with --replSet and initiated by \
             rs.initiate()",
        )
    } else if wire_version < WIRE_VERSION_MIN {
        Some("it is older than MongoDB 6.0")
    } else {
        None
    }
}

/// What may be shown of an address: scheme and hosts. A user is nobody's business, and options may have secrets too.
pub fn without_secrets(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("mongodb", address));
    // A password may have anything in it, if it was not escaped as it should be.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let hosts = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = if hosts.split(',').all(is_host) { hosts } else { "..." };
    format!("{scheme}://{hosts}")
}

/// A name, and perhaps a port.
fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    name.chars().all(is_name) && port.chars().all(|c| c.is_ascii_digit())
}

/// MongoDB 6.0's.
const WIRE_VERSION_MIN: i32 = 17;

/// How often each member is asked how it is, where the address does not say.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a connection may take to be made, and a member to say how it is, where nobody says.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_cannot_keep_locks_is_refused() {
        let lacks = |hello| lacks(&hello).unwrap_or("nothing");
        assert!(lacks(doc! { "maxWireVersion": 17 }).contains("no replica set"));
        assert!(lacks(doc! { "setName": "rs0", "maxWireVersion": 13 }).contains("6.0"));
        assert!(lacks(doc! { "msg": "isdbgrid", "maxWireVersion": 21 }).contains("sharded"));
        assert_eq!(lacks(doc! { "setName": "rs0", "maxWireVersion": 17 }), "nothing");
    }

    #[test]
    fn no_secret_is_shown() {
        for (address, shown) in [
            ("mongodb://a,b:27018/?replicaSet=rs0", "mongodb://a,b:27018"),
            ("mongodb://user:secret@a/db?authSource=admin", "mongodb://a"),
            ("mongodb://user:sec@ret@a,b", "mongodb://a,b"),
            ("mongodb://user:sec/ret@a,[::1]:3/", "mongodb://a,[::1]:3"),
            ("mongodb://us/er:secret?@a", "mongodb://a"),
            ("mongodb://user:secret", "mongodb://..."),
            ("mongodb://user%40secret:secret/", "mongodb://..."),
            (
                "mongodb+srv://user:secret@cluster.example.org/?tlsCertificateKeyFilePassword=x",
                "mongodb+srv://cluster.example.org",
            ),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
        for address in [
            "mongodb://user:secret@a:notaport/",
            "mongodb://user:secret",
            "mongodb://user:secret?x@h/",
            "mongodb://h/?tlsCertificateKeyFilePassword=secret&notAnOption=secret",
        ] {
            let refused = connect(address).unwrap_err();
            let told = format!("{refused} {refused:?}");
            assert!(matches!(refused, ConnectError::Address { .. }), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
