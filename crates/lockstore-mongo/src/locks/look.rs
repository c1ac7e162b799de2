//! Looking at a lock: one round trip for the lock, the sessions that it depends on, and the time.

use std::time::Duration;

use bson::{DateTime, Document, bson, doc};
use futures_util::TryStreamExt;
use mongodb::Database;
use mongodb::options::ReadPreference;
use mongodb::options::{AggregateOptions, ReadConcern, SelectionCriteria};
use serde::Deserialize;

use super::lock_document::LockDocument;
use super::{LOCKS, SESSIONS};
use crate::failure::{Failure, damaged};
use crate::options::Reads;
use crate::time::{Moment, instant};
use lockcore::Instant;

/// A lock as it was seen.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) key: String,
    /// `None` if nobody has held it for a while.
    pub(crate) document: Option<LockDocument>,
    pub(crate) sessions: Vec<StoredSession>,
    /// The sessions that those who look would bind to it.
    pub(crate) wanted_sessions: Vec<i64>,
    pub(crate) moment: Moment,
}

/// A session, as its document in the collection `sessions` has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoredSession {
    #[serde(rename = "_id")]
    pub(crate) number: i64,
    /// Until when it lives, unless its process gives a sign of life before.
    pub(crate) until: DateTime,
    /// Whether it was ended.
    #[serde(default)]
    pub(crate) closed: bool,
}

/// What the pipeline answers.
#[derive(Deserialize)]
struct Seen {
    lock: Vec<LockDocument>,
    holding: Vec<StoredSession>,
    waiting: Vec<StoredSession>,
    wanted: Vec<StoredSession>,
    now: DateTime,
}

impl Look {
    /// Until when a session lives, if no sign of life comes before; `None` if it is over.
    pub(crate) fn lives_until(&self, number: i64) -> Option<Instant> {
        let session = self.sessions.iter().find(|session| session.number == number)?;
        // One whose time has passed just now is over when somebody has closed it.
        let later = self.moment.there.saturating_add(Duration::from_millis(1));
        (!session.closed).then(|| instant(session.until).max(later))
    }

    /// The sessions whose time has passed, and that nobody has closed.
    pub(crate) fn lapsed(&self) -> Vec<i64> {
        let lapsed = |session: &&StoredSession| {
            !session.closed && instant(session.until) <= self.moment.there
        };
        self.sessions.iter().filter(lapsed).map(|session| session.number).collect()
    }

    /// Whether something of the lock is bound to a session.
    pub(crate) fn is_bound(&self, number: i64) -> bool {
        self.document.as_ref().is_some_and(|document| {
            document.grants.iter().any(|grant| grant.session == Some(number))
                || document.waiting_sessions.contains(&number)
        })
    }
}

/// Looks at the lock of `key`, at what is not rolled back. `asked_at` is our time before.
pub(crate) async fn look(
    database: &Database,
    key: &str,
    wanted_sessions: Vec<i64>,
    reads: Reads,
    asked_at: Instant,
) -> Result<Look, Failure> {
    let lock =
        doc! { "from": LOCKS, "pipeline": [{ "$match": { "_id": { "$eq": key } } }], "as": "lock" };
    let mut pipeline = vec![doc! { "$documents": [{ "wanted": &wanted_sessions }] }];
    pipeline.push(doc! { "$lookup": lock });
    pipeline.extend(sessions());
    let seen: Option<Seen> = first(database, pipeline, reads).await?;
    let seen = seen.ok_or_else(|| damaged("a look has found nothing"))?;
    let mut sessions = seen.holding;
    sessions.extend(seen.waiting);
    sessions.extend(seen.wanted);
    let moment = Moment { there: instant(seen.now), here: asked_at };
    let document = seen.lock.into_iter().next();
    Ok(Look { key: key.into(), document, sessions, wanted_sessions, moment })
}

/// What brings the sessions of `lock` and of `wanted`, and the time.
pub(crate) fn sessions() -> [Document; 4] {
    let lookup = |local: &str, name: &str| {
        doc! { "$lookup": { "from": SESSIONS, "localField": local, "foreignField": "_id", "as": name } }
    };
    [
        lookup("lock.grants.session", "holding"),
        lookup("lock.waitingSessions", "waiting"),
        lookup("wanted", "wanted"),
        doc! { "$set": { "now": bson!("$$NOW") } },
    ]
}

/// The first document that a pipeline over the whole database gives.
async fn first<T: serde::de::DeserializeOwned + Send + Sync + Unpin>(
    database: &Database,
    pipeline: Vec<Document>,
    reads: Reads,
) -> Result<Option<T>, Failure> {
    let cursor = database.aggregate(pipeline).with_options(options(reads)).await;
    let cursor = cursor.map_err(Failure::of_reading)?;
    cursor.with_type::<T>().try_next().await.map_err(Failure::of_reading)
}

/// How whatever is read is read.
pub(crate) fn options(reads: Reads) -> AggregateOptions {
    AggregateOptions::builder()
        .read_concern(concern(reads))
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .build()
}

/// The read concern of that name.
pub(crate) fn concern(reads: Reads) -> ReadConcern {
    match reads {
        Reads::Majority => ReadConcern::majority(),
        Reads::Linearizable => ReadConcern::linearizable(),
    }
}
