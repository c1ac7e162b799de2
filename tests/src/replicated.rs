//! Stores on the replica set that all tests of a process share.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use lockstore::Store;
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

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

fn connect(database: &str) -> Store {
    let options = ReplicaSetOptions::new().database(database);
    options.connect(&ReplicaSet::shared().uri()).expect("the replica set answers")
}
