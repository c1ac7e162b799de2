//! The indexes of our collections.

use std::future::IntoFuture;
use std::time::Duration;

use bson::{Document, doc};
use futures_util::future::{try_join, try_join_all};
use mongodb::IndexModel;
use mongodb::error::Result;
use mongodb::options::IndexOptions;

use super::sessions::FORGOTTEN_AFTER_SECONDS;
use super::tokens::NUMBERS;
use super::{AUDIT, COUNTERS, LOCKS, Locks, SESSIONS};

impl Locks {
    /// Makes what is not there yet. A transaction makes no collections of ours then.
    pub(crate) async fn prepare(&self) -> Result<()> {
        let forgotten = Duration::from_secs(FORGOTTEN_AFTER_SECONDS);
        let wanted = [
            (LOCKS, doc! { "due": 1 }, None),
            (LOCKS, doc! { "grants.session": 1 }, None),
            (LOCKS, doc! { "waitingSessions": 1 }, None),
            (LOCKS, doc! { "freedAt": 1 }, Some(forgotten)),
            (SESSIONS, doc! { "until": 1 }, Some(forgotten)),
            (AUDIT, doc! { "request": 1 }, None),
            (AUDIT, doc! { "at": 1 }, Some(AUDIT_KEPT)),
        ];
        let making = [LOCKS, SESSIONS, AUDIT].map(|collection| {
            let of_it = wanted.iter().filter(|(name, ..)| *name == collection);
            let models: Vec<_> = of_it
                .map(|(_, keys, forgotten)| {
                    let options =
                        IndexOptions::builder().sparse(true).expire_after(*forgotten).build();
                    IndexModel::builder().keys(keys.clone()).options(options).build()
                })
                .collect();
            let collection = self.database.collection::<Document>(collection);
            async move { collection.create_indexes(models).await }
        });
        // In a transaction it would be made by the first record of a break.
        let counters = self.database.collection::<Document>(COUNTERS);
        let begins = doc! { "$setOnInsert": { "last": 0_i64 } };
        let begun = counters.update_one(doc! { "_id": NUMBERS }, begins).upsert(true);
        let begun = begun.write_concern(self.majority.clone()).into_future();
        try_join(try_join_all(making), begun).await.map(drop)
    }
}

/// How long a record of a break is kept: 365 days.
const AUDIT_KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
