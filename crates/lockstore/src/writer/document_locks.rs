//! Document locks in the writer: a document and the grant behind its lock change together.
//!
//! Whatever has changed a document or has ended a grant, [`Writer::follow`] makes the other one agree, in the same batch:
//! it comes after each task. Both ways are idempotent, so it ends.

use std::collections::{BTreeMap, VecDeque};

use lockcore::{Change, Command, Grant, Holder, Key, Lease, Token};

use super::{Moment, Writer};
use crate::document_locks::fields::{self, is_locked_by, with_expiry, without_our_fields};
use crate::document_locks::side_grant::{document_of, is_side_key, side_key};
use crate::document_locks::{DocumentAt, LockAnswer};
use crate::documents::{CollectionId, RecordId};
use crate::error::DocumentError;
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
            | Change::SessionLost { .. }
            | Change::SessionTakenUp { .. }
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

    fn of(&self, collection: CollectionId) -> Vec<DocumentAt> {
        let all = (collection, RecordId::MIN)..=(collection, RecordId::MAX);
        self.grants.range(all).map(|(at, _)| *at).collect()
    }
}

impl Writer {
    /// The side grant of a document, if it has one.
    pub(super) fn side_grant(&self, at: DocumentAt) -> Option<(&Key, &Grant)> {
        let key = self.document_locks.grants.get(&at)?;
        let grant = self.table.lock(key).and_then(|lock| lock.grants().next());
        Some((key, grant.expect("a side grant is held")))
    }

    /// The key of a document's side grant, which it need not have.
    pub(super) fn side_key(&self, at: DocumentAt) -> Key {
        self.document_locks.grants.get(&at).cloned().unwrap_or_else(|| side_key(at))
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
            for at in self.document_locks.of(collection) {
                if let Some((key, grant)) = self.side_grant(at) {
                    let (key, token) = (key.clone(), grant.token);
                    self.end_grant(&key, token, moment);
                }
            }
        }
        self.send_waiters_of_dropped();
    }

    /// A document has changed: unless it is still locked by the holder of its side grant, that is over.
    fn end_if_unlocked(&mut self, at: DocumentAt, moment: Moment<'_>) {
        let Some((key, grant)) = self.side_grant(at) else { return };
        let (key, holder, token) = (key.clone(), grant.holder.clone(), grant.token);
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
        let standing = self.side_grant(*at).map(|(_, grant)| grant);
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
    pub(super) fn end_grant(&mut self, key: &Key, token: Token, moment: Moment<'_>) {
        let ended = self.table.decide(moment.now, &Command::Break { key: key.clone(), token });
        self.apply(&ended.expect("a side grant is held"), moment);
    }

    pub(super) fn answer_lock(&mut self, reply: Reply, answer: LockAnswer) {
        self.batch.answers.push((reply, Answer::DocumentLock(Box::new(answer))));
    }
}

/// When a lease runs out, by the wall clock.
pub(super) fn shown(lease: Lease, moment: Moment<'_>) -> i64 {
    let left = lease.expires_at.saturating_since(moment.now.instant).as_nanos().div_ceil(1_000_000);
    millis(moment).saturating_add(i64::try_from(left).unwrap_or(i64::MAX))
}

/// The moment of the batch as a date, in milliseconds.
pub(super) fn millis(moment: Moment<'_>) -> i64 {
    i64::try_from(moment.wall.as_millis()).unwrap_or(i64::MAX)
}
