//! Document locks in the writer: a document and the grant behind its lock change together.
//!
//! Whatever has changed a document or has ended a grant, [`Writer::follow`] makes the other one agree, in the same batch:
//! it comes after each task. Both ways are idempotent, so it ends.

use std::collections::{BTreeMap, VecDeque};

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf};
use docquery::Filter;
use lockcore::{
    Acquire, Change, Command, Granted, Holder, Key, Lease, Mode, Outcome, Refusal, Token, Wait,
};

use super::{Moment, Writer};
use crate::document_locks::fields::{
    self, LockFields, is_locked_by, with_expiry, without_our_fields,
};
use crate::document_locks::side_grant::{document_of, is_side_key, side_key};
use crate::document_locks::{
    BreakDocument, DocumentAt, GiveBack, GivenBack, LockAnswer, Meeting, Release, Take, Taken,
    TakenLock,
};
use crate::documents::contained::contained;
use crate::documents::{CollectionId, Namespace, Prepared, RecordId};
use crate::error::{DocumentError, Shell};
use crate::request::{Answer, Reply};

/// The side grants, and what is to be done because of them.
#[derive(Debug, Default)]
pub(super) struct DocumentLocks {
    /// Their keys, by their documents.
    grants: BTreeMap<DocumentAt, Key>,
    /// Grants that have changed, and whose documents may not show it yet.
    unshown: VecDeque<Unshown>,
    /// How many of the documents that the batch has changed have been followed.
    followed: usize,
}

/// A change of a side grant.
#[derive(Debug)]
enum Unshown {
    /// The grant of a holder is over.
    Ended(DocumentAt, Holder),
    /// It has another lease.
    Renewed(DocumentAt),
}

/// What a document is to somebody who wants to lock it.
enum Look {
    /// It is gone, or does not match any more.
    Passed,
    Locked(Box<TakenLock>),
    /// It is locked by another.
    Held(RawDocumentBuf, RecordId),
}

/// Why a document was not locked. Nothing has changed.
pub(super) enum NotTaken {
    Refused(Refusal),
    Failed(DocumentError),
}

impl DocumentLocks {
    /// Those of a table that was restored. The documents of `renewed` are to show their new leases.
    pub(super) fn restore<'k>(
        keys: impl Iterator<Item = &'k Key>,
        renewed: impl Iterator<Item = DocumentAt>,
    ) -> Self {
        let grants = keys.filter_map(|key| Some((document_of(key)?, key.clone()))).collect();
        Self { grants, unshown: renewed.map(Unshown::Renewed).collect(), ..Self::default() }
    }

    /// Whether a document may not show its lease.
    pub(super) fn has_unshown(&self) -> bool {
        !self.unshown.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    /// A batch begins.
    pub(super) fn begin(&mut self) {
        self.followed = 0;
    }

    /// Takes note of a change of the table.
    pub(super) fn note(&mut self, change: &Change) {
        let at = |key: &Key| if is_side_key(key) { document_of(key) } else { None };
        match change {
            Change::Granted { key, .. } => {
                if let Some(at) = at(key) {
                    self.grants.insert(at, key.clone());
                }
            }
            Change::Renewed { key, .. } => {
                self.unshown.extend(at(key).map(Unshown::Renewed));
            }
            Change::Ended { key, holder, .. } => {
                if let Some(at) = at(key) {
                    self.grants.remove(&at);
                    self.unshown.push_back(Unshown::Ended(at, holder.clone()));
                }
            }
            Change::Queued { .. }
            | Change::Left { .. }
            | Change::SessionOpened { .. }
            | Change::SessionClosing { .. }
            | Change::SessionClosed { .. } => {}
        }
    }

    /// The collections that have side grants.
    fn collections(&self) -> Vec<CollectionId> {
        let mut collections = Vec::new();
        let mut next = self.grants.keys().next();
        while let Some((collection, _)) = next {
            collections.push(*collection);
            next = self.grants.range((*collection, RecordId::MAX)..).next().map(|(at, _)| at);
        }
        collections
    }

    fn keys_of(&self, collection: CollectionId) -> Vec<Key> {
        let all = (collection, RecordId::MIN)..=(collection, RecordId::MAX);
        self.grants.range(all).map(|(_, key)| key.clone()).collect()
    }
}

impl Writer {
    /// Locks the first document that still matches, if it is to be had.
    pub(super) fn lock_document(&mut self, take: Take, reply: Reply, moment: Moment<'_>) {
        let taken = match (self.look_at_candidates(&take, moment), take.turn) {
            (Ok(Look::Held(_, record)), Some(turn)) => {
                return self.await_document(take, turn, record, reply, moment);
            }
            (Ok(Look::Held(document, _)), None) => Taken::Unavailable(document),
            (Ok(Look::Locked(lock)), _) => Taken::Locked(lock),
            (Ok(Look::Passed), _) => Taken::Again,
            (Err(error), _) => error.into(),
        };
        self.answer_taken(reply, taken);
    }

    fn look_at_candidates(&mut self, take: &Take, moment: Moment<'_>) -> Result<Look, NotTaken> {
        if self.documents.catalog().collection_with(take.collection).is_none() {
            return Ok(Look::Passed);
        }
        for (index, record) in take.candidates.iter().enumerate() {
            let at = (take.collection, *record);
            match self.look(take, at, moment)? {
                Look::Passed => {}
                Look::Locked(lock) => {
                    return Ok(Look::Locked(Box::new(TakenLock { tried: index + 1, ..*lock })));
                }
                held @ Look::Held(..) => return Ok(held),
            }
        }
        Ok(Look::Passed)
    }

    /// Looks at one document, and locks it if it is to be had.
    fn look(&mut self, take: &Take, at: DocumentAt, moment: Moment<'_>) -> Result<Look, NotTaken> {
        // A lease that has run out does not have to wait for its expiry's turn.
        if moment.around.with_timers && self.expire_overdue(at, moment) {
            self.follow(moment);
        }
        let before = self.matching(&take.filter, at, moment)?;
        let Some(before) = before else { return Ok(Look::Passed) };
        let locked = self.take_if_had(take, at, &before, moment)?;
        Ok(match locked {
            Some(lock) => Look::Locked(Box::new(lock)),
            None => Look::Held(before, at.1),
        })
    }

    /// Locks a document for somebody who waits, if it matches and is to be had.
    pub(super) fn take_matching(
        &mut self,
        take: &Take,
        at: DocumentAt,
        moment: Moment<'_>,
    ) -> Result<Option<TakenLock>, NotTaken> {
        match self.matching(&take.filter, at, moment)? {
            Some(before) => self.take_if_had(take, at, &before, moment),
            None => Ok(None),
        }
    }

    fn take_if_had(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<Option<TakenLock>, NotTaken> {
        match take.wanted.meets(before) {
            Meeting::Takeable => self.grant_document(take, at, before, moment).map(Some),
            Meeting::Own => self.rejoin_document(take, at, before, moment).map(Some),
            Meeting::Held => Ok(None),
        }
    }

    /// A document as it is now, if it is there and matches.
    pub(super) fn matching(
        &self,
        filter: &Filter,
        at: DocumentAt,
        moment: Moment<'_>,
    ) -> Result<Option<RawDocumentBuf>, DocumentError> {
        let Some(document) = self.documents.document(at, moment.ground)? else { return Ok(None) };
        let matches = contained(|| Ok(filter.matches(&document)?))?;
        Ok(matches.then_some(document))
    }

    /// Ends the side grant of a document if its lease has run out, and tells whether it did.
    fn expire_overdue(&mut self, at: DocumentAt, moment: Moment<'_>) -> bool {
        let Some(key) = self.document_locks.grants.get(&at) else { return false };
        let Some(expire) = self.table.overdue(key, moment.now.instant) else { return false };
        let expired = self.table.decide(moment.now, &expire);
        self.apply(&expired.expect("what is overdue can expire"), moment);
        true
    }

    /// Locks a document: from whoever held it, if the caller breaks locks.
    fn grant_document(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<TakenLock, NotTaken> {
        let wanted = &take.wanted;
        let key = self.document_locks.grants.get(&at).cloned();
        let key = key.unwrap_or_else(|| side_key(at));
        let acquire = acquire(take, &key);
        let broken = self.check_grant(&acquire, moment)?;
        let lease = wanted.ttl.map(|ttl| Lease::starting(moment.now.instant, ttl));
        let token = self.table.next_token();
        let lock_fields = LockFields {
            lock_id: &wanted.lock_id,
            since_ms: millis(moment),
            expires_at_ms: lease.map(|lease| shown(lease, moment)),
            token: wanted.show_token.then_some(token),
        };
        let stamp = |document: &RawDocument| lock_fields.stamp(document);
        let after = contained(|| match &wanted.update {
            Some(update) => update.apply(before, Some(&take.filter), millis(moment), stamp),
            None => Ok(stamp(before)),
        })?;
        let prepared = self.documents.prepare(at, before, Some(after.clone()), moment.ground)?;
        // From here on nothing can fail.
        if let Some(token) = broken {
            self.end_grant(&key, token, moment);
        }
        let granted = self.table.decide(moment.now, &Command::Acquire(acquire));
        let granted = granted.expect("it was found out that it can be granted");
        self.apply(&granted, moment);
        assert!(
            matches!(&granted.outcome, Outcome::Granted(granted) if granted.token == token),
            "the document shows {token}: {granted:?}"
        );
        self.documents.put(prepared);
        let (rejoined, waited, tried) = (false, false, 1);
        let lock_id = wanted.lock_id.clone();
        Ok(TakenLock { document: after, at, key, lock_id, token, lease, rejoined, waited, tried })
    }

    /// Whether a side grant can be had once the one that is there is over: that one's token.
    fn check_grant(&self, acquire: &Acquire, moment: Moment<'_>) -> Result<Option<Token>, Refusal> {
        let standing = self.table.lock(&acquire.key).and_then(|lock| lock.grants().next());
        let mut probe = acquire.clone();
        // Somebody who is another than who holds it is asked whether the session has room for one more.
        if let Some(grant) = standing
            && grant.session != acquire.session
        {
            probe.holder = other_than(&grant.holder);
        }
        match self.table.decide(moment.now, &Command::Acquire(probe)) {
            Ok(_) | Err(Refusal::Held(_)) => Ok(standing.map(|grant| grant.token)),
            Err(refusal) => Err(refusal),
        }
    }

    /// The caller's own lock once more: the same grant with a new lease, and the document is not updated.
    fn rejoin_document(
        &mut self,
        take: &Take,
        at: DocumentAt,
        before: &RawDocument,
        moment: Moment<'_>,
    ) -> Result<TakenLock, NotTaken> {
        let key = self.document_locks.grants.get(&at).cloned();
        let key = key.unwrap_or_else(|| side_key(at));
        let command = Command::Acquire(acquire(take, &key));
        let transition = self.table.decide(moment.now, &command)?;
        let Outcome::Granted(Granted { token, lease, rejoined }) = transition.outcome else {
            unreachable!("who does not wait is granted something or refused")
        };
        let mut after = with_expiry(before, lease.map(|lease| shown(lease, moment)));
        if take.wanted.show_token {
            after = fields::with_token(&after, token);
        }
        let prepared = if *after == *before {
            None
        } else {
            Some(self.documents.prepare(at, before, Some(after.clone()), moment.ground)?)
        };
        self.apply(&transition, moment);
        if rejoined {
            self.joined.insert(token);
        }
        if let Some(prepared) = prepared {
            self.documents.put(prepared);
        }
        let (waited, tried) = (false, 1);
        let lock_id = take.wanted.lock_id.clone();
        Ok(TakenLock { document: after, at, key, lock_id, token, lease, rejoined, waited, tried })
    }

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
        let given_back = self.give_back(give_back, moment).unwrap_or_else(GivenBack::Failed);
        match (&reply, &given_back) {
            (Reply::Nobody, GivenBack::Failed(error) | GivenBack::NotUpdated(error)) => {
                tracing::warn!(%error, lock_id = %give_back.lock_id, "a document was not released as it was to be");
            }
            (Reply::Nobody, GivenBack::Lost(by)) => {
                tracing::warn!(lock_id = %give_back.lock_id, now_held_by = ?by, "the lock of a document was lost before it was released");
            }
            _ => {}
        }
        self.answer_lock(reply, LockAnswer::GivenBack(given_back));
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
        let Some(before) = self.matching(&task.filter, task.at, moment)? else { return Ok(None) };
        let Some(lock_id) = fields::holder(&before) else { return Ok(None) };
        let after = Some(fields::unlocked(&before));
        let prepared = self.documents.prepare(task.at, &before, after, moment.ground)?;
        let key = self.document_locks.grants.get(&task.at).cloned();
        let token = key.and_then(|key| Some((self.table.lock(&key)?.grants().next()?.token, key)));
        let token = if let Some((token, key)) = token {
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

    /// Makes documents and grants agree again, after whatever has changed some of them.
    pub(super) fn follow(&mut self, moment: Moment<'_>) {
        loop {
            if let Some(unshown) = self.document_locks.unshown.pop_front() {
                self.show(&unshown, moment);
                continue;
            }
            let followed = self.document_locks.followed;
            if self.document_locks.grants.is_empty() && self.document_waiters.is_empty() {
                self.document_locks.followed = self.documents.changed().len();
                return;
            }
            let Some(&at) = self.documents.changed().get(followed) else { return };
            self.document_locks.followed += 1;
            self.end_if_unlocked(at, moment);
            if !self.document_waiters.is_empty() {
                self.serve_waiters(at, moment);
            }
        }
    }

    /// Ends the side grants of collections that have been dropped.
    pub(super) fn follow_drops(&mut self, moment: Moment<'_>) {
        for collection in self.document_locks.collections() {
            if self.documents.catalog().collection_with(collection).is_some() {
                continue;
            }
            for key in self.document_locks.keys_of(collection) {
                let grant = self.table.lock(&key).and_then(|lock| lock.grants().next());
                let token = grant.expect("a side grant is held").token;
                self.end_grant(&key, token, moment);
            }
        }
        self.send_waiters_of_dropped();
    }

    /// A document has changed: unless it is still locked by the holder of its side grant, that is over.
    fn end_if_unlocked(&mut self, at: DocumentAt, moment: Moment<'_>) {
        let Some(key) = self.document_locks.grants.get(&at).cloned() else { return };
        let grant = self.table.lock(&key).and_then(|lock| lock.grants().next());
        let grant = grant.expect("a side grant is held");
        let (holder, token) = (grant.holder.clone(), grant.token);
        let result = self.documents.document(at, moment.ground).and_then(|document| {
            let Some(document) = document else { return Ok(Some(None)) };
            if is_locked_by(&document, &holder) {
                return Ok(None);
            }
            // What only a lock of ours writes would tell of this one, which is over.
            let after = without_our_fields(&document);
            if *after == *document {
                return Ok(Some(None));
            }
            self.documents
                .prepare(at, &document, Some(after), moment.ground)
                .map(|it| Some(Some(it)))
        });
        match result {
            Ok(None) => {}
            Ok(Some(tidied)) => {
                self.end_grant(&key, token, moment);
                if let Some(tidied) = tidied {
                    self.documents.put(tidied);
                }
            }
            Err(error) => {
                tracing::error!(%error, %key, "a document cannot be read; its lock is taken for lost");
                self.end_grant(&key, token, moment);
            }
        }
    }

    /// A grant has changed: its document shows it, if it is locked by it.
    fn show(&mut self, unshown: &Unshown, moment: Moment<'_>) {
        if let Err(error) = self.try_show(unshown, moment) {
            tracing::error!(%error, ?unshown, "a document does not show what has become of its lock");
        }
    }

    fn try_show(&mut self, unshown: &Unshown, moment: Moment<'_>) -> Result<(), DocumentError> {
        let (Unshown::Ended(at, _) | Unshown::Renewed(at)) = unshown;
        if self.documents.catalog().collection_with(at.0).is_none() {
            return Ok(());
        }
        let Some(document) = self.documents.document(*at, moment.ground)? else { return Ok(()) };
        let standing = self.document_locks.grants.get(at).and_then(|key| self.table.lock(key));
        let standing = standing.and_then(|lock| lock.grants().next());
        let after = match (unshown, standing) {
            (Unshown::Ended(_, holder), None) if is_locked_by(&document, holder) => {
                fields::unlocked(&document)
            }
            (Unshown::Renewed(_), Some(grant)) if is_locked_by(&document, &grant.holder) => {
                with_expiry(&document, grant.lease.map(|lease| shown(lease, moment)))
            }
            _ => return Ok(()),
        };
        if *after != *document {
            let prepared = self.documents.prepare(*at, &document, Some(after), moment.ground)?;
            self.documents.put(prepared);
        }
        Ok(())
    }

    /// Ends a side grant whose document is no longer locked by it.
    fn end_grant(&mut self, key: &Key, token: Token, moment: Moment<'_>) {
        let ended = self.table.decide(moment.now, &Command::Break { key: key.clone(), token });
        self.apply(&ended.expect("a side grant is held"), moment);
    }

    pub(super) fn answer_lock(&mut self, reply: Reply, answer: LockAnswer) {
        self.batch.answers.push((reply, Answer::DocumentLock(Box::new(answer))));
    }
}

fn acquire(take: &Take, key: &Key) -> Acquire {
    Acquire {
        key: key.clone(),
        holder: take.wanted.lock_id.clone(),
        mode: Mode::Exclusive,
        ttl: take.wanted.ttl,
        session: take.wanted.session,
        wait: Wait::No,
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

/// Some holder that is another.
fn other_than(holder: &Holder) -> Holder {
    let other = if holder.as_str() == "a" { "b" } else { "a" };
    Holder::new(other).expect("it is short, and not empty")
}

/// When a lease runs out, by the wall clock.
fn shown(lease: Lease, moment: Moment<'_>) -> i64 {
    let left = lease.expires_at.saturating_since(moment.now.instant).as_nanos().div_ceil(1_000_000);
    millis(moment).saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
}

/// The moment of the batch as a date, in milliseconds.
fn millis(moment: Moment<'_>) -> i64 {
    i64::try_from(moment.wall.as_millis()).unwrap_or(i64::MAX)
}

impl From<NotTaken> for Taken {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Refused(refusal) => Self::Refused(refusal),
            NotTaken::Failed(error) => Self::Failed(error),
        }
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DocumentError> for NotTaken {
    fn from(error: DocumentError) -> Self {
        Self::Failed(error)
    }
}
