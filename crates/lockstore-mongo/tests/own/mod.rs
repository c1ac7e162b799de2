//! A store for one test, on the replica set that all tests of a process share.

use lockstore::{Collection, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// A store of its own, and the name of a database of its own for documents.
pub(crate) struct Own {
    pub(crate) store: Store,
    pub(crate) database: String,
}

impl Own {
    pub(crate) fn new() -> Self {
        Self::with(ReplicaSetOptions::new())
    }

    pub(crate) fn with(options: ReplicaSetOptions) -> Self {
        let options = options.database(new_database());
        let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
        Self { store, database: new_database() }
    }

    pub(crate) fn jobs(&self) -> Collection {
        self.store.database(&self.database).collection("jobs")
    }
}
