//! What one majority write costs without lockstore.

use bson::{Document, doc};
use lockstore_testkit::replica_set::new_database;
use mongodb::options::WriteConcern;
use mongodb::{Client, Collection};
use tokio::runtime::Runtime;

use super::members;
use crate::Result;
use crate::measure::Latencies;

/// The driver alone, on the same replica set: a `findOneAndUpdate` of one document that most members have when it returns.
#[derive(Debug)]
pub(super) struct Floor {
    runtime: Runtime,
    documents: Collection<Document>,
}

impl Floor {
    pub(super) fn connect() -> Result<Self> {
        // As many as ours has.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let client = runtime.block_on(Client::with_uri_str(members().uri()))?;
        let documents = client.database(&new_database()).collection("floor");
        Ok(Self { runtime, documents })
    }

    /// One such write.
    pub(super) fn write(&self, key: &str) {
        let update = doc! { "$inc": { "writes": 1_i64 }, "$currentDate": { "at": true } };
        let written = self
            .documents
            .find_one_and_update(doc! { "_id": key }, update)
            .upsert(true)
            .write_concern(WriteConcern::majority());
        self.runtime.block_on(async move { written.await }).expect("the replica set writes");
    }

    /// The median of `times` writes, in ns.
    pub(super) fn write_ns(&self, times: usize) -> f64 {
        let mut took = Latencies::new();
        for _ in 0..times {
            took.time(|| self.write("one"));
        }
        took.quantile(0.5)
    }
}
