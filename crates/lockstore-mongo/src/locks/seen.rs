//! Looks that settle what they find.

use lockcore::{Instant, Outcome};

use super::Locks;
use super::look::{Look, look};
use super::standing::Standing;
use crate::document_locks;
use crate::failure::Failure;

impl Locks {
    /// Looks at the lock of `key`, and at the sessions that would be bound to it. `asked_at` is our time before.
    pub(crate) async fn look_at(
        &self,
        key: &str,
        wanted_sessions: impl IntoIterator<Item = i64>,
        asked_at: Instant,
    ) -> Result<Look, Failure> {
        let wanted: Vec<i64> = wanted_sessions.into_iter().collect();
        let seen = look(&self.database, key, wanted.clone(), self.reads, asked_at).await?;
        let lapsed = seen.lapsed();
        if lapsed.is_empty() {
            return Ok(seen);
        }
        self.bury(&lapsed).await?;
        // One that gave a sign of life meanwhile is not over; and what is written rests on what is seen now.
        look(&self.database, key, wanted, self.reads, asked_at).await
    }

    /// The same of a lock of which nothing is decided: what was handed on by then is written first, so that each of its grants has a token. It is a
    /// conflict then.
    pub(super) async fn look_settled(
        &self,
        key: &str,
        wanted_sessions: impl IntoIterator<Item = i64>,
    ) -> Result<(Look, Standing), Failure> {
        self.settled(self.look_at(key, wanted_sessions, self.now()).await?).await
    }

    /// The same of a lock that was looked at.
    pub(super) async fn settled(&self, look: Look) -> Result<(Look, Standing), Failure> {
        let standing = Standing::new(&look)?;
        if standing.new_grants() == 0 {
            return Ok((look, standing));
        }
        self.write(&look, standing, None).await?;
        Err(Failure::Conflict)
    }

    /// Writes what has run out by now.
    pub(super) async fn settle(&self, key: &str) -> Result<(), Failure> {
        let look = self.look_at(key, None, self.now()).await?;
        if document_locks::is_side_key(key) {
            return document_locks::free(self, &look).await;
        }
        self.change(&look, |_| Ok(Outcome::Ended)).await.map(drop)
    }
}
