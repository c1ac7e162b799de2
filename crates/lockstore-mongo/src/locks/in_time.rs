//! Answers in time, whatever the network does.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{Instant, Outcome, Release, Wait};
use lockstore::StoreError;
use lockstore::remote::{LockAnswer, LockCall};

use super::Locks;
use super::behind::UnderWay;
use super::given_up::GivenUp;

impl Locks {
    /// Does `work` behind the answer of whoever has asked for something.
    pub(crate) fn later(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let under_way = UnderWay::begin(self);
        tokio::spawn(async move {
            work.await;
            drop(under_way);
        });
    }

    /// What `work` comes to, if that is known by then, or soon after. Else it goes on by itself, and `too_late` sees to what it comes to: an
    /// attempt may have been sent to a server that does not answer, and the driver waits for that.
    pub(crate) async fn in_time<T: Send + 'static, S: Future<Output = ()> + Send>(
        self: &Arc<Self>,
        ends_at: Instant,
        work: impl Future<Output = T> + Send + 'static,
        too_late: impl FnOnce(T) -> S + Send + 'static,
    ) -> Option<T> {
        let under_way = UnderWay::begin(self);
        let mut work = Box::pin(work);
        let pause = ends_at.saturating_since(self.now()) + ANSWER_MAX;
        if let Ok(come) = tokio::time::timeout(pause, &mut work).await {
            return Some(come);
        }
        tokio::spawn(async move {
            too_late(work.await).await;
            drop(under_way);
        });
        None
    }

    /// By when whoever does not wait for others is to be answered.
    pub(crate) fn patient_until(&self) -> Instant {
        self.now().saturating_add(self.patience)
    }

    /// Makes a call, and answers it as long as the call says. One of which nothing is known by then goes on by itself, and gives back what
    /// it is given.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        call: LockCall,
        given_up: &mut GivenUp,
    ) -> LockAnswer {
        let Some(ends_at) = self.ends_at(&call) else {
            return self.answer_at_last(call, given_up).await;
        };
        let what = what(&call);
        let acquired = match &call {
            LockCall::Acquire(wanted) => Some((wanted.key.clone(), wanted.holder.clone())),
            _ => None,
        };
        let (late, mut given_up) = given_up.or_late();
        let (locks, own) = (Arc::clone(self), Arc::clone(self));
        let work = async move { own.answer_at_last(call, &mut given_up).await };
        let give_back = move |answer: LockAnswer| async move {
            match (answer, acquired) {
                (LockAnswer::Done(Outcome::SessionOpened(session)), _) => {
                    if let Err(error) = locks.close_session(session).await {
                        tracing::debug!(%error, "a session that came too late ends by its TTL");
                    }
                }
                (answer, Some((key, holder))) => {
                    if let Some(granted) = answer.new_grant() {
                        locks.hand_on_later(Release { key, holder, token: Some(granted.token) });
                    }
                }
                _ => {}
            }
        };
        self.in_time(ends_at, work, give_back).await.unwrap_or_else(|| {
            late.give_up();
            LockAnswer::Failed(StoreError::OutcomeUnknown { what: what.into() })
        })
    }

    /// By when a call is to be answered; `None` for one that waits for ever.
    fn ends_at(&self, call: &LockCall) -> Option<Instant> {
        match call.wait() {
            Wait::No => Some(self.patient_until()),
            Wait::Until(deadline) => Some(deadline),
            Wait::Forever => None,
        }
    }
}

/// What a call does.
fn what(call: &LockCall) -> &'static str {
    match call {
        LockCall::Acquire(_) => "acquiring a lock",
        LockCall::WaitUntilFree(_) => "waiting for a lock to be free",
        LockCall::Renew(_) => "renewing a lease",
        LockCall::Release(_) => "releasing a lock",
        LockCall::HandOn { .. } => "handing a lock on",
        LockCall::Break { .. } => "breaking a lock",
        LockCall::OpenSession => "opening a session",
        LockCall::CloseSession { .. } => "ending a session",
    }
}

/// How long an answer may take behind the time by which it is to be there.
const ANSWER_MAX: Duration = Duration::from_secs(2);
