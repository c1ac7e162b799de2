//! The signs of life of this process's sessions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bson::{Bson, Document, bson, doc};
use futures_util::TryStreamExt;
use lockcore::{Instant, SessionId};
use lockstore::remote::SessionLife;
use mongodb::options::ReadConcern;
use tokio::task::{JoinHandle, JoinSet};

use super::stored::number_of;
use super::{Locks, SESSIONS};
use crate::failure::Failure;

/// The sessions of this process, for which it gives signs of life.
#[derive(Debug, Default)]
pub(super) struct Heart {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Also those that have ended for want of a sign of life, until they are closed.
    sessions: BTreeMap<i64, Arc<SessionLife>>,
    beats: Option<JoinHandle<()>>,
}

impl Heart {
    /// A session is over, or nobody gives signs of life for it any more.
    pub(super) fn forget(&self, number: i64) {
        if let Some(life) = self.lock().sessions.remove(&number) {
            life.end();
        }
    }

    /// Ends the beats. Gives the sessions that are open still.
    pub(super) fn stop(&self) -> Vec<i64> {
        let mut state = self.lock();
        if let Some(beats) = state.beats.take() {
            beats.abort();
        }
        state.sessions.keys().copied().collect()
    }

    fn life(&self, number: i64) -> Option<Arc<SessionLife>> {
        self.lock().sessions.get(&number).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Locks {
    /// How long a session of this process surely lives.
    pub(crate) fn session_life(&self, session: SessionId) -> Option<Arc<SessionLife>> {
        self.heart.life(number_of(session))
    }

    /// Whether a session of this process lives as far as it knows: our time says so, and that another has ended it is heard of with the next sign
    /// of life.
    pub(super) fn seems_to_live(&self, session: i64) -> bool {
        self.heart.life(session).is_some_and(|life| !life.is_over(self.now()))
    }

    /// The sessions of this process that live as far as it knows, unless they are many.
    pub(super) fn few_living(&self) -> Vec<i64> {
        let state = self.heart.lock();
        if state.sessions.len() > FEW {
            return Vec::new();
        }
        let now = self.now();
        let living = state.sessions.iter().filter(|(_, life)| !life.is_over(now));
        living.map(|(number, _)| *number).collect()
    }

    /// Gives signs of life for a session that was opened when it was `asked_at` or later.
    pub(super) fn beat_for(self: &Arc<Self>, number: i64, asked_at: Instant) {
        let mut state = self.heart.lock();
        let life = SessionLife::new(self.lives_until(asked_at));
        state.sessions.insert(number, Arc::new(life));
        if state.beats.as_ref().is_none_or(JoinHandle::is_finished) {
            state.beats = Some(tokio::spawn(go_on_beating(Arc::downgrade(self))));
        }
    }

    /// One sign of life, and whether it was taken.
    async fn has_beaten(self: Arc<Self>) -> bool {
        match tokio::time::timeout(self.session_ttl, self.beat()).await {
            Ok(Ok(())) => return true,
            Ok(Err(failure)) => {
                tracing::warn!(?failure, "no sign of life of this process was taken");
            }
            Err(_) => tracing::warn!("no sign of life was answered in time"),
        }
        false
    }

    /// Until when a session lives, as the primary has it.
    pub(super) fn lives_from_now(&self) -> Bson {
        let ttl = i64::try_from(self.session_ttl.as_millis()).unwrap_or(i64::MAX);
        bson!({ "$add": ["$$NOW", ttl] })
    }

    /// Until when it surely lives by our time: it was asked for before the primary's time counted.
    fn lives_until(&self, asked_at: Instant) -> Instant {
        asked_at.saturating_add(self.session_ttl)
    }

    /// Says that this process lives. A session that has ended meanwhile stays so.
    async fn beat(&self) -> Result<(), Failure> {
        let mut living = self.heart.lock().sessions.clone();
        living.retain(|_, life| !life.has_ended());
        while !living.is_empty() {
            let asked_at = self.now();
            let numbers: Vec<i64> = living.keys().copied().collect();
            let taken = self.take_sign_of(&numbers).await?;
            if usize::try_from(taken).is_ok_and(|taken| taken == numbers.len()) {
                for life in living.values() {
                    life.extend(self.lives_until(asked_at));
                }
                return Ok(());
            }
            self.bury(&numbers).await?;
            let open = self.open_of(&numbers).await?;
            if open.len() == numbers.len() {
                return Ok(());
            }
            living.retain(|number, life| {
                let is_open = open.contains(number);
                if !is_open {
                    tracing::warn!(number, "a session has ended: no sign of life came in time");
                    life.end();
                }
                is_open
            });
        }
        Ok(())
    }

    /// Has these sessions live from now on, as far as they live. Gives how many do.
    async fn take_sign_of(&self, numbers: &[i64]) -> Result<u64, Failure> {
        let living = doc! {
            "_id": { "$in": numbers },
            "closed": false,
            "$expr": { "$gt": ["$until", "$$NOW"] },
        };
        let lives = vec![doc! { "$set": { "until": self.lives_from_now() } }];
        let sessions = self.database.collection::<Document>(SESSIONS);
        let taken = sessions.update_many(living, lives).write_concern(self.majority.clone());
        Ok(taken.await.map_err(Failure::of)?.matched_count)
    }

    /// Which of these sessions are not closed: what is told here is never taken back, so it has to be the latest.
    async fn open_of(&self, numbers: &[i64]) -> Result<Vec<i64>, Failure> {
        let sessions = self.database.collection::<Document>(SESSIONS);
        let open = sessions
            .find(doc! { "_id": { "$in": numbers }, "closed": false })
            .projection(doc! { "_id": 1 })
            .read_concern(ReadConcern::linearizable());
        let open = open.await.map_err(Failure::of_reading)?.try_collect::<Vec<_>>().await;
        let open = open.map_err(Failure::of_reading)?;
        Ok(open.iter().filter_map(|session| session.get_i64("_id").ok()).collect())
    }
}

/// Gives signs of life from time to time. One that is late is not given up, for it may be taken yet, but another one is given beside it: the way to
/// a primary that is gone hangs for longer than it takes to elect the next.
async fn go_on_beating(locks: Weak<Locks>) {
    let mut beats = JoinSet::new();
    let mut last_was_taken = true;
    loop {
        let Some(ttl) = locks.upgrade().map(|locks| locks.session_ttl) else { return };
        let pause = if last_was_taken { ttl / 3 } else { ttl / 30 };
        tokio::time::sleep(pause).await;
        let Some(locks) = locks.upgrade() else { return };
        // What those before came to is known by now, or does not matter any more.
        while beats.try_join_next().is_some() {}
        beats.spawn(locks.has_beaten());
        let answered_in = (ttl / 9).max(ttl.min(ANSWERED_IN) / 3);
        let answered = tokio::time::timeout(answered_in, beats.join_next()).await;
        last_was_taken = matches!(answered, Ok(Some(Ok(true))));
    }
}

/// In a third of this a sign of life is answered unless something is wrong, however short a session's TTL is.
const ANSWERED_IN: Duration = Duration::from_secs(6);

/// How many sessions are few.
const FEW: usize = 16;
