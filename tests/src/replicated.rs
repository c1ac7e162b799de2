//! Stores on the replica set that all tests of a process share.

mod apart;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use lockstore::Store;
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

use apart::Apart;

/// A new store.
///
/// # Panics
///
/// There is no replica set.
pub fn replicated() -> Store {
    connect(&new_database())
}

/// The store that is called after a path: the same one for the same path, in a new folder a new one.
///
/// # Panics
///
/// There is no replica set.
pub fn replicated_as(path: &Path) -> Store {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    connect(&format!("test_{:016x}", hasher.finish()))
}

fn connect(name: &str) -> Store {
    let options = ReplicaSetOptions::new().database(name);
    let all = options.transport(&ReplicaSet::shared().uri()).expect("the replica set answers");
    Store::remote(Arc::new(Apart::new(all, name)))
}
