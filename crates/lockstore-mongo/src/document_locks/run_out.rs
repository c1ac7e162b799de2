//! Locks whose side grants have run out, by their TTL or with their session: they are freed by whoever looks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bson::{Document, RawBson, RawDocument, doc};
use lockcore::{Instant, Outcome};
use lockstore::StoreError;
use mongodb::ClientSession;

use super::DocumentLocks;
use super::side_grant::{Place, locked_by};
use super::transaction::{Ended, simple};
use super::update::unlocking;
use crate::failure::{Failure, damaged};
use crate::locks::{Locks, Look, Standing, StoredGrant, behind_all, is_due};

/// When this process has last looked for what has run out, in each collection.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    last: Mutex<HashMap<Place, Instant>>,
}

impl Sweeps {
    /// Whether it is time for another, which is begun then.
    fn is_due(&self, place: &Place, now: Instant, pause: std::time::Duration) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= PLACES_MAX {
            last.retain(|_, at| at.saturating_add(pause) > now);
        }
        let is_due = last.get(place).is_none_or(|at| at.saturating_add(pause) <= now);
        if is_due {
            last.insert(place.clone(), now);
        }
        is_due
    }
}

impl DocumentLocks {
    /// Frees what has run out in a collection, now and then.
    pub(super) async fn sweep_if_due(&self, place: &Place) {
        let (now, pause) = (self.locks.now(), self.locks.look_again());
        if self.sweeps.is_due(place, now, pause)
            && let Err(error) = sweep(&self.locks, &place.prefix()).await
        {
            tracing::debug!(?error, "locks that have run out were not looked for");
        }
    }

    /// Frees what has run out by its time in a collection, and gives how many that were.
    pub(super) async fn sweep_due(&self, place: &Place) -> Result<usize, Ended> {
        Ok(free_all(&self.locks, &place.prefix(), &is_due()).await?)
    }

    /// The side grants of a collection that are like this: a bounded number.
    pub(super) async fn looks_of(&self, place: &Place, like: Document) -> Result<Vec<Look>, Ended> {
        Ok(self.locks.all_seen(page(&place.prefix(), None, like)).await?)
    }
}

/// Frees what has run out, by its time or with a session that is over, of the documents whose keys begin so. Which sessions are over is dearer to
/// find out: by what is bound to each.
pub(super) async fn sweep(locks: &Locks, prefix: &str) -> Result<(), StoreError> {
    let dead = locks.dead_sessions(prefix).await?;
    let is_over = doc! { "$or": [is_due(), { "grants.session": { "$in": dead } }] };
    free_all(locks, prefix, &is_over).await.map(drop)
}

/// Frees what has run out among the documents whose keys begin so, and whose side grants are like this. Gives how many that were.
async fn free_all(locks: &Locks, prefix: &str, like: &Document) -> Result<usize, StoreError> {
    let (mut freed, mut after) = (0, None);
    loop {
        let found = locks.all_seen(page(prefix, after.as_deref(), like.clone())).await?;
        for look in &found {
            let held = look.document.as_ref().map_or(0, |lock| lock.grants.len());
            if Standing::new(look)?.document().grants.len() == held {
                continue;
            }
            match free(locks, look).await {
                // Or somebody else has seen to it.
                Ok(()) | Err(Failure::Conflict) => freed += 1,
                Err(failure) => tracing::debug!(?failure, key = look.key, "a lock was not freed"),
            }
        }
        let Some(last) = found.last().filter(|_| found.len() >= LOOKS_MAX) else {
            return Ok(freed);
        };
        after = Some(last.key.clone());
    }
}

/// Finds the side grants whose keys begin so, behind one of them.
fn page(prefix: &str, after: Option<&str>, like: Document) -> Vec<Document> {
    let mut keys = doc! { "$gte": prefix, "$lt": behind_all(prefix).unwrap_or_default() };
    if let Some(after) = after {
        keys.insert("$gt", after);
    }
    let held = doc! { "_id": keys, "grants.0": { "$exists": true } };
    let limit = i64::try_from(LOOKS_MAX).unwrap_or(i64::MAX);
    vec![
        doc! { "$match": { "$and": [held, like] } },
        doc! { "$sort": { "_id": 1 } },
        doc! { "$limit": limit },
    ]
}

/// Whether the grant of who has locked a document has run out, so that it is locked no more.
pub(super) fn has_run_out(seen: &Look, document: &RawDocument) -> Result<bool, StoreError> {
    let mut stored = seen.document.iter().flat_map(|lock| &lock.grants);
    let Some(grant) = stored.find(|grant| grant.has_locked(document)) else { return Ok(false) };
    let standing = Standing::new(seen)?;
    Ok(standing.document().grants.iter().all(|it| it.token != grant.token))
}

/// Ends what has run out of a side grant, and unlocks the document if it is locked by that still.
pub(crate) async fn free(locks: &Locks, look: &Look) -> Result<(), Failure> {
    let stored = look.document.iter().flat_map(|lock| &lock.grants);
    let standing = Standing::new(look)?;
    let left = &standing.document().grants;
    let gone = stored.filter(|grant| left.iter().all(|it| it.token != grant.token));
    let gone: Vec<&StoredGrant> = gone.collect();
    if !standing.has_changed() {
        return Ok(());
    }
    let (place, id) = Place::of(&look.key)
        .ok_or_else(|| damaged(format_args!("{:?} is no key of a document", look.key)))?;
    let mut session = locks.begin().await?;
    let freed = async {
        for grant in gone {
            let locked = locked_by(&id, &grant.holder, grant.lock_time);
            unlock(locks, &mut session, &place, locked).await?;
        }
        locks.change_in(&mut session, look, None, |_| Ok(Outcome::Ended)).await.map(drop)
    };
    match freed.await {
        Ok(()) => locks.commit(&mut session).await,
        Err(failure) => {
            // One that is not aborted is, by the server, after a minute at the latest.
            let _ = session.abort_transaction().await;
            Err(failure)
        }
    }
}

async fn unlock(
    locks: &Locks,
    session: &mut ClientSession,
    place: &Place,
    filter: bson::RawDocumentBuf,
) -> Result<(), Failure> {
    let mut update = bson::RawArrayBuf::new();
    let RawBson::Document(operators) = unlocking(None).update else { return Ok(()) };
    update.push(bson::rawdoc! { "q": filter, "u": operators, "collation": simple() });
    let command = bson::rawdoc! { "update": place.collection.as_str(), "updates": update };
    let database = locks.client().database(&place.database);
    database.run_raw_command(command).session(session).await.map(drop).map_err(Failure::of)
}

/// How many side grants are looked at in one round trip.
const LOOKS_MAX: usize = 1_000;
/// Of how many collections it is remembered when they were swept.
const PLACES_MAX: usize = 1_000;
