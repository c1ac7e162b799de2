//! Grants that stay while something is committed that relies on them.
//!
//! They are held by a second transaction. It sees whether they are there, and changes the documents of their locks; it is open while the first is
//! committed, so that nobody can change them, and then it is aborted: nothing of it is ever seen. So the first has no conflict with those who only
//! renew the lock or wait for it, however long it takes, and others may rely on the same grant.
//!
//! MongoDB ends a transaction a minute after it began. The second begins after the first: when it is over, the first is.

use std::time::Duration;

use bson::RawDocument;
use lockcore::Key;
use lockstore::Fence;
use mongodb::ClientSession;
use tokio::runtime::Handle;

use super::Documents;
use super::fenced::Failed;
use super::fences::{Checked, Document, lost};
use super::limit::Limit;
use super::lock_transitions::Stands;

/// The second transaction.
struct Hold {
    session: Option<ClientSession>,
    threads: Handle,
}

impl Documents {
    /// Commits what relies on grants. Those of the locks of `changed` the transaction has changed itself: whoever did that has seen to them. When it
    /// fails, the transaction is over.
    pub(crate) async fn commit_relying(
        &self,
        session: &mut ClientSession,
        fences: &[Fence],
        changed: &[&Key],
        limit: Limit,
        command: &RawDocument,
    ) -> Result<(), Failed> {
        let fences = fences.iter().filter(|fence| !changed.contains(&fence.key()));
        let mut hold = match self.hold(fences.collect(), Some(session), limit).await {
            Ok(hold) => hold,
            Err(failed) => {
                if let Err(error) = session.abort_transaction().await {
                    tracing::debug!(error = %error.kind, "a transaction was not aborted");
                }
                return Err(failed);
            }
        };
        let committed = self.commit(session, limit, command).await;
        if !matches!(committed, Err(Failed::Store(_))) {
            hold.end().await;
        }
        committed
    }

    /// Checks that grants are there.
    pub(super) async fn check_grants(&self, fences: &[Fence], limit: Limit) -> Result<(), Failed> {
        self.hold(fences.iter().collect(), None, limit).await?.end().await;
        Ok(())
    }

    /// Holds grants. `relying` may have changed the documents of documents' locks itself: then it is what nobody can change them beside.
    async fn hold(
        &self,
        mut fences: Vec<&Fence>,
        mut relying: Option<&mut ClientSession>,
        limit: Limit,
    ) -> Result<Hold, Failed> {
        if fences.is_empty() {
            return Ok(Hold { session: None, threads: Handle::current() });
        }
        // Who holds several begins with the same, and meets no one who has the other.
        fences.sort_by(|one, other| one.key().as_str().cmp(other.key().as_str()));
        let (mut touched, mut tries) = (Vec::new(), limit.tries());
        loop {
            let mut session = self.session(limit).await.map_err(Failed::Store)?;
            let held = match limit.bound(self.hold_in(&mut session, &fences, &touched)).await {
                Some(held) => held,
                None => Err(Failed::Store(self.unreachable("no reply in time"))),
            };
            let failed = match held {
                Ok(None) => {
                    return Ok(Hold { session: Some(session), threads: Handle::current() });
                }
                Ok(Some((fence, Checked::Busy(failed)))) => match &mut relying {
                    Some(relying) => {
                        self.touch_document(relying, fence).await?;
                        touched.push(fence);
                        continue;
                    }
                    None => failed,
                },
                Ok(Some((fence, checked))) => {
                    let _ = session.abort_transaction().await;
                    match self.locks.stands(fence).await.map_err(Failed::Store)? {
                        Stands::Gone(now_held_by) => {
                            return Err(lost(fence, now_held_by.map(|by| *by)));
                        }
                        Stands::There if matches!(checked, Checked::Unlocked) => {
                            return Err(lost(fence, None));
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
    async fn hold_in<'f>(
        &self,
        session: &mut ClientSession,
        fences: &[&'f Fence],
        touched: &[&'f Fence],
    ) -> Result<Option<(&'f Fence, Checked)>, Failed> {
        self.begin(session).await?;
        for fence in fences {
            let document = if touched.contains(fence) { Document::Read } else { Document::Change };
            match self.check(session, fence, document).await? {
                Checked::There => {}
                checked => return Ok(Some((fence, checked))),
            }
        }
        Ok(None)
    }
}

impl Hold {
    /// Lets go of the grants: what relied on them is committed, or never will be.
    async fn end(&mut self) {
        let Some(session) = &mut self.session else { return };
        if let Err(error) = session.abort_transaction().await {
            tracing::debug!(error = %error.kind, "a transaction was not aborted");
        }
        self.session = None;
    }
}

/// Nobody knows whether what relies on the grants is committed, or may be still: they are held for as long as that can be.
impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.threads.spawn(async move {
                tokio::time::sleep(LONGEST).await;
                drop(session);
            });
        }
    }
}

/// MongoDB has ended a transaction by then, as it is set up by default.
const LONGEST: Duration = Duration::from_secs(120);
