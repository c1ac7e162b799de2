//! Sessions: kept alive by a sign of life now and then, and over when none has come for their TTL.

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, DateTime, Document, bson, doc};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use lockcore::{Instant, Key, Outcome, Refusal, SessionId, Wait};
use lockstore::StoreError;
use lockstore::remote::LockAnswer;
use rustix::system::uname;

use super::attempts::Attempts;
use super::lapsed::is_bound;
use super::look::{concern, options};
use super::reading::behind_all;
use super::stored::{number_of, session};
use super::{CLOSE_PATIENCE, LOCKS, Locks, SESSIONS};
use crate::failure::Failure;
use crate::options::Reads;

impl Locks {
    /// Begins a session of this process.
    pub(super) async fn open_session(self: &Arc<Self>) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "opening a session", Wait::No);
        loop {
            let asked_at = self.now();
            match self.insert_session().await {
                Ok(session) => {
                    self.beat_for(number_of(session), asked_at);
                    return Ok(LockAnswer::Done(Outcome::SessionOpened(session)));
                }
                // One that was opened and nobody was told of has nothing bound to it, and ends by itself.
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
    }

    /// Ends a session, and all that is bound to it.
    pub(super) async fn close_session(
        self: &Arc<Self>,
        closed: SessionId,
    ) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "ending a session", Wait::No);
        let number = number_of(closed);
        self.heart.forget(number);
        loop {
            match self.mark_closed(number).await {
                Ok(true) => break,
                Ok(false) => return Ok(LockAnswer::Refused(Refusal::UnknownSession)),
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
        loop {
            match self.settle_bound_to(number).await {
                Ok(()) => return Ok(LockAnswer::Done(Outcome::SessionClosed)),
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
    }

    /// Ends the sessions of this process that are open still, and gives no more signs of life.
    pub(super) async fn close_sessions(self: &Arc<Self>) {
        let sessions = self.heart.stop().into_iter().filter_map(|number| session(number).ok());
        let closed = join_all(sessions.map(async |session| {
            if let Err(error) = self.close_session(session).await {
                tracing::warn!(%error, %session, "a session ends by its TTL, for it could not be ended");
            }
        }));
        if tokio::time::timeout(CLOSE_PATIENCE, closed).await.is_err() {
            tracing::warn!("a store is closed with sessions that end by their TTL");
        }
    }

    async fn insert_session(&self) -> Result<SessionId, Failure> {
        let drawn = self.draw(None).await?;
        // An upsert, so that the time is the primary's.
        let until = self.lives_from_now();
        let born = vec![doc! { "$set": {
            "until": until, "closed": false, "openedAt": bson!("$$NOW"),
            "host": { "$literal": host() }, "pid": std::process::id(),
        } }];
        let inserted = self
            .database
            .collection::<Document>(SESSIONS)
            .update_one(doc! { "_id": drawn }, born)
            .upsert(true)
            .write_concern(self.majority.clone())
            .await;
        inserted.map_err(Failure::of)?;
        Ok(session(drawn)?)
    }

    /// `false` if there is no such session (any more).
    async fn mark_closed(&self, number: i64) -> Result<bool, Failure> {
        let sessions = self.database.collection::<Document>(SESSIONS);
        // Until when it is kept counts from now on.
        let closed = vec![doc! { "$set": { "closed": true, "until": bson!("$$NOW") } }];
        let marked = sessions
            .update_one(doc! { "_id": number }, closed)
            .write_concern(self.majority.clone())
            .await
            .map_err(Failure::of)?;
        Ok(marked.matched_count > 0)
    }

    /// Hands on what is bound to a session that is over.
    pub(super) async fn settle_bound_to(&self, number: i64) -> Result<(), Failure> {
        let bound = doc! { "$or": [{ "grants.session": number }, { "waitingSessions": number }] };
        let locks = self.database.collection::<Document>(LOCKS);
        let found =
            locks.find(bound).projection(doc! { "_id": 1 }).read_concern(concern(self.reads));
        let keys: Vec<Document> = found
            .await
            .map_err(Failure::of_reading)?
            .try_collect()
            .await
            .map_err(Failure::of_reading)?;
        let mut settled = Ok(());
        for key in keys {
            if let Some(key) = key.get("_id").and_then(Bson::as_str) {
                match self.settle(key).await {
                    Ok(()) => {}
                    Err(failure) if failure.is_of_all() => return Err(failure),
                    // What somebody else is changing just then, or cannot be settled, does not hold up the others.
                    failed => settled = failed,
                }
            }
        }
        settled
    }

    /// Until when a session surely lives by our time; `None` if it is over. A primary that is new may not show yet what sign of life the one before
    /// it has taken: that a session is over it has to make sure of.
    pub(super) async fn lives(&self, number: i64) -> Result<Option<Instant>, Failure> {
        let lives = self.lives_by(number, Reads::Majority).await?;
        if lives.is_some() {
            return Ok(lives);
        }
        self.bury(&[number]).await?;
        self.lives_by(number, Reads::Linearizable).await
    }

    /// Whether a session lives, now that something is written that is bound to it: then it lived when that was. If nobody can know, that is told.
    pub(super) async fn lives_on(
        &self,
        session: i64,
        attempts: &mut Attempts,
    ) -> Result<bool, StoreError> {
        loop {
            let lives = attempts.read(self, || self.lives(session)).await;
            match lives.map_err(|_| attempts.unknown())? {
                None => return Ok(false),
                Some(until) if self.now() < until => return Ok(true),
                Some(_) => {}
            }
        }
    }

    async fn lives_by(&self, number: i64, reads: Reads) -> Result<Option<Instant>, Failure> {
        let asked_at = self.now();
        let left = doc! { "left": { "$subtract": ["$until", "$$NOW"] } };
        let pipeline =
            [doc! { "$match": { "_id": number, "closed": false } }, doc! { "$project": left }];
        let sessions = self.database.collection::<Document>(SESSIONS);
        let found = sessions.aggregate(pipeline).with_options(options(reads));
        let mut found = found.await.map_err(Failure::of_reading)?;
        let found = found.try_next().await.map_err(Failure::of_reading)?;
        let left = found.and_then(|session| session.get_i64("left").ok());
        let left = left.and_then(|left| u64::try_from(left).ok()).filter(|left| *left > 0);
        Ok(left.map(|left| asked_at.saturating_add(Duration::from_millis(left))))
    }

    /// Whether the session of a grant lives, now that the grant is written: then it lived when that was, for it never lives again. If it does not, the
    /// grant ends.
    pub(crate) async fn outlives(
        &self,
        session: SessionId,
        granted: &Key,
    ) -> Result<bool, StoreError> {
        self.read("looking at a session", || async {
            if self.lives(number_of(session)).await?.is_some() {
                return Ok(true);
            }
            self.settle(granted.as_str()).await.map(|()| false)
        })
        .await
    }

    /// The sessions that are over and have left behind locks whose keys begin so: a bounded number. Also those of which there is no document any more.
    pub(crate) async fn dead_sessions(&self, prefix: &str) -> Result<Vec<i64>, StoreError> {
        self.read("looking for sessions that are over", || self.dead_now(prefix)).await
    }

    pub(super) async fn dead_now(&self, prefix: &str) -> Result<Vec<i64>, Failure> {
        let mut bound = is_bound();
        if let Some(behind) = behind_all(prefix) {
            bound.insert("_id", doc! { "$gte": prefix, "$lt": behind });
        }
        let session = doc! {
            "from": SESSIONS, "localField": "_id", "foreignField": "_id", "as": "session",
        };
        let lives = doc! { "$and": [
            { "$eq": ["$session.closed", false] }, { "$gt": ["$session.until", "$$NOW"] },
        ] };
        let pipeline = [
            doc! { "$match": bound },
            doc! { "$unwind": "$grants" },
            doc! { "$match": is_bound() },
            doc! { "$group": { "_id": "$grants.session" } },
            doc! { "$lookup": session },
            doc! { "$set": { "session": { "$first": "$session" } } },
            doc! { "$match": { "$expr": { "$not": [lives] } } },
            doc! { "$limit": DEAD_MAX },
        ];
        let locks = self.database.collection::<Document>(LOCKS);
        let found = locks.aggregate(pipeline).with_options(options(Reads::Majority)).await;
        let found = found.map_err(Failure::of_reading)?.try_collect::<Vec<_>>().await;
        let found = found.map_err(Failure::of_reading)?;
        let dead: Vec<i64> = found.iter().filter_map(|it| it.get_i64("_id").ok()).collect();
        if !dead.is_empty() {
            self.bury(&dead).await?;
        }
        Ok(dead)
    }

    /// Closes those of these sessions of which no sign of life has come in time. Only a closed one is over: who reads that its time has
    /// passed may read what was so some seconds ago.
    pub(super) async fn bury(&self, numbers: &[i64]) -> Result<(), Failure> {
        let sessions = self.database.collection::<Document>(SESSIONS);
        let lapsed = doc! {
            "_id": { "$in": numbers }, "closed": false, "$expr": { "$lte": ["$until", "$$NOW"] },
        };
        let closed = doc! { "$set": { "closed": true } };
        let buried = sessions.update_many(lapsed, closed).write_concern(self.majority.clone());
        buried.await.map(drop).map_err(Failure::of_reading)
    }
}

/// What this machine calls itself, for who lists sessions.
fn host() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// When a session that is over is forgotten, as an index of its `until` has it.
pub(super) const FORGOTTEN_AFTER_SECONDS: u64 = 3_600;

/// Of how many sessions that are over it is looked at once what they have left behind.
const DEAD_MAX: i64 = 10_000;

/// A date, for those who list sessions.
pub(super) type Until = DateTime;
