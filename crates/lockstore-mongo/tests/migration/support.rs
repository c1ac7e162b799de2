//! What is migrated in tests, and where to.

use std::ops::ControlFlow;
use std::time::Duration;

use bson::{RawDocumentBuf, doc, rawdoc};
use lockstore::{Collection, Store, Token};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_mongo::migration::{Ended, Endpoint, Migration, Report, Selection, Step};
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// What is migrated, and where to.
pub(crate) struct Stores {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) database: String,
}

impl Stores {
    pub(crate) fn files() -> Self {
        Self { from: file("from.redb"), to: file("to.redb"), database: new_database() }
    }

    pub(crate) fn to_a_set() -> Self {
        Self { to: set(), ..Self::files() }
    }

    pub(crate) fn migration(&self) -> Migration {
        Migration::new(self.from.clone(), self.to.clone())
            .only(Selection::databases([&self.database]))
    }

    pub(crate) fn there(&self) -> Collection {
        self.to.store().database(&self.database).collection("jobs")
    }

    pub(crate) fn jobs(&self) -> Collection {
        self.from.store().database(&self.database).collection("jobs")
    }

    /// So many documents.
    pub(crate) fn filled(self, count: i32) -> Self {
        let documents =
            (0..count).map(|id| doc! { "_id": id, "kind": id % 7, "text": "x".repeat(20) });
        self.jobs().insert_many(documents).run().unwrap();
        self
    }

    /// The way back, to another file.
    pub(crate) fn back(self) -> Self {
        Self { from: self.to, to: file("back.redb"), database: self.database }
    }
}

pub(crate) fn file(name: &str) -> Endpoint {
    Endpoint::file(Store::in_memory().unwrap(), name)
}

/// The replica set, with locks of its own.
pub(crate) fn set() -> Endpoint {
    let own = new_database();
    let store = ReplicaSetOptions::new().database(&own).connect(&ReplicaSet::shared().uri());
    Endpoint::replica_set(store.unwrap(), "the set", own)
}

pub(crate) fn go_on(_: Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[track_caller]
pub(crate) fn migrated(migration: &Migration) -> Report {
    match migration.run(&mut go_on).unwrap() {
        Ended::Migrated(report) => report,
        Ended::Already(at) => panic!("it was finished at {at}"),
    }
}

pub(crate) fn raw(collection: &Collection) -> Vec<RawDocumentBuf> {
    let collection = collection.with_type::<RawDocumentBuf>();
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

/// Puts documents there as they are, empty timestamps too.
pub(crate) fn put(collection: &Collection, documents: &[RawDocumentBuf]) {
    for document in documents {
        let id = document.get("_id").unwrap().unwrap();
        let stage = rawdoc! { "$replaceWith": { "$literal": document.clone() } };
        let filter = rawdoc! { "_id": { "$eq": id } };
        let put = collection.update_one(filter, vec![stage]).upsert(true).run();
        put.unwrap_or_else(|error| panic!("{document:?}: {error}"));
    }
}

/// Leaks locks, as they are of processes that are gone.
pub(crate) fn hold(
    store: &Store,
    key: &str,
    holder: &str,
    ttl: Option<Duration>,
    shared: bool,
) -> Token {
    let request = store.lock(key).holder(holder);
    let request = if shared { request.shared() } else { request };
    let request = ttl.map_or(request.clone(), |ttl| request.clone().ttl(ttl));
    request.acquire().unwrap().leak().token
}

impl Stores {
    pub(crate) fn migration_of_locks(&self) -> Migration {
        self.migration().only(Selection::no_documents())
    }
}
