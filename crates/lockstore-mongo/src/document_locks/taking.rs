//! One try of a look: the document is found, and locked if it is to be had, in one transaction.

use std::time::Duration;

use bson::{DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockcore::{Granted, Key};
use lockstore::Fence;
use lockstore::remote::serving::document_locks::{
    Finding, HeldDocument, LockDocument, Meeting, Mode,
};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::granting::{NewGrant, WantedGrant};
use super::run_out::has_run_out;
use super::side_grant::Place;
use super::transaction::{Tried, add, alone, find, modify, narrowed, refused};
use super::update::{self, Update};
use crate::documents::Failed;
use crate::failure::damaged;
use crate::locks::{Look, Standing};

/// One try of a look.
pub(super) struct Try<'t> {
    pub(super) place: &'t Place,
    pub(super) wanted: &'t LockDocument,
    pub(super) which: Which,
    /// By what it is known what has become of it.
    pub(super) request: Uuid,
    /// Whether nobody seems to be in the way: then the side grant is not looked at first.
    pub(super) is_easy: bool,
    /// What others were just about to change.
    pub(super) passed_over: &'t mut Vec<RawBson>,
}

/// Which document a look would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The first that is found, also if it is locked.
    First,
    /// If that is locked, any that is not: so it is for whoever waits and has not said which comes first.
    Any,
}

/// A document and its side grant, which are locked when the transaction is committed.
pub(super) struct Taken {
    pub(super) held: HeldDocument,
    pub(super) key: Key,
}

/// Why nothing is locked.
pub(super) enum Left {
    /// The document is locked by another, for that long if nothing happens.
    Unavailable(RawDocumentBuf, Option<Duration>),
    Nothing,
}

/// What a try has come to.
type Taking = Tried<Box<Taken>, Left>;

impl DocumentLocks {
    pub(super) async fn try_look(
        &self,
        session: &mut ClientSession,
        one: Try<'_>,
    ) -> Result<Taking, Failed> {
        let wanted = one.wanted;
        self.documents.begin(session).await?;
        if wanted.mode == Mode::Meet || !one.is_easy {
            return self.try_found(session, one).await;
        }
        // The first that is found is the one that is locked, whatever it is.
        let finding = wanted.finding.clone();
        self.take(session, &one, &finding, None).await
    }

    /// Looks at the first document before it is locked.
    async fn try_found(&self, session: &mut ClientSession, one: Try<'_>) -> Result<Taking, Failed> {
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
            return Ok(Tried::Left(Left::Nothing));
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
                return Ok(Tried::Left(Left::Unavailable(found, for_now)));
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
            && wanted.mode == Mode::Pass
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
    ) -> Result<Taking, Failed> {
        let Try { place, wanted, request, .. } = *one;
        let mut command = modify(place, finding, update::locking(wanted));
        add(&mut command, cstr!("fields"), wanted.projection.clone());
        limit_time(&mut command, wanted);
        let Some(document) = self.modify_in(session, place, &command).await? else {
            return Ok(Tried::Left(Left::Nothing));
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
    ) -> Result<Taking, Failed> {
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
    fn taken(&self, key: Key, document: RawDocumentBuf, grant: NewGrant) -> Result<Taking, Failed> {
        let Granted { token, lease, rejoined } = grant.granted;
        let fence = Fence::new(key.as_str(), &self.wanted.lock_id, token);
        let fence = fence.map_err(|error| Failed::Store(damaged(error)))?;
        let (ttl, valid_until) =
            (lease.map(|lease| lease.ttl), lease.map(|lease| lease.expires_at));
        let held = HeldDocument { document, fence, ttl, valid_until, rejoined };
        Ok(Tried::Done(Box::new(Taken { held, key })))
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
