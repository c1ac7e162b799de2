//! One change of a lock: decided on what was seen, and written if nothing has changed since.

use bson::{Bson, DateTime, Document, doc};
use lockcore::{Granted, Outcome, Refusal, Token};
use lockstore::StoreError;
use mongodb::ClientSession;
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use mongodb::options::{ReadConcern, ReturnDocument};

use super::lock_document::LockDocument;
use super::look::Look;
use super::standing::Standing;
use super::stored::token;
use super::tokens::NUMBERS;
use super::written;
use super::{COUNTERS, LOCKS, Locks};
use crate::failure::{Failure, damaged};

/// What a change has come to.
pub(crate) type Decided = Result<Changed, Refusal>;

/// A change that is done.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) outcome: Outcome,
}

/// A lock as it is after a write.
#[derive(Debug)]
pub(super) struct Written {
    /// The lock, but for the tokens of new grants.
    pub(super) document: LockDocument,
    /// The token before the first new one.
    before_new: i64,
}

impl Written {
    /// The token of a new grant.
    pub(super) fn token(&self, which: i64) -> Result<Token, StoreError> {
        token(self.before_new + which)
    }
}

/// What goes with a change into the same transaction.
#[derive(Debug)]
pub(crate) struct Audit {
    pub(crate) holder: String,
    pub(crate) token: i64,
    pub(crate) reason: String,
    pub(crate) request: bson::Uuid,
    pub(crate) at: DateTime,
}

impl Locks {
    /// Does what `decide` decides on what was seen. What it tells is on most members when this returns.
    pub(super) async fn change(
        &self,
        look: &Look,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<Decided, Failure> {
        let mut standing = Standing::new(look)?;
        match decide(&mut standing) {
            Ok(outcome) => {
                let rests_on_look = match &outcome {
                    Outcome::Granted(granted) => granted.rejoined,
                    Outcome::Waiting(_) => false,
                    _ => true,
                };
                if rests_on_look && !standing.has_changed() {
                    self.confirm(look).await?;
                }
                self.changed(look, standing, outcome, None).await.map(Ok)
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Makes sure that what was seen was the latest. A primary that is new may not show yet what the one before it has told, and one that
    /// was cut off does not show what came after it; whoever writes finds that out, and whoever does not asks.
    pub(crate) async fn confirm(&self, look: &Look) -> Result<(), Failure> {
        let locks = self.database.collection::<Document>(LOCKS);
        let found = locks
            .find_one(doc! { "_id": &look.key })
            .projection(doc! { "rev": 1 })
            .read_concern(ReadConcern::linearizable())
            .await
            .map_err(Failure::of_reading)?;
        let latest = found.as_ref().and_then(|lock| lock.get_object_id("rev").ok());
        if latest == look.document.as_ref().map(|lock| lock.rev) {
            Ok(())
        } else {
            Err(Failure::Conflict)
        }
    }

    /// The same, and a record of it in the same transaction.
    pub(super) async fn change_on_record(
        &self,
        look: &Look,
        audit: &Audit,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<Decided, Failure> {
        let mut session = self.begin().await?;
        let changed = self.change_in(&mut session, look, Some(audit), decide).await;
        if let Ok(Ok(_)) = changed {
            self.commit(&mut session).await?;
        } else {
            // One that is not aborted is, by the server, after a minute at the latest.
            let _ = session.abort_transaction().await;
        }
        changed
    }

    /// The same within a transaction, which somebody else commits.
    pub(crate) async fn change_in(
        &self,
        session: &mut ClientSession,
        look: &Look,
        audit: Option<&Audit>,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<Decided, Failure> {
        let mut standing = Standing::new(look)?;
        let outcome = match decide(&mut standing) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let changed = self.changed(look, standing, outcome, Some(session)).await?;
        if let Some(audit) = audit {
            let number = self.draw(Some(session)).await?;
            self.record(number, &look.key, audit, session).await?;
        }
        Ok(Ok(changed))
    }

    /// A transaction whose commit is on most members.
    pub(crate) async fn begin(&self) -> Result<ClientSession, Failure> {
        let mut session = self.client.start_session().await.map_err(Failure::of_reading)?;
        let begun = session.start_transaction().write_concern(self.majority.clone());
        begun.await.map_err(Failure::of_reading)?;
        Ok(session)
    }

    /// Commits. One of which it is not known whether it was done is asked for again: it is done once.
    pub(crate) async fn commit(&self, session: &mut ClientSession) -> Result<(), Failure> {
        for _ in 1..COMMITS_MAX {
            match session.commit_transaction().await {
                Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
                committed => return committed.map_err(Failure::of),
            }
        }
        session.commit_transaction().await.map_err(Failure::of)
    }

    /// Draws a number that nobody had before: of a session, or of a record.
    pub(crate) async fn draw(&self, session: Option<&mut ClientSession>) -> Result<i64, Failure> {
        let counters = self.database.collection::<Document>(COUNTERS);
        let drawn = counters
            .find_one_and_update(doc! { "_id": NUMBERS }, doc! { "$inc": { "last": 1_i64 } })
            .upsert(true)
            .return_document(ReturnDocument::After);
        let drawn = match session {
            Some(session) => drawn.session(session).await,
            None => drawn.write_concern(self.majority.clone()).await,
        };
        let counter = drawn.map_err(Failure::of)?;
        let last = counter.and_then(|counter| counter.get("last").and_then(Bson::as_i64));
        Ok(last.ok_or_else(|| damaged("the counter is no number"))?)
    }

    async fn changed(
        &self,
        look: &Look,
        standing: Standing,
        outcome: Outcome,
        session: Option<&mut ClientSession>,
    ) -> Result<Changed, Failure> {
        let new_grant = match &outcome {
            Outcome::Granted(granted) => standing.new_grant(granted.token),
            _ => None,
        };
        let written = self.write(look, standing, session).await?;
        let outcome = match (outcome, new_grant) {
            (Outcome::Granted(granted), Some(which)) => {
                Outcome::Granted(Granted { token: written.token(which)?, ..granted })
            }
            (outcome, _) => outcome,
        };
        Ok(Changed { outcome })
    }

    /// Writes a lock as it stands, if it is still as it was seen and anything has changed.
    pub(super) async fn write(
        &self,
        look: &Look,
        standing: Standing,
        session: Option<&mut ClientSession>,
    ) -> Result<Written, Failure> {
        let (has_changed, new_grants) = (standing.has_changed(), standing.new_grants());
        let document = standing.into_document();
        if !has_changed {
            return Ok(Written { document, before_new: 0 });
        }
        self.known.forget(&look.key);
        // Of one that is not there, an insertion comes of it, which fails if it is there by now.
        let seen = look.document.as_ref();
        let rev = seen.map_or(doc! { "$exists": false }, |seen| doc! { "$eq": seen.rev });
        let locks = self.database.collection::<Document>(LOCKS);
        let update = locks
            .find_one_and_update(
                doc! { "_id": &document.key, "rev": rev },
                written::update(seen, &document, new_grants)?,
            )
            .upsert(seen.is_none())
            .projection(doc! { "last": 1 })
            .return_document(ReturnDocument::After);
        let updated = match session {
            Some(session) => update.session(session).await,
            None => update.write_concern(self.majority.clone()).await,
        };
        let updated = updated.map_err(Failure::of)?.ok_or(Failure::Conflict)?;
        let before_new = updated.get("last").and_then(Bson::as_i64).unwrap_or(0) - new_grants;
        Ok(Written { document, before_new })
    }
}

/// How often a commit is asked for at most, beside the driver's own second time.
const COMMITS_MAX: u32 = 8;
