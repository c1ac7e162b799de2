//! What commits of transactions do to locks.

use bson::Uuid;
use lockcore::{Acquire, Command, Key, Outcome, Refusal, Release, Renew};
use lockstore::remote::LockCall;
use lockstore::{Fence, HeldBy, StoreError};
use mongodb::ClientSession;

use super::Locks;
use super::look::Look;
use super::standing::Standing;
use super::stored::number_of;
use crate::documents::{Applied, Later, LockTransitions, Stands};
use crate::failure::{self, Failure};

impl LockTransitions for Locks {
    fn look(&self, call: LockCall) -> Later<'_, Result<Result<LockCall, Refusal>, StoreError>> {
        Box::pin(async move {
            if is_named(&call) {
                // That it is gone is told by the commit.
                return Ok(Ok(call));
            }
            self.read("looking at a lock", || self.looked_at(&call)).await
        })
    }

    fn apply<'a>(
        &'a self,
        session: &'a mut ClientSession,
        call: &'a LockCall,
    ) -> Later<'a, Result<Applied, StoreError>> {
        Box::pin(async move {
            match self.apply_in(session, call).await {
                Ok(applied) => Ok(applied),
                Err(Failure::Conflict) => Ok(Applied::Conflict("a lock has changed".into())),
                Err(Failure::Unknown(error)) => Ok(Applied::Conflict(failure::reason(&error))),
                Err(failure) => Err(failure.told("a change of a lock", &self.address)),
            }
        })
    }

    fn stands<'a>(&'a self, fence: &'a Fence) -> Later<'a, Result<Stands, StoreError>> {
        Box::pin(self.read("looking at a lock", || async {
            let (seen, standing) = self.look_settled(fence.key().as_str(), None).await?;
            let lock = standing.lock();
            let grant = lock.and_then(|lock| lock.grant_with(fence.token()));
            if grant.is_some_and(|grant| grant.holder == *fence.holder()) {
                return Ok(Stands::There);
            }
            self.confirm(&seen).await?;
            let held_by = lock.and_then(|lock| {
                let grant = lock.grants().next()?;
                let remaining = grant.lease.map(|lease| seen.moment.until(lease.expires_at));
                let (mode, holder, token) = (lock.mode(), grant.holder.clone(), grant.token);
                Some(Box::new(HeldBy { mode, holder, token, remaining }))
            });
            Ok(Stands::Gone(held_by))
        }))
    }
}

impl Locks {
    /// What a call would come to, and the call as the commit is to make it.
    pub(super) async fn looked_at(
        &self,
        call: &LockCall,
    ) -> Result<Result<LockCall, Refusal>, Failure> {
        let (key, mut command) = asked(call)?;
        let (look, mut standing) = self.seen_for(key, &command).await?;
        if let Command::Renew(Renew { holder, token, .. })
        | Command::Release(Release { holder, token, .. }) = &mut command
        {
            *token = standing.token_of(holder)?;
        }
        match standing.execute(&command, Uuid::new()) {
            Ok(_) => Ok(Ok(call_of(command).unwrap_or_else(|| call.clone()))),
            Err(refusal) => {
                self.confirm(&look).await?;
                Ok(Err(look.moment.refusal(refusal)))
            }
        }
    }

    async fn apply_in(
        &self,
        session: &mut ClientSession,
        call: &LockCall,
    ) -> Result<Applied, Failure> {
        let (key, command) = asked(call)?;
        let ((look, _), request) = (self.seen_for(key, &command).await?, Uuid::new());
        let decide = |standing: &mut Standing| standing.execute(&command, request);
        Ok(match self.change_in(session, &look, None, decide).await? {
            Ok(changed) => Applied::Done(match changed.outcome {
                Outcome::Granted(granted) => Outcome::Granted(look.moment.granted(granted)),
                Outcome::Renewed(granted) => Outcome::Renewed(look.moment.granted(granted)),
                outcome => outcome,
            }),
            Err(refusal) => {
                self.confirm(&look).await?;
                Applied::Refused(look.moment.refusal(refusal))
            }
        })
    }

    async fn seen_for(&self, key: &Key, command: &Command) -> Result<(Look, Standing), Failure> {
        let session = match command {
            Command::Acquire(Acquire { session, .. }) => session.map(number_of),
            _ => None,
        };
        self.look_settled(key.as_str(), session).await
    }
}

/// Whether a call names the grant that it is about.
pub(super) fn is_named(call: &LockCall) -> bool {
    matches!(
        call,
        LockCall::Renew(Renew { token: Some(_), .. })
            | LockCall::Release(Release { token: Some(_), .. })
    )
}

/// The lock that a call is about, and what the table is asked.
pub(super) fn asked(call: &LockCall) -> Result<(&Key, Command), StoreError> {
    let command = match call {
        LockCall::Acquire(acquire) => Some(Command::Acquire(acquire.clone())),
        LockCall::Renew(renew) => Some(Command::Renew(renew.clone())),
        LockCall::Release(release) => Some(Command::Release(release.clone())),
        _ => None,
    };
    call.key().zip(command).ok_or_else(|| {
        let what = format!("no commit makes the call {call:?}");
        StoreError::Internal { what: what.into() }
    })
}

fn call_of(command: Command) -> Option<LockCall> {
    match command {
        Command::Acquire(acquire) => Some(LockCall::Acquire(acquire)),
        Command::Renew(renew) => Some(LockCall::Renew(renew)),
        Command::Release(release) => Some(LockCall::Release(release)),
        _ => None,
    }
}
