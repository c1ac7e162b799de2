//! The release of a document, in the writer, and the break of its lock.

use lockcore::{Command, Holder};

use super::{Moment, Writer};
use crate::document_locks::fields::{self, document_name, is_locked_by, shortened};
use crate::document_locks::{BreakDocument, GiveBack, GivenBack, LockAnswer, Release};
use crate::documents::Match;
use crate::error::DocumentError;
use crate::request::{Answer, Reply};

impl Writer {
    /// Releases a document.
    pub(super) fn unlock_document(
        &mut self,
        give_back: &GiveBack,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        if matches!(give_back.release, Release::HandOn) && self.joined.contains(&give_back.token) {
            return self.answer_lock(reply, LockAnswer::GivenBack(GivenBack::Released));
        }
        let outcome = self.give_back(give_back, moment).unwrap_or_else(GivenBack::Failed);
        match (&reply, &outcome) {
            (Reply::Nobody, GivenBack::Failed(error) | GivenBack::NotUpdated(error)) => {
                tracing::warn!(%error, lock_id = %give_back.lock_id, "a document was not released as it was to be");
            }
            (Reply::Nobody, GivenBack::Lost(by)) => {
                tracing::warn!(lock_id = %give_back.lock_id, now_held_by = ?by, "the lock of a document was lost before it was released");
            }
            _ => {}
        }
        self.answer_lock(reply, LockAnswer::GivenBack(outcome));
    }

    fn give_back(
        &mut self,
        give_back: &GiveBack,
        moment: Moment<'_>,
    ) -> Result<GivenBack, DocumentError> {
        let GiveBack { at, key, lock_id, token, release, worked_out, fences } = give_back;
        let before = self.documents.document(*at, moment.ground)?;
        let command = Command::Release(lockcore::Release {
            key: key.clone(),
            holder: lock_id.clone(),
            token: Some(*token),
        });
        let (released, before) = match (self.table.decide(moment.now, &command), before) {
            (Ok(released), Some(before)) if is_locked_by(&before, lock_id) => (released, before),
            (_, before) => {
                return Ok(GivenBack::Lost(before.as_deref().and_then(fields::holder)));
            }
        };
        let fenced = self.check_fences(fences, moment);
        let after = match (release, fenced) {
            (Release::Unlock | Release::HandOn, _) => Ok(Some(fields::unlocked(&before))),
            (Release::Delete | Release::Update(_), Err(lost)) => Err(lost),
            (Release::Delete, Ok(())) => Ok(None),
            (Release::Update(update), Ok(())) => {
                let source = (update, None, worked_out.as_ref());
                match self.updated(*at, &before, source, fields::unlocked, moment) {
                    Ok(None) => return Ok(GivenBack::TooMuch),
                    updated => updated,
                }
            }
        };
        let prepare = |after| self.documents.prepare(*at, &before, after, moment.ground);
        let (prepared, not_updated) = match after.and_then(prepare) {
            Ok(prepared) => (prepared, None),
            Err(error) => (prepare(Some(fields::unlocked(&before)))?, Some(error)),
        };
        self.documents.put(prepared);
        self.apply(&released, moment);
        Ok(not_updated.map_or(GivenBack::Released, GivenBack::NotUpdated))
    }

    /// Unlocks a document by force, and records that.
    pub(super) fn break_document(
        &mut self,
        task: &BreakDocument,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let answer =
            self.try_break(task, moment).unwrap_or_else(|error| told(LockAnswer::NotBroken(error)));
        self.batch.answers.push((reply, answer));
    }

    fn try_break(
        &mut self,
        task: &BreakDocument,
        moment: Moment<'_>,
    ) -> Result<Answer, DocumentError> {
        let BreakDocument { at, filter, seen, namespace, reason } = task;
        if self.documents.catalog().collection_with(at.0).is_none() {
            return Ok(told(LockAnswer::NothingToBreak));
        }
        let before = match self.documents.matching(filter, Some(*seen), *at, moment.ground)? {
            Match::Found(before) => before,
            Match::Passed => return Ok(told(LockAnswer::NothingToBreak)),
            Match::Left => return Ok(told(LockAnswer::BreakAgain)),
        };
        let Some(lock_id) = fields::holder(&before) else {
            return Ok(told(LockAnswer::NothingToBreak));
        };
        let after = Some(fields::unlocked(&before));
        let prepared = self.documents.prepare(*at, &before, after, moment.ground)?;
        let token = if let Some((key, grant)) = self.side_grant(*at) {
            let (key, token) = (key.clone(), grant.token);
            self.end_grant(&key, token, moment);
            token
        } else {
            // The record of a lock that an update has set has a token that is nobody's.
            let token = self.table.next_token();
            self.table.reserve_tokens(token.next());
            token
        };
        self.documents.put(prepared);
        let holder = if lock_id.is_empty() { "\"\"" } else { shortened(&lock_id) };
        let holder = Holder::new(holder).expect("it is short, and not empty");
        let key = document_name(namespace, &before);
        Ok(self.record_break(key, holder, token, reason.to_string(), moment))
    }
}

fn told(answer: LockAnswer) -> Answer {
    Answer::DocumentLock(Box::new(answer))
}
