//! Following what is written: one change stream, which is opened again where it stood when it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::Database;
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, ResumeToken};
use mongodb::error::{Error, ErrorKind};

use super::watching::Seen;
use super::{LOCKS, SESSIONS};

/// What a stream tells.
pub(super) type Event = ChangeStreamEvent<RawDocumentBuf>;

/// Follows the stream for as long as the store is open.
pub(super) async fn follow(seen: Arc<Seen>) {
    let mut place = Place::default();
    loop {
        match open(&seen.database, place.after.clone()).await {
            Ok(mut stream) => {
                if std::mem::take(&mut place.is_gap) {
                    seen.subscriptions.miss();
                }
                seen.is_live.store(true, Ordering::SeqCst);
                seen.came_live.notify_waiters();
                // What happened before this was not told.
                seen.wake_all();
                let error = take_all(&seen, &mut stream).await;
                place.reached(stream.resume_token());
                if error.is_none_or(|error| !place.is_worth_another_try(&error)) {
                    place.lose();
                }
            }
            Err(error) => {
                tracing::debug!(%error, "there is no change stream");
                if place.after.is_some() && !place.is_worth_another_try(&error) {
                    place.lose();
                }
            }
        }
        seen.is_live.store(false, Ordering::SeqCst);
        seen.wake_all();
        tokio::time::sleep(OPEN_AGAIN).await;
    }
}

/// Where a stream stands.
#[derive(Debug, Default)]
struct Place {
    /// Behind what was told last; `None` where it begins anew.
    after: Option<ResumeToken>,
    /// Whether something may have happened that nobody is going to tell.
    is_gap: bool,
    /// How often it was refused to go on from there.
    refused: u32,
}

impl Place {
    /// It has come so far.
    fn reached(&mut self, to: Option<ResumeToken>) {
        if to.is_some() && to != self.after {
            (self.after, self.refused) = (to, 0);
        }
    }

    /// It begins anew, wherever that is.
    fn lose(&mut self) {
        *self = Self { is_gap: true, ..Self::default() };
    }

    /// Whether a stream that has failed may go on where it stood. It cannot if its place is gone from the oplog, or if what stands there cannot be told;
    /// and where it is refused each time, for whatever reason, that is no better.
    fn is_worth_another_try(&mut self, error: &Error) -> bool {
        let ErrorKind::Command(error) = error.kind.as_ref() else { return true };
        self.refused += 1;
        !CANNOT_GO_ON.contains(&error.code) && self.refused < REFUSED_MAX
    }
}

/// Takes what a stream tells until it ends; by an error, or because what it is about is gone.
async fn take_all(seen: &Seen, stream: &mut ChangeStream<Event>) -> Option<Error> {
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => seen.take(&event),
            Err(error) => {
                tracing::debug!(%error, "the change stream has ended");
                return Some(error);
            }
        }
    }
    None
}

async fn open(
    database: &Database,
    after: Option<ResumeToken>,
) -> mongodb::error::Result<ChangeStream<Event>> {
    let of_ours: Document = doc! { "$match": {
        "ns.coll": { "$in": [LOCKS, SESSIONS] },
        "operationType": { "$in": ["insert", "replace", "update", "delete"] },
    } };
    // Who waits and who holds is told by the log, however many they are.
    let short = doc! { "$unset": [
        "fullDocument.waiters", "updateDescription.updatedFields.waiters",
        "fullDocument.grants", "updateDescription.updatedFields.grants",
    ] };
    let stream = database.watch().pipeline([of_ours, short]).resume_after(after).await?;
    Ok(stream.with_type())
}

/// How long until a stream that has ended is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(200);

/// `InvalidResumeToken`, `ChangeStreamFatalError`, `ChangeStreamHistoryLost`, `BSONObjectTooLarge`.
const CANNOT_GO_ON: [i32; 4] = [260, 280, 286, 10_334];

/// How often a stream is refused in one place before it begins anew: for some 20 s, longer than an election takes.
const REFUSED_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32) -> Error {
        let error = doc! { "code": code, "codeName": "", "errmsg": "" };
        ErrorKind::Command(bson::deserialize_from_document(error).unwrap()).into()
    }

    #[test]
    fn a_stream_that_is_refused_each_time_begins_anew() {
        let mut place = Place::default();
        assert!(!place.is_worth_another_try(&refused(286)));
        place.lose();
        assert!(place.is_gap);
        for _ in 1..REFUSED_MAX {
            assert!(place.is_worth_another_try(&refused(1)));
        }
        assert!(!place.is_worth_another_try(&refused(1)));
        // While there is nobody who could refuse it, it waits.
        let mut place = Place::default();
        for _ in 0..REFUSED_MAX * 2 {
            assert!(place.is_worth_another_try(&Error::custom("no primary")));
        }
    }
}
