//! `breakDocumentLocks`: documents are unlocked by force, each with a record of it in the same transaction.

use std::sync::Arc;

use bson::{Bson, RawArrayBuf, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockcore::{Acquire, Command, Holder, Instant, Key, Mode, Outcome, Refusal, Wait};
use lockstore::remote::serving::document_locks::{
    Finding, break_locks, broken, document_name, locked_by, shortened,
};
use lockstore::{BreakRecord, StoreError};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::side_grant::{Place, by_id};
use super::transaction::{Change, Ended, Tried, find, modify, narrowed, of_lock, refused};
use super::update::unlocking;
use crate::documents::{Failed, Limit, number};
use crate::failure::damaged;
use crate::locks::{Audit, Standing, number as stored};

/// One document that is to be unlocked.
struct Breaking<'b> {
    place: &'b Place,
    finding: &'b Finding,
    reason: &'b str,
    /// By what it is known what has become of it.
    request: Uuid,
}

impl DocumentLocks {
    /// Unlocks the documents that match and are locked: a bounded number.
    pub(super) async fn break_locks(
        self: &Arc<Self>,
        place: &Place,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (finding, reason) = match break_locks(command) {
            Ok(asked) => asked,
            Err(refused) => return Ok(refused),
        };
        match self.try_breaking(place, &finding, &reason, deadline).await {
            Ok(records) => Ok(broken(&records)),
            Err(ended) => ended.reply(),
        }
    }

    async fn try_breaking(
        self: &Arc<Self>,
        place: &Place,
        finding: &Finding,
        reason: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<BreakRecord>, Ended> {
        let locked = narrowed(finding, &[is_locked()]);
        let mut records = Vec::new();
        for id in self.ids(place, &locked, deadline).await? {
            let one = narrowed(&locked, &[by_id(&id)]);
            let (place, reason) = (place.clone(), reason.to_owned());
            let work = move |own: Arc<Self>, limit| async move {
                let (place, finding, reason) = (&place, &one, reason.as_str());
                let breaking = Breaking { place, finding, reason, request: Uuid::new() };
                own.make(breaking, limit).await
            };
            // Each by itself: there may be many.
            if let Tried::Done(record) = self.in_time(deadline, BREAKING, work).await? {
                records.push(record);
            }
        }
        Ok(records)
    }

    /// The `_id`s of the first documents that are found.
    async fn ids(
        &self,
        place: &Place,
        finding: &Finding,
        deadline: Option<Instant>,
    ) -> Result<Vec<Bson>, Ended> {
        let found = find(place, finding);
        let mut command = RawDocumentBuf::new();
        for (name, value) in found.iter().flatten() {
            match name.as_str() {
                "limit" => command.append(name, UNLOCKED_MAX),
                // All of them in one batch: an _id is small.
                "singleBatch" => command.append(cstr!("batchSize"), UNLOCKED_MAX),
                _ => command.append(name, value),
            }
        }
        command.append(cstr!("singleBatch"), true);
        command.append(cstr!("projection"), rawdoc! { "_id": 1 });
        let reply = self.documents.run(&place.database, &command, deadline).await?;
        if number(&reply, "ok") != Some(1) {
            return Err(Ended::Refused(reply));
        }
        let none = RawArrayBuf::new();
        let cursor = reply.get_document("cursor").ok();
        let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok()).unwrap_or(&none);
        let ids = batch
            .into_iter()
            .flatten()
            .filter_map(|document| Bson::try_from(document.as_document()?.get("_id").ok()??).ok());
        Ok(ids.collect())
    }
}

impl Change for Breaking<'_> {
    type Done = BreakRecord;
    /// It does not match any more, or is not locked.
    type Left = ();

    async fn attempt(
        &mut self,
        of: &DocumentLocks,
        session: &mut ClientSession,
    ) -> Result<Tried<BreakRecord, ()>, Failed> {
        let Self { place, finding, reason, request } = *self;
        of.documents.begin(session).await?;
        let Some(before) = of.find_in(session, place, &find(place, finding)).await? else {
            return Ok(Tried::Left(()));
        };
        let Some(lock_id) = locked_by(&before) else { return Ok(Tried::Left(())) };
        if of.modify_in(session, place, &modify(place, finding, unlocking(None))).await?.is_none() {
            return Ok(Tried::Left(()));
        }
        let holder = if lock_id.is_empty() { "\"\"" } else { shortened(&lock_id) };
        let holder = Holder::new(holder).map_err(|error| Failed::Store(damaged(error)))?;
        let key = place.key(&before).map_err(|error| refused(&error))?;
        let look = of.locks.look_at(key.as_str(), None, of.locks.now()).await;
        let look = look.map_err(of_lock)?;
        let decide = |standing: &mut Standing| end(standing, &key, &holder, &lock_id, request);
        let changed = of.locks.change_in(session, &look, None, decide).await;
        let changed = changed.map_err(of_lock)?;
        let Ok(changed) = changed else {
            return Err(Failed::conflict("the side grant cannot be ended"));
        };
        let Outcome::Granted(granted) = changed.outcome else {
            return Err(Failed::conflict("a lock has changed"));
        };
        let audit = Audit {
            holder: holder.as_str().to_owned(),
            token: stored(granted.token),
            reason: reason.to_owned(),
            request,
            at: look.moment.date(),
        };
        let recorded = async {
            let number = of.locks.draw(Some(&mut *session)).await?;
            let name = document_name(&place.namespace(), &before);
            of.locks.record(number, name.as_str(), &audit, session).await
        };
        recorded.await.map(Tried::Done).map_err(of_lock)
    }

    async fn commit(
        &self,
        of: &DocumentLocks,
        session: &mut ClientSession,
        limit: Limit,
    ) -> Result<(), Failed> {
        let asked = rawdoc! { "breakDocumentLocks": self.place.collection.as_str() };
        match of.documents.commit(session, limit, &asked).await {
            // That it is not on record yet does not say that it will not be.
            Err(Failed::Store(StoreError::OutcomeUnknown { .. }))
                if of.locks.on_record(self.request).await.is_ok_and(|found| found.is_some()) =>
            {
                Ok(())
            }
            committed => committed,
        }
    }
}

/// Ends the grant of whoever has locked the document, and tells of it. A lock that an update has set has none: its record has a token that nobody
/// else has had, that of a grant which ends at once.
fn end(
    standing: &mut Standing,
    key: &Key,
    holder: &Holder,
    lock_id: &str,
    request: Uuid,
) -> Result<Outcome, Refusal> {
    let grants = standing.lock().into_iter().flat_map(lockcore::Lock::grants);
    let standing_grants: Vec<_> =
        grants.map(|grant| (grant.token, grant.lease, grant.holder.as_str() == lock_id)).collect();
    let mut own = None;
    for (token, lease, is_own) in standing_grants {
        standing.execute(&Command::Break { key: key.clone(), token }, request)?;
        if is_own {
            own = Some(lockcore::Granted { token, lease, rejoined: false });
        }
    }
    if let Some(granted) = own {
        return Ok(Outcome::Granted(granted));
    }
    let acquire = Acquire {
        key: key.clone(),
        holder: holder.clone(),
        mode: Mode::Exclusive,
        ttl: None,
        session: None,
        wait: Wait::No,
    };
    let outcome = standing.execute(&Command::Acquire(acquire), request)?;
    if let Outcome::Granted(granted) = &outcome {
        standing.execute(&Command::Break { key: key.clone(), token: granted.token }, request)?;
    }
    Ok(outcome)
}

/// Finds what is locked, in whatever way.
fn is_locked() -> RawDocumentBuf {
    rawdoc! { "lock_id": { "$ne": null }, "$expr": { "$gt": ["$lock_id", null] } }
}

/// What `breakDocumentLocks` does.
const BREAKING: &str = "unlocking documents";
/// How many documents one call unlocks: a reply tells of all of them.
const UNLOCKED_MAX: i64 = 4_096;
