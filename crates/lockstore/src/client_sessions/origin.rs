//! What a task comes from, and what is remembered of it in the commit that does it.

use std::fmt;
use std::sync::Arc;

use bson::RawDocumentBuf;

use super::{Lsid, Waits};
use crate::documents::{DocumentAnswer, Found, Inserted, Modified};
use crate::records::{AnswerV1, ClientSessionRecordV1, Record, RememberedV1};
use crate::remote::form;
use crate::request::Answer;
use crate::rows::{RowChange, RowKey, TableId};

/// The session and the number that a task belongs to.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) lsid: Lsid,
    pub(crate) number: i64,
    /// How many tasks of that number were remembered before.
    pub(crate) chunk: u32,
    pub(crate) memo: Memo,
    /// What keeps the session in use, where the task may go on when its caller has given the session back.
    pub(super) waits: Option<Arc<Waits>>,
}

/// How the answer of a task is remembered.
#[derive(Clone, Debug)]
pub(crate) enum Memo {
    /// It inserts documents, each by the statement that stands here.
    Inserts(Vec<i32>),
    /// It finds a document and changes it.
    Found {
        statement: i32,
        /// What a `findAndModify` answers with.
        image: Option<Image>,
    },
    /// What it comes to if it is done is known before.
    Made(RememberedV1),
    /// The whole reply.
    Reply { statement: i32, of: ReplyOf },
    /// That a transaction is committed, and what has become of the locks that it changes.
    Commit,
}

/// Which document a `findAndModify` answers with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Image {
    Before,
    After,
}

/// Makes a reply of an answer; of one that has changed nothing, and need not be remembered, it makes none.
#[derive(Clone)]
pub(crate) struct ReplyOf(Arc<MakesReply>);

type MakesReply = dyn Fn(&Answer) -> Option<RawDocumentBuf> + Send + Sync;

impl Origin {
    /// The row by which the answer is remembered, if it is, at a moment of the wall clock. Nothing is remembered of a session that has ended
    /// meanwhile.
    pub(crate) fn row(&self, answer: &Answer, used_wall_ms: u64) -> Option<RowChange> {
        if self.waits.as_ref().is_some_and(|waits| waits.are_forgotten()) {
            return None;
        }
        let remembered = self.memo.of(answer)?;
        let record = ClientSessionRecordV1 { number: self.number, used_wall_ms, remembered };
        let key = RowKey::client_session(self.lsid, self.chunk);
        let value = record.to_row(&key);
        Some(RowChange::put(TableId::ClientSessions, key, value))
    }
}

impl Memo {
    /// Whether an answer is remembered: it tells of a change.
    pub(crate) fn holds(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (Self::Reply { of, .. }, answer) => of.reply(answer).is_some(),
            (_, Answer::Documents(answer)) => match &**answer {
                DocumentAnswer::Inserted(Inserted { results, .. }) => {
                    results.iter().any(Result::is_ok)
                }
                DocumentAnswer::Modified(modified) => modified.modified > 0,
                DocumentAnswer::Upserted => true,
                DocumentAnswer::Defined(_)
                | DocumentAnswer::Built(_)
                | DocumentAnswer::Again
                | DocumentAnswer::Failed(_) => false,
            },
            (Self::Made(_), Answer::Noted) | (Self::Commit, Answer::Committed(_)) => true,
            _ => false,
        }
    }

    fn of(&self, answer: &Answer) -> Option<RememberedV1> {
        if let Self::Reply { statement, of } = self {
            let reply = AnswerV1::of(Some(&of.reply(answer)?));
            return Some(RememberedV1::Replied { statement: *statement, reply });
        }
        if !self.holds(answer) {
            return None;
        }
        match (self, answer) {
            (Self::Made(made), _) => return Some(made.clone()),
            (Self::Commit, Answer::Committed(outcomes)) => {
                let reply = AnswerV1::of(form::answer::committed(outcomes).as_deref());
                return Some(RememberedV1::Committed { reply });
            }
            _ => {}
        }
        let Answer::Documents(answer) = answer else { return None };
        match (self, &**answer) {
            (Self::Inserts(statements), DocumentAnswer::Inserted(Inserted { results, .. })) => {
                let done = statements.iter().zip(results).filter(|(_, result)| result.is_ok());
                Some(RememberedV1::Inserted(runs(done.map(|(statement, _)| *statement))))
            }
            (Self::Found { statement, image }, DocumentAnswer::Modified(modified)) => {
                let Modified { found: Some(Found { before, after }), .. } = &**modified else {
                    return None;
                };
                let image = image.map(|image| match image {
                    Image::Before => AnswerV1::of(Some(before)),
                    Image::After => AnswerV1::of(after.as_deref()),
                });
                let upserted = AnswerV1::Nothing;
                Some(RememberedV1::Written { statement: *statement, upserted, image })
            }
            _ => None,
        }
    }
}

impl ReplyOf {
    pub(crate) fn new(
        reply: impl Fn(&Answer) -> Option<RawDocumentBuf> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(reply))
    }

    fn reply(&self, answer: &Answer) -> Option<RawDocumentBuf> {
        (self.0)(answer)
    }
}

impl fmt::Debug for ReplyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyOf").finish_non_exhaustive()
    }
}

/// Numbers as runs, each from the first to the last.
fn runs(numbers: impl Iterator<Item = i32>) -> Vec<(i32, i32)> {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_follow_each_other_are_one_run() {
        assert_eq!(
            runs([0, 1, 2, 7, 5, 6, i32::MAX].into_iter()),
            [(0, 2), (7, 7), (5, 6), (i32::MAX, i32::MAX)]
        );
        assert_eq!(runs([].into_iter()), []);
    }
}
