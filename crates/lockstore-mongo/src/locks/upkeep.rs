//! What is asked of the replica set as a whole: which store it is, and how far its tokens have come.

use bson::{Bson, Document, Uuid, doc};
use futures_util::TryStreamExt;
use lockcore::Wait;
use lockstore::{ReserveTokensError, StoreError, Token};
use mongodb::options::{ReturnDocument, UpdateModifications};

use super::attempts::Attempts;
use super::look::options;
use super::stored::token;
use super::tokens::before_the_first;
use super::{COUNTERS, Locks};
use crate::failure::{Failure, damaged};

impl Locks {
    /// Tells these locks from all others. It is drawn by whoever asks first.
    pub(crate) async fn id(&self) -> Result<Uuid, StoreError> {
        let drawn = doc! { "$setOnInsert": { "id": Uuid::new() } };
        let store = self.noted("asking which store it is", STORE, drawn.into()).await?;
        match store.get("id") {
            Some(Bson::Binary(id)) => id.to_uuid().map_err(damaged),
            _ => Err(damaged("the store has no id")),
        }
    }

    /// The lowest token that a grant can get from now on. It is the replica set's time, and nobody sets that.
    pub(crate) async fn reserve_tokens(
        &self,
        at_least: Token,
    ) -> Result<Token, ReserveTokensError> {
        let read = || async {
            let highest = doc! { "$group": { "_id": Bson::Null, "last": { "$max": "$last" } } };
            let locks = self.collection.aggregate([highest]).with_options(options(self.reads));
            let mut locks = locks.await.map_err(Failure::of_reading)?.with_type::<Document>();
            let found = locks.try_next().await.map_err(Failure::of_reading)?;
            Ok(found.and_then(|found| found.get("last").and_then(Bson::as_i64)).unwrap_or(0))
        };
        // The time comes behind the look, in a write that most members have: so it is that of whoever is the primary now.
        let of_locks = self.read("asking how far tokens have come", read).await?;
        let now = doc! { "$set": { "last": before_the_first() } };
        let noted = self.noted("asking how far tokens have come", TOKENS, vec![now].into()).await?;
        let last = noted.get("last").and_then(Bson::as_i64).unwrap_or(0);
        let next = token(last.max(of_locks).saturating_add(1))?;
        if at_least > next {
            return Err(ReserveTokensError::TooHigh { at_least, highest: next });
        }
        Ok(next)
    }

    /// Updates a document of the counters, or makes it, and gives what it is then, on most members. Doing it twice is doing it once.
    async fn noted(
        &self,
        what: &'static str,
        id: &str,
        update: UpdateModifications,
    ) -> Result<Document, StoreError> {
        let counters = self.database.collection::<Document>(COUNTERS);
        let mut attempts = Attempts::new(self, what, Wait::No);
        loop {
            let noted = counters
                .find_one_and_update(doc! { "_id": id }, update.clone())
                .upsert(true)
                .return_document(ReturnDocument::After)
                .write_concern(self.majority.clone());
            match noted.await.map_err(Failure::of) {
                Ok(Some(noted)) => return Ok(noted),
                Ok(None) => return Err(damaged("a counter is not there")),
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
    }
}

/// The `_id`s of what tells the store from others, and of the time by which tokens have been asked for.
const STORE: &str = "store";
const TOKENS: &str = "tokens";
