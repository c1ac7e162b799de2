//! What the writer is asked to do with document locks, and what it answers.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Filter, Value};
use lockcore::{Granted, Holder, Key, Lease, Refusal, SessionId, Token, Ttl};

use super::acquisition::Turn;
use super::fields::locked_by;
use super::side_grant::DocumentAt;
use super::update::{LockUpdate, WorkedOut};
use crate::documents::plan::Order;
use crate::documents::{CollectionId, Namespace, RecordId};
use crate::error::DocumentError;
use crate::fence::Fence;

/// The lock of the first document that a scan has found, or a wait for it.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) collection: CollectionId,
    /// What the scan has found, in its order, each record once.
    pub(crate) candidates: Vec<RecordId>,
    /// What a document must still match when its turn comes.
    pub(crate) filter: Arc<Filter>,
    /// Which of several documents comes first.
    pub(crate) order: Order,
    pub(crate) wanted: Arc<Wanted>,
    /// The sequence of the reading that was scanned.
    pub(crate) seen: u64,
    /// What the update makes of one of the candidates, if the writer has left that to the caller.
    pub(crate) worked_out: Option<WorkedOut>,
    /// How long to wait when it is locked; not at all by default.
    pub(crate) turn: Option<Turn>,
}

/// What is wanted of the document, the same at each look.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) mode: Mode,
    pub(crate) lock_id: Holder,
    pub(crate) update: Option<LockUpdate>,
    pub(crate) ttl: Option<Ttl>,
    pub(crate) session: Option<SessionId>,
    /// Whether the document shows the fencing token.
    pub(crate) show_token: bool,
    /// What the lock relies on.
    pub(crate) fences: Vec<Fence>,
}

/// What a document that is locked already means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is passed over: the filter demands that `lock_id` is null.
    Pass,
    /// It is the one that was asked for, and is not to be had for now.
    Meet,
    /// It is taken from whoever holds it.
    Break,
}

impl Mode {
    /// As it is asked for: `meets` says whether the first document is the one that is wanted, even if it is locked.
    pub(crate) fn of(break_lock: bool, meets: bool) -> Self {
        match (break_lock, meets) {
            (true, _) => Self::Break,
            (false, true) => Self::Meet,
            (false, false) => Self::Pass,
        }
    }

    /// What a document that matches is for `lock_id`.
    pub fn meets(self, lock_id: &str, document: &RawDocument) -> Meeting {
        match (self, locked_by(document)) {
            (Self::Pass | Self::Break, _) | (Self::Meet, None) => Meeting::Takeable,
            (Self::Meet, Some(Value::String(by))) if by == lock_id => Meeting::Own,
            (Self::Meet, Some(_)) => Meeting::Held,
        }
    }
}

/// What a document is for somebody who wants to lock it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// To be locked.
    Takeable,
    /// Locked with the same `lock_id`.
    Own,
    /// Locked by another.
    Held,
}

impl Wanted {
    /// What a document that matches is for this caller.
    pub(crate) fn meets(&self, document: &RawDocument) -> Meeting {
        self.mode.meets(&self.lock_id, document)
    }
}

/// The place of a waiter in the queue: who has a lower number has come before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) collection: CollectionId,
    pub(crate) number: u64,
}

/// What has become of a [`Take`].
#[derive(Clone, Debug)]
pub(crate) enum Taken {
    /// The document is locked by the caller.
    Locked(Box<TakenLock>),
    /// The first that matches is locked by another.
    Unavailable(RawDocumentBuf),
    /// The plan is out of date, and nothing was done. On a new reading it will be another.
    Again,
    /// It is time to look again, or worth it. Who waits on has this number.
    LookAgain(u64),
    /// As [`Taken::Again`]: and what the update makes of the first document is to be worked out by the caller. Its number, if it
    /// has waited.
    TooMuch(Option<u64>),
    /// The table of locks does not allow it. Nothing was done.
    Refused(Refusal),
    /// Nothing was done.
    Failed(DocumentError),
}

/// A document that was locked.
#[derive(Clone, Debug)]
pub(crate) struct TakenLock {
    /// As it is now.
    pub(crate) document: RawDocumentBuf,
    pub(crate) at: DocumentAt,
    pub(crate) key: Key,
    pub(crate) lock_id: Holder,
    pub(crate) token: Token,
    pub(crate) lease: Option<Lease>,
    /// Whether the same `lock_id` held it already.
    pub(crate) rejoined: bool,
    /// Whether it was waited for.
    pub(crate) waited: bool,
    /// Which candidate it was, counted from 1.
    pub(crate) tried: usize,
}

impl TakenLock {
    /// The first candidate, which was not waited for.
    pub(crate) fn new(
        document: RawDocumentBuf,
        at: DocumentAt,
        key: Key,
        lock_id: Holder,
        granted: &Granted,
    ) -> Self {
        let Granted { token, lease, rejoined } = *granted;
        Self { document, at, key, lock_id, token, lease, rejoined, waited: false, tried: 1 }
    }

    /// Its release.
    pub(crate) fn give_back(&self, release: Release) -> GiveBack {
        let (key, lock_id) = (self.key.clone(), self.lock_id.clone());
        let (at, token, worked_out) = (self.at, self.token, None);
        GiveBack { at, key, lock_id, token, release, worked_out, fences: Vec::new() }
    }
}

/// The release of a document.
#[derive(Clone, Debug)]
pub(crate) struct GiveBack {
    pub(crate) at: DocumentAt,
    pub(crate) key: Key,
    pub(crate) lock_id: Holder,
    pub(crate) token: Token,
    pub(crate) release: Release,
    /// What the update on release makes of the document, if the writer has left that to the caller.
    pub(crate) worked_out: Option<WorkedOut>,
    /// What the update or deletion on release relies on.
    pub(crate) fences: Vec<Fence>,
}

/// How a document is released.
#[derive(Clone, Debug, Default)]
pub enum Release {
    /// It is unlocked.
    #[default]
    Unlock,
    /// It is unlocked and updated.
    Update(LockUpdate),
    /// It is deleted.
    Delete,
    /// It is unlocked, unless somebody else was told of the same grant: who has got it has given up before being told.
    HandOn,
}

/// What has become of a [`GiveBack`].
#[derive(Clone, Debug)]
pub(crate) enum GivenBack {
    /// It is released, as it was asked for.
    Released,
    /// It is released, and could not be updated.
    NotUpdated(DocumentError),
    /// It was not locked by this grant any more, and nothing was done. Who has locked it now, if anybody has.
    Lost(Option<String>),
    /// What the update on release makes of the document is to be worked out by the caller. It is locked as before.
    TooMuch,
    /// It is locked as before.
    Failed(DocumentError),
}

/// The break of the lock of a document, with its audit record in the same commit.
#[derive(Debug)]
pub(crate) struct BreakDocument {
    pub(crate) at: DocumentAt,
    /// What the document must still match, if it has changed since the reading of `seen`.
    pub(crate) filter: Arc<Filter>,
    pub(crate) seen: u64,
    pub(crate) namespace: Namespace,
    pub(crate) reason: Box<str>,
}

/// What the writer answers; a break that is done is answered as that of any lock.
#[derive(Clone, Debug)]
pub(crate) enum LockAnswer {
    Taken(Taken),
    GivenBack(GivenBack),
    /// The document is gone, does not match any more, or is not locked.
    NothingToBreak,
    /// The document has changed, and whether it matches is too much work to find out: to be asked on a new reading.
    BreakAgain,
    /// The document could not be unlocked, and nothing was done.
    NotBroken(DocumentError),
}
