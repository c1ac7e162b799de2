//! One look: the document is found, and locked if it is to be had, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use bson::{DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockcore::{Granted, Key};
use lockstore::remote::serving;
use lockstore::remote::serving::document_locks::{
    Finding, HeldDocument, LockDocument, Meeting, Mode as Wants, locked,
};
use lockstore::{Fence, LockDocumentError, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::granting::{NewGrant, WantedGrant};
use super::in_time::{LOCKING, unknown};
use super::run_out::has_run_out;
use super::side_grant::Place;
use super::transaction::{Ended, add, alone, find, modify, narrowed, refused};
use super::update::{self, Update};
use crate::documents::{Failed, Limit};
use crate::failure::damaged;
use crate::locks::{GivenUp, Look, Standing};

/// What a look has come to.
#[derive(Debug)]
pub(super) enum Looked {
    Locked(Box<HeldDocument>),
    /// The document is locked by another, for that long if nothing happens.
    Unavailable(RawDocumentBuf, Option<Duration>),
    Nothing,
}

/// Which document a look would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The first that is found, also if it is locked.
    First,
    /// If that is locked, any that is not: so it is for whoever waits and has not said which comes first.
    Any,
}

/// One try of a look.
struct Try<'t> {
    place: &'t Place,
    wanted: &'t LockDocument,
    which: Which,
    /// By what it is known what has become of it.
    request: Uuid,
    /// Whether nobody seems to be in the way: then the side grant is not looked at first.
    is_easy: bool,
    /// What others were just about to change.
    passed_over: &'t mut Vec<RawBson>,
}

/// A document and its side grant, which are locked when the transaction is committed.
struct Taken {
    held: HeldDocument,
    key: Key,
}

/// What one try has come to, before the transaction is ended.
enum Tried {
    Taken(Box<Taken>),
    Unavailable(RawDocumentBuf, Option<Duration>),
    Nothing,
}

impl DocumentLocks {
    /// Looks, again after conflicts.
    pub(super) async fn look(
        self: &Arc<Self>,
        place: &Place,
        wanted: &LockDocument,
        which: Which,
        limit: Limit,
        given_up: &GivenUp,
    ) -> Result<Looked, Ended> {
        let (mut tries, request) = (limit.tries(), Uuid::new());
        let (mut passed_over, mut is_easy, mut has_swept) = (Vec::new(), true, false);
        loop {
            if given_up.is_closing() {
                return Err(StoreError::Closed.into());
            }
            let had_passed = !passed_over.is_empty();
            let mut session = self.documents.session(limit).await?;
            let passed = &mut passed_over;
            let one = Try { place, wanted, which, request, is_easy, passed_over: passed };
            let looked = limit.bound(self.try_look(&mut session, one)).await;
            let looked = looked.unwrap_or_else(|| {
                Err(Failed::Store(self.documents.unreachable("no reply in time")))
            });
            let failed = match looked {
                Ok(Tried::Taken(taken)) => {
                    let asked = rawdoc! { "lockDocument": place.collection.as_str() };
                    match self.commit(&mut session, wanted, &taken, limit, &asked).await {
                        Ok(()) => return self.bound_to_life(place, wanted, *taken).await,
                        Err(Failed::Store(error @ StoreError::OutcomeUnknown { .. })) => {
                            if !self.is_granted(&taken.key, request).await {
                                self.hand_on_later(place, &taken.held);
                                return Err(error.into());
                            }
                            return self.bound_to_life(place, wanted, *taken).await;
                        }
                        Err(failed) => failed,
                    }
                }
                Ok(other) => {
                    self.abort(&mut session).await;
                    match other {
                        // Those that were about to be locked may be free again.
                        Tried::Nothing if had_passed => {
                            passed_over.clear();
                            Failed::conflict("others are locking the same documents")
                        }
                        // What has run out counts as locked until somebody has seen to it.
                        Tried::Nothing if wanted.mode == Wants::Pass && !has_swept => {
                            has_swept = true;
                            if self.sweep_due(place).await? == 0 {
                                return Ok(Looked::Nothing);
                            }
                            continue;
                        }
                        Tried::Nothing => return Ok(Looked::Nothing),
                        Tried::Unavailable(document, for_now) => {
                            return Ok(Looked::Unavailable(document, for_now));
                        }
                        Tried::Taken(_) => unreachable!("it is committed"),
                    }
                }
                Err(failed) => {
                    self.abort(&mut session).await;
                    failed
                }
            };
            is_easy = false;
            self.again(failed, &mut tries).await?;
        }
    }

    /// What is locked, if its session lives still. Where that is not to be known it is given back.
    async fn bound_to_life(
        self: &Arc<Self>,
        place: &Place,
        wanted: &LockDocument,
        taken: Taken,
    ) -> Result<Looked, Ended> {
        let Taken { held, key } = taken;
        let Some(session) = wanted.session else { return Ok(Looked::Locked(Box::new(held))) };
        match self.locks.outlives(session, &key).await {
            Ok(true) => Ok(Looked::Locked(Box::new(held))),
            Ok(false) => {
                let ended = locked(&wanted.lock_id, Err(LockDocumentError::SessionEnded));
                Err(Ended::Refused(ended))
            }
            Err(error) => {
                tracing::debug!(%error, %key, "a document that may be locked by a dead session is given back");
                self.hand_on_later(place, &held);
                Err(unknown(LOCKING).into())
            }
        }
    }

    /// Commits what a look has taken.
    async fn commit(
        &self,
        session: &mut ClientSession,
        wanted: &LockDocument,
        taken: &Taken,
        limit: Limit,
        asked: &RawDocument,
    ) -> Result<(), Failed> {
        let is_over = |fence: &&Fence| fence.key() == &taken.key && **fence != taken.held.fence;
        if let Some(fence) = wanted.fences.iter().find(is_over) {
            self.abort(session).await;
            return Err(refused(&serving::lock_lost(fence, None)));
        }
        self.documents.commit_relying(session, &wanted.fences, &[&taken.key], limit, asked).await
    }

    async fn try_look(&self, session: &mut ClientSession, one: Try<'_>) -> Result<Tried, Failed> {
        let wanted = one.wanted;
        self.documents.begin(session).await?;
        if wanted.mode == Wants::Meet || !one.is_easy {
            return self.try_found(session, one).await;
        }
        // The first that is found is the one that is locked, whatever it is.
        let finding = wanted.finding.clone();
        self.take(session, &one, &finding, None).await
    }

    /// Looks at the first document before it is locked.
    async fn try_found(&self, session: &mut ClientSession, one: Try<'_>) -> Result<Tried, Failed> {
        let Try { place, wanted, .. } = one;
        let mut finding = wanted.finding.clone();
        if !one.passed_over.is_empty() {
            let mut ids = RawArrayBuf::new();
            one.passed_over.iter().for_each(|id| ids.push(id.clone()));
            finding = narrowed(&finding, &[rawdoc! { "_id": { "$nin": ids } }]);
        }
        let mut command = find(place, &finding);
        add(&mut command, cstr!("projection"), wanted.projection.clone());
        limit_time(&mut command, wanted);
        let Some(mut found) = self.find_in(session, place, &command).await? else {
            return Ok(Tried::Nothing);
        };
        let mut meeting = wanted.mode.meets(&wanted.lock_id, &found);
        let mut look = None;
        if meeting != Meeting::Takeable {
            let seen = self.seen(place, &found, wanted).await?;
            if has_run_out(&seen, &found).map_err(Failed::Store)? {
                (meeting, look) = (Meeting::Takeable, Some(seen));
            } else if meeting == Meeting::Own {
                look = Some(seen);
            } else if let Some(free) = self.find_free(session, &one).await? {
                (meeting, found) = (Meeting::Takeable, free);
            } else {
                let standing = Standing::new(&seen).map_err(Failed::Store)?;
                let for_now = standing.next_deadline().map(|at| seen.moment.until(at));
                return Ok(Tried::Unavailable(found, for_now));
            }
        }
        if meeting == Meeting::Own {
            let seen = look.ok_or_else(|| Failed::conflict("a lock has changed"))?;
            return self.rejoin(session, &one, &found, &seen).await;
        }
        let (id, lock_id) = (value(&found, "_id"), value(&found, "lock_id"));
        let same =
            [rawdoc! { "_id": { "$eq": id.clone() } }, rawdoc! { "lock_id": { "$eq": lock_id } }];
        let finding = narrowed(&wanted.finding, &same);
        let taken = self.take(session, &one, &finding, look).await;
        if let Err(failed) = &taken
            && failed.transient().is_some()
            && wanted.mode == Wants::Pass
            && one.passed_over.len() < PASSED_OVER_MAX
        {
            one.passed_over.push(id);
        }
        taken
    }

    /// Finds a document that is not locked, if any will do.
    async fn find_free(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
    ) -> Result<Option<RawDocumentBuf>, Failed> {
        let Try { place, wanted, .. } = *one;
        if one.which == Which::First {
            return Ok(None);
        }
        let finding = narrowed(&wanted.finding, &[rawdoc! { "lock_id": null }]);
        let mut command = find(place, &finding);
        add(&mut command, cstr!("projection"), wanted.projection.clone());
        limit_time(&mut command, wanted);
        self.find_in(session, place, &command).await
    }

    /// Locks what is found, from whoever holds it.
    async fn take(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        finding: &Finding,
        look: Option<Look>,
    ) -> Result<Tried, Failed> {
        let Try { place, wanted, request, .. } = *one;
        let mut command = modify(place, finding, update::locking(wanted));
        add(&mut command, cstr!("fields"), wanted.projection.clone());
        limit_time(&mut command, wanted);
        let Some(document) = self.modify_in(session, place, &command).await? else {
            return Ok(Tried::Nothing);
        };
        let key = place.key(&document).map_err(|error| refused(&error))?;
        let asked = WantedGrant { wanted, request, key: &key, lock_time: lock_time(&document) };
        let grant = if one.is_easy && look.is_none() && wanted.session.is_none() {
            self.grant_at_once(session, &asked).await?
        } else {
            let look = match look {
                Some(look) => look,
                None => self.look_at_key(&key, wanted).await?,
            };
            self.grant(session, &asked, &look).await?
        };
        let document = self.show(session, one, document, &grant).await?;
        one.taken(key, document, grant)
    }

    /// The caller's own lock once more: the same grant with a new lease, and the document is not updated.
    async fn rejoin(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        found: &RawDocument,
        seen: &Look,
    ) -> Result<Tried, Failed> {
        let Try { place, wanted, request, .. } = *one;
        let key = place.key(found).map_err(|error| refused(&error))?;
        let asked = WantedGrant { wanted, request, key: &key, lock_time: lock_time(found) };
        let grant = self.grant_again(session, &asked, seen).await?;
        let mut set = RawDocumentBuf::new();
        let mut update = RawDocumentBuf::new();
        match grant.expires_at {
            Some(at) => set.append(cstr!("lock_expires_at"), at),
            None => update.append(cstr!("$unset"), rawdoc! { "lock_expires_at": 1 }),
        }
        // It is its own still: nobody has changed it when this is committed.
        set.append(cstr!("lock_id"), wanted.lock_id.as_str());
        if wanted.show_token {
            set.append(cstr!("lock_token"), grant.granted.token.get().cast_signed());
        }
        update.append(cstr!("$set"), set);
        let document = self.modify_shown(session, one, found, update).await?;
        one.taken(key, document, grant)
    }

    /// Has a document show its lease and its token, if it is to.
    async fn show(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        document: RawDocumentBuf,
        grant: &NewGrant,
    ) -> Result<RawDocumentBuf, Failed> {
        let mut shown = RawDocumentBuf::new();
        add(&mut shown, cstr!("lock_expires_at"), grant.expires_at.map(RawBson::DateTime));
        if one.wanted.show_token {
            shown.append(cstr!("lock_token"), grant.granted.token.get().cast_signed());
        }
        if shown.is_empty() {
            return Ok(document);
        }
        self.modify_shown(session, one, &document, rawdoc! { "$set": shown }).await
    }

    /// Changes the document that this transaction has found, and gives what is shown of it.
    async fn modify_shown(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        document: &RawDocument,
        update: RawDocumentBuf,
    ) -> Result<RawDocumentBuf, Failed> {
        let update = Update { update: update.into(), array_filters: None };
        let id = rawdoc! { "_id": { "$eq": value(document, "_id") } };
        // What is shown may be made with the command's variables.
        let finding = Finding { variables: one.wanted.finding.variables.clone(), ..alone(id) };
        let mut command = modify(one.place, &finding, update);
        add(&mut command, cstr!("fields"), one.wanted.projection.clone());
        let modified = self.modify_in(session, one.place, &command).await?;
        modified.ok_or_else(|| Failed::conflict("the document is gone"))
    }
}

impl Try<'_> {
    fn taken(&self, key: Key, document: RawDocumentBuf, grant: NewGrant) -> Result<Tried, Failed> {
        let Granted { token, lease, rejoined } = grant.granted;
        let fence = Fence::new(key.as_str(), &self.wanted.lock_id, token);
        let fence = fence.map_err(|error| Failed::Store(damaged(error)))?;
        let (ttl, valid_until) =
            (lease.map(|lease| lease.ttl), lease.map(|lease| lease.expires_at));
        let held = HeldDocument { document, fence, ttl, valid_until, rejoined };
        Ok(Tried::Taken(Box::new(Taken { held, key })))
    }
}

/// What a command may take.
fn limit_time(command: &mut RawDocumentBuf, wanted: &LockDocument) {
    let limit = wanted.max_time.and_then(|limit| i64::try_from(limit.as_millis()).ok());
    add(command, cstr!("maxTimeMS"), limit);
}

/// A value of a document; null if there is none.
fn value(document: &RawDocument, name: &str) -> RawBson {
    document.get(name).ok().flatten().map_or(RawBson::Null, RawBson::from)
}

/// Since when a document is locked, as it says itself.
fn lock_time(document: &RawDocument) -> Option<DateTime> {
    document.get_datetime("lock_time").ok()
}

/// How many documents are passed over at most because others are locking them just now.
const PASSED_OVER_MAX: usize = 64;
