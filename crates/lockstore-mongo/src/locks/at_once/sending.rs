//! How a write without a look is sent: so that it is known that it is not done later, if nobody was told of it.

use bson::oid::ObjectId;
use bson::{Document, doc};
use lockstore::StoreError;
use mongodb::error::Error;

use super::super::attempts::Attempts;
use super::super::{COUNTERS, Locks};
use crate::failure::{Failure, damaged};
use crate::numbered::Lent;

/// Why a write is not done when it arrives late.
pub(super) enum Resting<'l> {
    /// It is done to the state of this `rev` only, which is another by then.
    On(ObjectId),
    /// It has a number, behind which another was sent.
    Numbered(&'l mut Lent),
}

impl Resting<'_> {
    /// Finds a lock only in the state that the write rests on.
    pub(super) fn on(&self, mut found: Document) -> Document {
        if let Self::On(rev) = self {
            found.insert("rev", *rev);
        }
        found
    }
}

impl Locks {
    /// A session for a call whose write depends on no state, as all other changes of locks do: an attempt that the network has kept would be done
    /// whenever it arrives, but for its number.
    pub(super) async fn lend(&self, attempts: &mut Attempts) -> Result<Lent, StoreError> {
        loop {
            match self.numbered.lend(&self.client).await {
                Ok(lent) => return Ok(lent),
                Err(error) => attempts.failed(Failure::of_reading(error), self).await?,
            }
        }
    }

    /// Sends a write, once. What it tells is on most members.
    pub(super) async fn write_once(
        &self,
        resting: &mut Resting<'_>,
        mut command: Document,
    ) -> Result<Document, Failure> {
        let majority = bson::serialize_to_bson(&self.majority).map_err(damaged)?;
        command.insert("writeConcern", majority);
        let reply = match resting {
            Resting::On(_) => self.database.run_command(command).await,
            Resting::Numbered(lent) => {
                let (session, number) = lent.next();
                command.insert("txnNumber", number);
                self.database.run_command(command).session(session).await
            }
        };
        let reply = reply.map_err(Failure::of_one_try)?;
        for error in ["writeErrors", "writeConcernError"] {
            if let Some(told) = reply.get(error) {
                return Err(Failure::Unknown(Error::custom(told.to_string())));
            }
        }
        Ok(reply)
    }

    /// Takes that a write has failed. When this returns, that attempt is done already, or refused whenever it arrives: the same session has done a
    /// write with a higher number.
    pub(super) async fn make_void(
        &self,
        lent: Lent,
        failure: Failure,
        attempts: &mut Attempts,
    ) -> Result<(), StoreError> {
        attempts.sent_in = Some(lent);
        attempts.failed(failure, self).await?;
        while attempts.uncertain
            && let Some(lent) = &mut attempts.sent_in
        {
            match self.void(lent).await {
                Ok(()) => break,
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
        attempts.sent_in = None;
        Ok(())
    }

    /// Makes void what was written in a session before and is not done yet.
    pub(in crate::locks) async fn void(&self, lent: &mut Lent) -> Result<(), Failure> {
        // A write that changes nothing would be forgotten in an election.
        let count =
            doc! { "q": { "_id": VOIDED }, "u": { "$inc": { "last": 1_i64 } }, "upsert": true };
        let counting = doc! { "update": COUNTERS, "updates": [count] };
        self.write_once(&mut Resting::Numbered(lent), counting).await.map(drop)
    }
}

/// The `_id` of the counter that is written to make an earlier write void.
const VOIDED: &str = "voided";
