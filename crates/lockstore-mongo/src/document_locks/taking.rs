//! One look: the document is found, and locked if it is to be had, in one transaction.

use bson::{DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockcore::{Acquire, Command, Granted, Holder, Key, Mode, Outcome, Refusal, Wait};
use lockstore::remote::serving;
use lockstore::remote::serving::document_locks::{
    Finding, HeldDocument, LockDocument, Meeting, Mode as Wants, locked,
};
use lockstore::{Fence, LockDocumentError, StoreError};
use mongodb::ClientSession;
use std::time::Duration;

use super::DocumentLocks;
use super::run_out::has_run_out;
use super::side_grant::Place;
use super::transaction::{Ended, add, alone, find, modify, narrowed, of_lock, refused};
use super::update::{self, Update};
use crate::documents::{Failed, Limit};
use crate::failure::damaged;
use crate::locks::{GivenUp, Look, Standing, number_of};
use crate::time::date;

/// What a look has come to.
#[derive(Debug)]
pub(super) enum Looked {
    Locked(Box<HeldDocument>),
    /// The document is locked by another, for that long if nothing happens.
    Unavailable(RawDocumentBuf, Option<Duration>),
    Nothing,
}

/// One try of a look.
struct Try<'t> {
    place: &'t Place,
    wanted: &'t LockDocument,
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

/// A grant within a transaction.
#[derive(Clone, Copy)]
struct NewGrant {
    granted: Granted,
    /// By the primary's time.
    expires_at: Option<DateTime>,
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
        &self,
        place: &Place,
        wanted: &LockDocument,
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
            let one = Try { place, wanted, request, is_easy, passed_over: passed };
            let looked = limit.bound(self.try_look(&mut session, one)).await;
            let looked = looked.unwrap_or_else(|| {
                Err(Failed::Store(self.documents.unreachable("no reply in time")))
            });
            let failed = match looked {
                Ok(Tried::Taken(taken)) => {
                    let asked = rawdoc! { "lockDocument": place.collection.as_str() };
                    match self.commit(&mut session, wanted, &taken, limit, &asked).await {
                        Ok(()) => return self.bound_to_life(wanted, *taken).await,
                        Err(Failed::Store(error @ StoreError::OutcomeUnknown { .. })) => {
                            if !self.is_granted(&taken.key, request).await {
                                return Err(error.into());
                            }
                            return self.bound_to_life(wanted, *taken).await;
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
                            if self.sweep(place).await? == 0 {
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

    /// What is locked, if its session lives still.
    async fn bound_to_life(&self, wanted: &LockDocument, taken: Taken) -> Result<Looked, Ended> {
        let Taken { held, key } = taken;
        let Some(session) = wanted.session else { return Ok(Looked::Locked(Box::new(held))) };
        match self.locks.outlives(session, &key).await {
            Ok(true) => Ok(Looked::Locked(Box::new(held))),
            Ok(false) => {
                let ended = locked(&wanted.lock_id, Err(LockDocumentError::SessionEnded));
                Err(Ended::Refused(ended))
            }
            // It is locked for now.
            Err(_) => Err(StoreError::OutcomeUnknown { what: "locking a document".into() }.into()),
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
        let Some(found) = self.find_in(session, place, &command).await? else {
            return Ok(Tried::Nothing);
        };
        let mut meeting = wanted.mode.meets(&wanted.lock_id, &found);
        let mut look = None;
        if meeting != Meeting::Takeable {
            let seen = self.seen(place, &found, wanted).await?;
            if has_run_out(&seen, &found).map_err(Failed::Store)? {
                meeting = Meeting::Takeable;
            } else if meeting == Meeting::Held {
                let standing = Standing::new(&seen).map_err(Failed::Store)?;
                let for_now = standing.next_deadline().map(|at| seen.moment.until(at));
                return Ok(Tried::Unavailable(found, for_now));
            }
            look = Some(seen);
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

    /// Locks what is found, from whoever holds it.
    async fn take(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        finding: &Finding,
        look: Option<Look>,
    ) -> Result<Tried, Failed> {
        let Try { place, wanted, .. } = *one;
        let mut command = modify(place, finding, update::locking(wanted));
        add(&mut command, cstr!("fields"), wanted.projection.clone());
        limit_time(&mut command, wanted);
        let Some(document) = self.modify_in(session, place, &command).await? else {
            return Ok(Tried::Nothing);
        };
        let key = place.key(&document).map_err(|error| refused(&error))?;
        let grant = self.grant(session, one, &key, lock_time(&document), look).await?;
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
        let acquire = acquire(wanted, &key);
        let decide = |standing: &mut Standing| {
            end_others(standing, Some(&wanted.lock_id), request)?;
            let outcome = standing.execute(&Command::Acquire(acquire.clone()), request);
            standing.locked_at(request, lock_time(found));
            outcome
        };
        let grant = self.decided(session, wanted, seen, decide).await?;
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

    /// The side grant of a document that is locked in this transaction.
    async fn grant(
        &self,
        session: &mut ClientSession,
        one: &Try<'_>,
        key: &Key,
        lock_time: Option<DateTime>,
        look: Option<Look>,
    ) -> Result<NewGrant, Failed> {
        let Try { wanted, request, .. } = *one;
        let acquire = acquire(wanted, key);
        if one.is_easy && look.is_none() && wanted.session.is_none() {
            let granted =
                self.locks.acquire_at_once_in(session, &acquire, request, lock_time).await;
            let (granted, moment) = granted.map_err(of_lock)?;
            let expires_at = granted.lease.map(|lease| date(lease.expires_at));
            return Ok(NewGrant { granted: moment.granted(granted), expires_at });
        }
        let look = match look {
            Some(look) => look,
            None => self.look_at_key(key, wanted).await?,
        };
        let decide = |standing: &mut Standing| {
            end_others(standing, None, request)?;
            let outcome = standing.execute(&Command::Acquire(acquire.clone()), request);
            standing.locked_at(request, lock_time);
            outcome
        };
        self.decided(session, wanted, &look, decide).await
    }

    async fn decided(
        &self,
        session: &mut ClientSession,
        wanted: &LockDocument,
        look: &Look,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<NewGrant, Failed> {
        let changed = self.locks.change_in(session, look, None, decide).await;
        match changed.map_err(of_lock)? {
            Ok(changed) => {
                let Outcome::Granted(granted) = changed.outcome else {
                    return Err(Failed::conflict("a lock has changed"));
                };
                let expires_at = granted.lease.map(|lease| date(lease.expires_at));
                Ok(NewGrant { granted: look.moment.granted(granted), expires_at })
            }
            Err(refusal) => Err(not_granted(wanted, refusal)),
        }
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

    /// The side grant of a document, as it is seen.
    async fn seen(
        &self,
        place: &Place,
        document: &RawDocument,
        wanted: &LockDocument,
    ) -> Result<Look, Failed> {
        let key = place.key(document).map_err(|error| refused(&error))?;
        self.look_at_key(&key, wanted).await
    }

    async fn look_at_key(&self, key: &Key, wanted: &LockDocument) -> Result<Look, Failed> {
        let session = wanted.session.map(number_of);
        let seen = self.locks.look_at(key.as_str(), session, self.locks.now()).await;
        seen.map_err(of_lock)
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

/// Ends the grants of all but `holder`: their document is not locked by them.
fn end_others(
    standing: &mut Standing,
    holder: Option<&Holder>,
    request: Uuid,
) -> Result<(), Refusal> {
    let Some(lock) = standing.lock() else { return Ok(()) };
    let (key, grants) = (lock.key().clone(), lock.grants());
    let others = grants.filter(|grant| Some(&grant.holder) != holder);
    for token in others.map(|grant| grant.token).collect::<Vec<_>>() {
        standing.execute(&Command::Break { key: key.clone(), token }, request)?;
    }
    Ok(())
}

fn acquire(wanted: &LockDocument, key: &Key) -> Acquire {
    Acquire {
        key: key.clone(),
        holder: wanted.lock_id.clone(),
        mode: Mode::Exclusive,
        ttl: wanted.ttl,
        session: wanted.session,
        wait: Wait::No,
    }
}

fn not_granted(wanted: &LockDocument, refusal: Refusal) -> Failed {
    let error = match refusal {
        Refusal::UnknownSession => LockDocumentError::SessionEnded,
        Refusal::OtherSession { .. } => {
            LockDocumentError::OtherSession { lock_id: wanted.lock_id.clone() }
        }
        Refusal::LimitReached { limit, max } => LockDocumentError::LimitReached { limit, max },
        refusal => {
            return Failed::conflict(&format!("the side grant is not to be had: {refusal:?}"));
        }
    };
    Failed::Reply(locked(&wanted.lock_id, Err(error)))
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
