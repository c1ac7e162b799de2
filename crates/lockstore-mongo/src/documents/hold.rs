//! Grants that stay while something is committed that relies on them.
//!
//! They are held by a second transaction. It sees whether they are there, and changes the documents of their locks; it is open while the first is
//! committed, so that nobody can change them, and then it is aborted: nothing of it is ever seen. So the first has no conflict with those who only
//! renew the lock or wait for it, however long it takes, and others may rely on the same grant.
//!
//! MongoDB ends a transaction a minute after it began. The second begins after the first: when it is over, the first is.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocument;
use lockcore::Key;
use lockstore::{Fence, StoreError};
use mongodb::ClientSession;

use super::Documents;
use super::fences::{Checked, Document, lost};
use super::limit::Limit;
use super::lock_transitions::Stands;
use super::within::{Failed, abort, abort_in};

/// The second transaction. It ends when this is dropped.
pub(super) struct Hold {
    /// None, if there is nothing to hold.
    session: Option<ClientSession>,
}

impl Documents {
    /// Commits what relies on grants. Those of the locks of `changed` the transaction has changed itself: whoever did that has seen to them. When it
    /// fails, the transaction is over.
    pub(crate) async fn commit_relying(
        self: &Arc<Self>,
        session: &mut ClientSession,
        fences: &[Fence],
        changed: &[&Key],
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let fences = fences.iter().filter(|fence| !changed.contains(&fence.key()));
        let hold = self.hold_for(session, fences, limit).await?;
        self.commit_held(session, hold, limit, command).await
    }

    /// Holds grants for what relies on them. When it fails, that is over.
    pub(super) async fn hold_for(
        self: &Arc<Self>,
        session: &mut ClientSession,
        fences: impl IntoIterator<Item = &Fence>,
        limit: Limit,
    ) -> Result<Hold, Failed> {
        let held = self.hold(fences, Some(session), limit).await;
        if held.is_err() {
            abort_in(session).await;
        }
        held
    }

    /// Commits what relies on what is held.
    pub(super) async fn commit_held(
        &self,
        session: &mut ClientSession,
        hold: Hold,
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let committed = self.commit(session, limit, command).await;
        match committed {
            Err(Failed::Store(StoreError::OutcomeUnknown { .. })) => hold.stay(),
            Ok(()) | Err(_) => hold.end().await,
        }
        committed
    }

    /// Checks that grants are there.
    pub(super) async fn check_grants(
        self: &Arc<Self>,
        fences: &[Fence],
        limit: Limit,
    ) -> Result<(), Failed> {
        self.hold(fences, None, limit).await?.end().await;
        Ok(())
    }

    /// Holds grants. `relying` may have changed the documents of documents' locks itself: then it is what nobody can change them beside.
    async fn hold(
        self: &Arc<Self>,
        fences: impl IntoIterator<Item = &Fence>,
        mut relying: Option<&mut ClientSession>,
        limit: Limit,
    ) -> Result<Hold, Failed> {
        let mut fences: Vec<_> = fences.into_iter().cloned().collect();
        if fences.is_empty() {
            return Ok(Hold { session: None });
        }
        // Who holds several begins with the same, and meets no one who has the other.
        fences.sort_by(|one, other| one.key().as_str().cmp(other.key().as_str()));
        let (mut touched, mut tries) = (Vec::new(), limit.tries());
        loop {
            let session = self.session(limit).await.map_err(Failed::Store)?;
            let holding = Arc::clone(self).hold_in(session, fences.clone(), touched.clone());
            let Some((session, held)) = limit.bound_whole(holding).await else {
                return Err(Failed::Store(self.unreachable("no reply in time")));
            };
            let failed = match held {
                Ok(None) => return Ok(Hold { session: Some(session) }),
                Ok(Some((fence, Checked::Busy(failed)))) => match &mut relying {
                    Some(relying) => {
                        self.touch_document(relying, &fence).await?;
                        touched.push(fence);
                        continue;
                    }
                    None => failed,
                },
                Ok(Some((fence, checked))) => {
                    abort(session).await;
                    match self.locks.stands(&fence).await.map_err(Failed::Store)? {
                        Stands::Gone(now_held_by) => {
                            return Err(lost(&fence, now_held_by.map(|by| *by)));
                        }
                        Stands::There if matches!(checked, Checked::Unlocked) => {
                            return Err(lost(&fence, None));
                        }
                        Stands::There => Failed::conflict("the lock has changed"),
                    }
                }
                Err(failed) => failed,
            };
            if failed.transient().is_none() || !tries.pause().await {
                return Err(failed);
            }
        }
    }

    /// The first grant that is not there to be held, if any.
    async fn hold_in(
        self: Arc<Self>,
        mut session: ClientSession,
        fences: Vec<Fence>,
        touched: Vec<Fence>,
    ) -> (ClientSession, Result<Option<(Fence, Checked)>, Failed>) {
        let held = async {
            self.begin(&mut session).await?;
            for fence in fences {
                let is_touched = touched.contains(&fence);
                let document = if is_touched { Document::Read } else { Document::Change };
                match self.check(&mut session, &fence, document).await? {
                    Checked::There => {}
                    checked => return Ok(Some((fence, checked))),
                }
            }
            Ok(None)
        };
        let held = held.await;
        (session, held)
    }
}

impl Hold {
    /// Lets go of the grants: what relied on them is committed, or never will be.
    async fn end(self) {
        if let Some(session) = self.session {
            abort(session).await;
        }
    }

    /// Holds the grants on, for as long as it can be that what relies on them is still committed: nobody knows whether it is.
    fn stay(self) {
        if let Some(session) = self.session {
            tokio::spawn(async move {
                tokio::time::sleep(LONGEST).await;
                drop(session);
            });
        }
    }
}

/// MongoDB has ended a transaction by then, as it is set up by default.
const LONGEST: Duration = Duration::from_secs(120);
