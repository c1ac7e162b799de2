//! What commits of transactions do to locks.

use bson::Uuid;
use lockcore::{Acquire, Command, Grant, Key, Lock, Outcome, Refusal, Release, Renew};
use lockstore::remote::LockCall;
use lockstore::{Fence, HeldBy, StoreError};
use mongodb::ClientSession;

use super::Locks;
use super::look::Look;
use super::standing::Standing;
use super::stored::number_of;
use crate::documents::{Applied, Later, LockTransitions, Stands};
use crate::failure::{self, Failure};
use crate::time::instant;

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
            let seen = self.look_at(fence.key().as_str(), None, self.now()).await?;
            let (seen, standing) = if may_be_relied_on(&seen) {
                let standing = Standing::new(&seen)?;
                (seen, standing)
            } else {
                self.settled(seen).await?
            };
            let is_fence =
                |grant: &&Grant| grant.token == fence.token() && grant.holder == *fence.holder();
            // What is handed on by now, and not written, has no token yet.
            let is_written = |grant: &&Grant| standing.new_grant(grant.token).is_none();
            let lock = standing.lock();
            let mut grants = lock.into_iter().flat_map(Lock::grants).filter(is_written);
            if grants.any(|grant| is_fence(&grant)) {
                return Ok(Stands::There);
            }
            self.confirm(&seen).await?;
            let held_by = lock.and_then(|lock| {
                let grant = lock.grants().find(is_written)?;
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
        let (look, mut standing) =
            self.look_settled(key.as_str(), wanted_session(&command)).await?;
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
        // What has run out by now is written with the rest: outside of the transaction it would wait for that.
        let look = self.look_at(key.as_str(), wanted_session(&command), self.now()).await?;
        let request = Uuid::new();
        let decide = |standing: &mut Standing| standing.execute(&command, request);
        Ok(match self.change_in(session, &look, None, decide).await? {
            Ok(changed) => Applied::Done(match changed.outcome {
                Outcome::Granted(granted) => Outcome::Granted(look.moment.granted(granted)),
                Outcome::Renewed(granted) => Outcome::Renewed(look.moment.granted(granted)),
                outcome => outcome,
            }),
            // Whoever was handed the lock by now has no token yet.
            Err(refusal) if Standing::new(&look)?.new_grants() > 0 => {
                tracing::debug!(?refusal, "a commit is refused by what nobody has written yet");
                return Err(Failure::Conflict);
            }
            Err(refusal) => {
                self.confirm(&look).await?;
                Applied::Refused(look.moment.refusal(refusal))
            }
        })
    }
}

/// Whether a transaction that relies on the lock may have changed it, as far as leases tell: a write outside of that would wait for it.
fn may_be_relied_on(seen: &Look) -> bool {
    let mut grants = seen.document.iter().flat_map(|lock| &lock.grants);
    grants
        .any(|grant| grant.lease.is_none_or(|lease| instant(lease.expires_at) > seen.moment.there))
}

/// The session that a command binds to the lock.
fn wanted_session(command: &Command) -> Option<i64> {
    match command {
        Command::Acquire(Acquire { session, .. }) => session.map(number_of),
        _ => None,
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
