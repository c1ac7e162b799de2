//! Who has broken which lock, and why.

use bson::{DateTime, doc};
use futures_util::TryStreamExt;
use lockstore::{BreakRecord, StoreError, WallTime};
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};

use super::stored::{holder, key, token};
use super::transition::Audit;
use super::{AUDIT, Locks};
use crate::failure::{Failure, damaged};
use crate::locks::look::concern;
use crate::time::instant;

/// A break, as its document in the collection `audit` has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredBreak {
    /// From the counter.
    #[serde(rename = "_id")]
    number: i64,
    key: String,
    holder: String,
    token: i64,
    reason: String,
    at: DateTime,
    /// The call that has broken it.
    request: bson::Uuid,
}

impl Locks {
    /// Records a break in the transaction that breaks, and gives the record.
    pub(crate) async fn record(
        &self,
        number: i64,
        key: &str,
        audit: &Audit,
        session: &mut ClientSession,
    ) -> Result<BreakRecord, Failure> {
        let record = StoredBreak {
            number,
            key: key.into(),
            holder: audit.holder.clone(),
            token: audit.token,
            reason: audit.reason.clone(),
            at: audit.at,
            request: audit.request,
        };
        let records = self.database.collection::<StoredBreak>(AUDIT);
        records.insert_one(&record).session(session).await.map_err(Failure::of)?;
        Ok(record.record()?)
    }

    /// What a call has recorded, when there is a primary.
    pub(crate) async fn on_record(
        &self,
        request: bson::Uuid,
    ) -> Result<Option<BreakRecord>, StoreError> {
        self.read("looking for a record", || self.recorded(request)).await
    }

    /// What a call has recorded.
    pub(super) async fn recorded(
        &self,
        request: bson::Uuid,
    ) -> Result<Option<BreakRecord>, Failure> {
        let records = self.database.collection::<StoredBreak>(AUDIT);
        let found = records.find_one(doc! { "request": request });
        let found = found.read_concern(concern(self.reads)).await.map_err(Failure::of_reading)?;
        Ok(found.map(StoredBreak::record).transpose()?)
    }

    /// The records before `before`, the newest first.
    pub(super) async fn records(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<BreakRecord>, Failure> {
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let records = self.database.collection::<StoredBreak>(AUDIT);
        let found = records
            .find(doc! { "_id": { "$lt": before } })
            .sort(doc! { "_id": -1 })
            .limit(limit)
            .read_concern(concern(self.reads));
        let found = found.await.map_err(Failure::of_reading)?;
        let stored: Vec<StoredBreak> = found.try_collect().await.map_err(Failure::of_reading)?;
        let records: Result<_, StoreError> = stored.into_iter().map(StoredBreak::record).collect();
        Ok(records?)
    }
}

impl StoredBreak {
    fn record(self) -> Result<BreakRecord, StoreError> {
        let number = u64::try_from(self.number);
        Ok(BreakRecord {
            number: number.map_err(|_| damaged("a record of a break has no number"))?,
            key: key(&self.key)?,
            holder: holder(&self.holder)?,
            token: token(self.token)?,
            reason: self.reason,
            at: WallTime::from_millis(instant(self.at).millis_floor()),
        })
    }
}
