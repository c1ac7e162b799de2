//! The release of a document, in the writer, and the break of its lock.

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf};
use lockcore::{Command, Holder, Key};

use super::document_locks::millis;
use super::{Moment, Writer};
use crate::document_locks::fields::{self, is_locked_by};
use crate::document_locks::{BreakDocument, DocumentAt, GiveBack, GivenBack, LockAnswer, Release};
use crate::documents::contained::contained;
use crate::documents::{Namespace, Prepared};
use crate::error::{DocumentError, Shell};
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
            return;
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
        let GiveBack { at, key, lock_id, token, release } = give_back;
        let before = self.documents.document(*at, moment.ground)?;
        let command =
            Command::Release { key: key.clone(), holder: lock_id.clone(), token: Some(*token) };
        let (released, before) = match (self.table.decide(moment.now, &command), before) {
            (Ok(released), Some(before)) if is_locked_by(&before, lock_id) => (released, before),
            (_, before) => {
                return Ok(GivenBack::Lost(before.as_deref().and_then(fields::holder)));
            }
        };
        let (prepared, not_updated) = match self.released(*at, &before, release, moment) {
            Ok(prepared) => (prepared, None),
            Err(error) => (self.released(*at, &before, &Release::Unlock, moment)?, Some(error)),
        };
        self.documents.put(prepared);
        self.apply(&released, moment);
        Ok(not_updated.map_or(GivenBack::Released, GivenBack::NotUpdated))
    }

    /// What a release makes of a document.
    fn released(
        &self,
        at: DocumentAt,
        before: &RawDocument,
        release: &Release,
        moment: Moment<'_>,
    ) -> Result<Prepared, DocumentError> {
        let after = match release {
            Release::Unlock | Release::HandOn => Some(fields::unlocked(before)),
            Release::Update(update) => {
                Some(contained(|| update.apply(before, None, millis(moment), fields::unlocked))?)
            }
            Release::Delete => None,
        };
        self.documents.prepare(at, before, after, moment.ground)
    }

    /// Unlocks a document by force, and records that.
    pub(super) fn break_document(
        &mut self,
        task: &BreakDocument,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let answer = match self.try_break(task, moment) {
            Ok(Some(broken)) => broken,
            Ok(None) => Answer::DocumentLock(Box::new(LockAnswer::NothingToBreak)),
            Err(error) => Answer::DocumentLock(Box::new(LockAnswer::NotBroken(error))),
        };
        self.batch.answers.push((reply, answer));
    }

    fn try_break(
        &mut self,
        task: &BreakDocument,
        moment: Moment<'_>,
    ) -> Result<Option<Answer>, DocumentError> {
        if self.documents.catalog().collection_with(task.at.0).is_none() {
            return Ok(None);
        }
        let Some(before) = self.documents.matching(&task.filter, task.at, moment.ground)? else {
            return Ok(None);
        };
        let Some(lock_id) = fields::holder(&before) else { return Ok(None) };
        let after = Some(fields::unlocked(&before));
        let prepared = self.documents.prepare(task.at, &before, after, moment.ground)?;
        let token = if let Some((key, grant)) = self.side_grant(task.at) {
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
        let key = document_name(&task.namespace, &before);
        Ok(Some(self.record_break(key, holder, token, task.reason.to_string(), moment)))
    }
}

/// What a document is called in a record of a break: `document factory.jobs { _id: 1 }`.
fn document_name(namespace: &Namespace, document: &RawDocument) -> Key {
    let mut id = RawDocumentBuf::new();
    if let Ok(Some(value)) = document.get("_id") {
        id.append(cstr!("_id"), value);
    }
    let name = format!("document {namespace} {}", Shell(&id));
    Key::new(shortened(&name)).expect("it is short, and not empty")
}

/// The beginning of a text, as long as a key or a holder may be.
fn shortened(text: &str) -> &str {
    let ends = (0..=text.len().min(Key::BYTES_MAX)).rev();
    let end = ends.into_iter().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
