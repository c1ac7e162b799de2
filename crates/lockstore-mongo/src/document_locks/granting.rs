//! The side grant of a document, in the transaction that locks the document.

use bson::{DateTime, RawDocument, Uuid};
use lockcore::{Acquire, Command, Granted, Holder, Key, Mode, Outcome, Refusal, Wait};
use lockstore::LockDocumentError;
use lockstore::remote::serving::document_locks::{LockDocument, locked};
use mongodb::ClientSession;

use super::DocumentLocks;
use super::side_grant::Place;
use super::transaction::{of_lock, refused};
use crate::documents::Failed;
use crate::locks::{Look, Standing, number_of};
use crate::time::date;

/// A grant within a transaction.
#[derive(Clone, Copy)]
pub(super) struct NewGrant {
    pub(super) granted: Granted,
    /// By the primary's time.
    pub(super) expires_at: Option<DateTime>,
}

/// A grant that is asked for.
pub(super) struct WantedGrant<'g> {
    pub(super) wanted: &'g LockDocument,
    /// By what it is known what has become of it.
    pub(super) request: Uuid,
    pub(super) key: &'g Key,
    /// When the document was locked, as it says itself.
    pub(super) lock_time: Option<DateTime>,
}

impl DocumentLocks {
    /// Grants where it is likely that nobody has the side grant, without a look.
    pub(super) async fn grant_at_once(
        &self,
        session: &mut ClientSession,
        asked: &WantedGrant<'_>,
    ) -> Result<NewGrant, Failed> {
        let WantedGrant { request, lock_time, .. } = *asked;
        let granted =
            self.locks.acquire_at_once_in(session, &asked.acquire(), request, lock_time).await;
        let (granted, moment) = granted.map_err(of_lock)?;
        let expires_at = granted.lease.map(|lease| date(lease.expires_at));
        Ok(NewGrant { granted: moment.granted(granted), expires_at })
    }

    /// Grants, from whoever has the side grant.
    pub(super) async fn grant(
        &self,
        session: &mut ClientSession,
        asked: &WantedGrant<'_>,
        look: &Look,
    ) -> Result<NewGrant, Failed> {
        let decide = |standing: &mut Standing| asked.take_from(standing, None);
        self.decided(session, asked.wanted, look, decide).await
    }

    /// Grants once more what the caller has.
    pub(super) async fn grant_again(
        &self,
        session: &mut ClientSession,
        asked: &WantedGrant<'_>,
        look: &Look,
    ) -> Result<NewGrant, Failed> {
        let decide =
            |standing: &mut Standing| asked.take_from(standing, Some(&asked.wanted.lock_id));
        self.decided(session, asked.wanted, look, decide).await
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

    /// The side grant of a document, as it is seen.
    pub(super) async fn seen(
        &self,
        place: &Place,
        document: &RawDocument,
        wanted: &LockDocument,
    ) -> Result<Look, Failed> {
        let key = place.key(document).map_err(|error| refused(&error))?;
        self.look_at_key(&key, wanted).await
    }

    pub(super) async fn look_at_key(
        &self,
        key: &Key,
        wanted: &LockDocument,
    ) -> Result<Look, Failed> {
        let session = wanted.session.map(number_of);
        let seen = self.locks.look_at(key.as_str(), session, self.locks.now()).await;
        seen.map_err(of_lock)
    }
}

impl WantedGrant<'_> {
    /// Acquires, after the grants of all but `holder` have ended: their document is not locked by them.
    fn take_from(
        &self,
        standing: &mut Standing,
        holder: Option<&Holder>,
    ) -> Result<Outcome, Refusal> {
        let grants = standing.lock().into_iter().flat_map(lockcore::Lock::grants);
        let others = grants.filter(|grant| Some(&grant.holder) != holder);
        for token in others.map(|grant| grant.token).collect::<Vec<_>>() {
            let end = Command::Break { key: self.key.clone(), token };
            standing.execute(&end, self.request)?;
        }
        let outcome = standing.execute(&Command::Acquire(self.acquire()), self.request);
        standing.locked_at(self.request, self.lock_time);
        outcome
    }

    fn acquire(&self) -> Acquire {
        Acquire {
            key: self.key.clone(),
            holder: self.wanted.lock_id.clone(),
            mode: Mode::Exclusive,
            ttl: self.wanted.ttl,
            session: self.wanted.session,
            wait: Wait::No,
        }
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
