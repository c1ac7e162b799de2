//! A write that may have been done before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use docquery::{Error, ErrorCode};

use super::{Image, Last, Memo, Origin, Taken, Use};
use crate::error::DocumentError;
use crate::records::{AnswerV1, RememberedV1};
use crate::request::{Answer, Task};

/// A command that has a number in its session: what it does is remembered, and what was remembered of it is not done again.
#[derive(Debug)]
pub(crate) struct RetryableWrite<'e> {
    session: Taken<'e>,
    number: i64,
    remembered: Vec<RememberedV1>,
    /// Where that of a single statement stands.
    places: HashMap<i32, usize>,
    next_chunk: AtomicU32,
}

/// One statement of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered<'w> {
    pub(crate) write: &'w RetryableWrite<'w>,
    pub(crate) number: i32,
    /// What a `findAndModify` answers with.
    pub(crate) image: Option<Image>,
}

/// What a statement has come to before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Past<'w> {
    /// It has inserted its document.
    Inserted,
    /// It has written a document.
    Written { upserted: &'w AnswerV1, image: Option<&'w AnswerV1> },
    /// It was answered so.
    Replied(&'w AnswerV1),
}

impl<'e> RetryableWrite<'e> {
    /// Begins with `number`, or goes on with it. Where it is `resent` by one who knows that something is remembered of its session,
    /// nothing is begun without that.
    ///
    /// # Errors
    ///
    /// The session has gone on to a later number, or uses this one for a transaction; nothing is known of it any more; the store
    /// cannot serve.
    pub(crate) fn begin(
        mut session: Taken<'e>,
        number: i64,
        resent: bool,
    ) -> Result<Self, DocumentError> {
        if resent && !session.has_rows() {
            return Err(session.outcome_unknown().into());
        }
        let remembered = match session.last() {
            Some(last) if last.number > number => {
                return Err(too_old(&session, number, last).into());
            }
            Some(Last { number: known, used: Use::Writes }) if *known == number => {
                if session.has_rows() { session.remembered(number)? } else { Vec::new() }
            }
            Some(last) if last.number == number => {
                let message =
                    "Cannot retry a retryable write that has been converted into a transaction";
                let code = ErrorCode::INCOMPLETE_TRANSACTION_HISTORY;
                return Err(Error::new(code, message).into());
            }
            Some(_) | None => Vec::new(),
        };
        session.go_on(number, Use::Writes);
        let next_chunk = AtomicU32::new(u32::try_from(remembered.len()).unwrap_or(u32::MAX));
        let places =
            remembered.iter().enumerate().filter_map(|(place, remembered)| match remembered {
                RememberedV1::Written { statement, .. }
                | RememberedV1::Replied { statement, .. } => Some((*statement, place)),
                RememberedV1::Opened
                | RememberedV1::Inserted(_)
                | RememberedV1::Committed { .. } => None,
            });
        let places = places.collect();
        Ok(Self { session, number, remembered, places, next_chunk })
    }

    /// The commit of a transaction under `number`, or the opening of a session.
    pub(crate) fn first(session: Taken<'e>, number: i64) -> Self {
        let (remembered, places) = (Vec::new(), HashMap::new());
        Self { session, number, remembered, places, next_chunk: AtomicU32::new(0) }
    }

    /// What a statement has come to before, if that is remembered.
    pub(crate) fn past(&self, statement: i32) -> Option<Past<'_>> {
        if let Some(place) = self.places.get(&statement) {
            return match &self.remembered[*place] {
                RememberedV1::Written { upserted, image, .. } => {
                    Some(Past::Written { upserted, image: image.as_ref() })
                }
                RememberedV1::Replied { reply, .. } => Some(Past::Replied(reply)),
                RememberedV1::Opened
                | RememberedV1::Inserted(_)
                | RememberedV1::Committed { .. } => None,
            };
        }
        let is_inserted = |remembered: &RememberedV1| match remembered {
            RememberedV1::Inserted(runs) => {
                runs.iter().any(|(first, last)| (*first..=*last).contains(&statement))
            }
            _ => false,
        };
        self.remembered.iter().any(is_inserted).then_some(Past::Inserted)
    }

    /// By what a task is remembered that may wait, and goes on when the session is somebody else's again: its answer is remembered in the
    /// same commit, whenever that is.
    pub(crate) fn origin(&self, memo: Memo) -> Arc<Origin> {
        let waits = Some(self.session.wait());
        let chunk = self.next_chunk.load(Ordering::Relaxed);
        Arc::new(Origin { lsid: self.session.lsid(), number: self.number, chunk, memo, waits })
    }

    /// Has a task done; what it comes to is remembered in the same commit.
    pub(crate) fn call(&self, task: Task, memo: Memo) -> Answer {
        let chunk = self.next_chunk.load(Ordering::Relaxed);
        let (lsid, number) = (self.session.lsid(), self.number);
        let origin = Arc::new(Origin { lsid, number, chunk, memo, waits: None });
        let task = Task::Once { origin: Arc::clone(&origin), task: Box::new(task) };
        let answer = self.session.engine().call(task);
        if origin.memo.holds(&answer) {
            self.session.has_got_rows();
            self.next_chunk.store(chunk.saturating_add(1), Ordering::Relaxed);
        }
        answer
    }

    /// The session, when all is done.
    pub(crate) fn into_session(self) -> Taken<'e> {
        self.session
    }
}

/// The session has gone on.
fn too_old(session: &Taken<'_>, number: i64, last: &Last) -> Error {
    let used = match last.used {
        Use::Writes => "retryable write",
        Use::Open(_) | Use::Committed | Use::Aborted => "transaction",
    };
    let message = format!(
        "Retryable write with txnNumber {number} is prohibited on session {} because a newer {used} with txnNumber {} has \
         already started on this session.",
        session.lsid(),
        last.number
    );
    Error::new(ErrorCode::TRANSACTION_TOO_OLD, message)
}
