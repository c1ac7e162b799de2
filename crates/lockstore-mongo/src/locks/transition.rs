//! One change of a lock: decided on what was seen, and written if nothing has changed since.

use bson::{Bson, DateTime, Document, doc};
use lockcore::{Instant, Outcome, Refusal, Token};
use mongodb::ClientSession;
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use mongodb::options::ReturnDocument;

use super::lock_document::LockDocument;
use super::look::Look;
use super::standing::{Standing, token};
use super::{COUNTERS, Locks, NUMBERS};
use crate::failure::{Failure, damaged};

/// What a change has come to.
pub(crate) type Decided = Result<Changed, Refusal>;

/// A change that is done.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) outcome: Outcome,
    /// The lock as it is now.
    pub(crate) document: LockDocument,
    /// When something of it runs out next, by the primary's time.
    pub(crate) next_deadline: Option<Instant>,
}

impl Changed {
    fn new(outcome: Outcome, standing: Standing) -> Self {
        let next_deadline = standing.next_deadline();
        Self { outcome, document: standing.into_document(), next_deadline }
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
        audit: Option<&Audit>,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<Decided, Failure> {
        let mut standing = Standing::new(look, None)?;
        let outcome = match decide(&mut standing) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !standing.has_changed() {
            return Ok(Ok(Changed::new(outcome, standing)));
        }
        if standing.tokens() == 0 && audit.is_none() {
            let changed = Changed::new(outcome, standing);
            self.write(look, &changed.document, None).await?;
            return Ok(Ok(changed));
        }
        let mut session = self.begin().await?;
        let changed = self.change_in(&mut session, look, standing.tokens(), audit, decide).await;
        match changed {
            Ok(Ok(changed)) => {
                self.commit(&mut session).await?;
                Ok(Ok(changed))
            }
            changed => {
                // One that is not aborted is, by the server, after a minute at the latest.
                let _ = session.abort_transaction().await;
                changed
            }
        }
    }

    /// The same within a transaction, which somebody else commits.
    pub(crate) async fn change_in(
        &self,
        session: &mut ClientSession,
        look: &Look,
        tokens: u64,
        audit: Option<&Audit>,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<Decided, Failure> {
        let numbers = tokens + u64::from(audit.is_some());
        let first = self.draw(numbers, Some(session)).await?;
        let mut standing = Standing::new(look, Some(first))?;
        let outcome = match decide(&mut standing) {
            Ok(outcome) => outcome,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let changed = Changed::new(outcome, standing);
        self.write(look, &changed.document, Some(session)).await?;
        if let Some(audit) = audit {
            let number = first.get() + tokens;
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

    /// Draws so many numbers, which nobody had before, and gives the first.
    pub(super) async fn draw(
        &self,
        numbers: u64,
        session: Option<&mut ClientSession>,
    ) -> Result<Token, Failure> {
        let counters = self.database.collection::<Document>(COUNTERS);
        let by = i64::try_from(numbers).unwrap_or(i64::MAX);
        let change = doc! { "$inc": { "next": by } };
        let drawn = counters
            .find_one_and_update(doc! { "_id": NUMBERS }, change)
            .upsert(true)
            .return_document(ReturnDocument::After);
        let drawn = match session {
            Some(session) => drawn.session(session).await,
            None => drawn.write_concern(self.majority.clone()).await,
        };
        let counter = drawn.map_err(Failure::of)?;
        let next = counter.and_then(|counter| counter.get("next").and_then(Bson::as_i64));
        // Numbers begin at 1.
        let first = next.and_then(|next| next.checked_sub(by)).map(|before| before + 1);
        let first = first.ok_or_else(|| damaged("the counter of tokens is no number"))?;
        Ok(token(first)?)
    }

    /// Writes the document of a lock, if it is still as it was seen.
    pub(super) async fn write(
        &self,
        look: &Look,
        document: &LockDocument,
        session: Option<&mut ClientSession>,
    ) -> Result<(), Failure> {
        let Some(seen) = &look.document else {
            let inserted = self.locks.insert_one(document);
            let inserted = match session {
                Some(session) => inserted.session(session).await,
                None => inserted.write_concern(self.majority.clone()).await,
            };
            return inserted.map(drop).map_err(Failure::of);
        };
        let as_seen = doc! { "_id": &document.key, "rev": seen.rev };
        let replaced = self.locks.replace_one(as_seen, document);
        let replaced = match session {
            Some(session) => replaced.session(session).await,
            None => replaced.write_concern(self.majority.clone()).await,
        };
        match replaced.map_err(Failure::of)?.matched_count {
            0 => Err(Failure::Conflict),
            _ => Ok(()),
        }
    }
}

/// How often a commit is asked for at most, beside the driver's own second time.
const COMMITS_MAX: u32 = 8;
