//! Answers in time, whatever the network does.

use std::sync::Arc;
use std::time::Duration;

use lockcore::{Instant, Outcome, Release, Wait};
use lockstore::StoreError;
use lockstore::remote::{LockAnswer, LockCall};
use tokio::sync::oneshot;

use super::Locks;
use super::behind::UnderWay;
use super::given_up::GivenUp;

impl Locks {
    /// Makes a call, and answers it as long as the call says. One of which nothing is known by then goes on by itself, and gives back what
    /// it is given: an attempt may have been sent to a server that does not answer, and the driver waits for that.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        call: LockCall,
        given_up: &mut GivenUp,
    ) -> LockAnswer {
        let Some(ends_at) = self.ends_at(&call) else {
            return self.answer_at_last(call, given_up).await;
        };
        let what = what(&call);
        let (late, mut given_up) = given_up.or_late();
        let (locks, under_way) = (Arc::clone(self), UnderWay::begin(self));
        let (tell, mut told) = oneshot::channel();
        tokio::spawn(async move {
            let acquired = match &call {
                LockCall::Acquire(wanted) => Some((wanted.key.clone(), wanted.holder.clone())),
                _ => None,
            };
            let answer = locks.answer_at_last(call, &mut given_up).await;
            match (tell.send(answer), acquired) {
                (Err(LockAnswer::Done(Outcome::SessionOpened(session))), _) => {
                    if let Err(error) = locks.close_session(session).await {
                        tracing::debug!(%error, "a session that came too late ends by its TTL");
                    }
                }
                (Err(answer), Some((key, holder))) => {
                    if let Some(granted) = answer.new_grant() {
                        locks.hand_on_later(Release { key, holder, token: Some(granted.token) });
                    }
                }
                _ => {}
            }
            drop(under_way);
        });
        let pause = ends_at.saturating_since(self.now()) + ANSWER_MAX;
        if let Ok(Ok(answer)) = tokio::time::timeout(pause, &mut told).await {
            return answer;
        }
        late.give_up();
        // From here on nobody takes an answer.
        told.close();
        told.try_recv().unwrap_or_else(|_| {
            LockAnswer::Failed(StoreError::OutcomeUnknown { what: what.into() })
        })
    }

    /// By when a call is to be answered; `None` for one that waits for ever.
    fn ends_at(&self, call: &LockCall) -> Option<Instant> {
        match call.wait() {
            Wait::No => Some(self.now().saturating_add(self.patience)),
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

/// How long an answer may take behind the time for which the call waits for others.
const ANSWER_MAX: Duration = Duration::from_secs(2);
