//! What a transaction keeps for its commit, and the commit.

use std::sync::Arc;

use bson::RawDocumentBuf;
use lockcore::Outcome;
use lockstore::remote::{LockCall, serving};
use lockstore::{ErrorCode, Fence, Refusal, StoreError};
use mongodb::ClientSession;

use super::Documents;
use super::body::stripped;
use super::lock_transitions::Applied;
use super::transactions::{Named, Part, Phase, aborted};
use super::within::Failed;

/// What is kept of an open transaction until its commit.
#[derive(Debug, Default)]
pub(super) struct Work {
    fences: Vec<Fence>,
    locks: Vec<LockCall>,
}

impl Work {
    /// Adds fences, unless they are there.
    pub(super) fn rely_on(&mut self, fences: Vec<Fence>) {
        for fence in fences {
            if !self.fences.contains(&fence) {
                self.fences.push(fence);
            }
        }
    }
}

impl Documents {
    /// Keeps a call about a lock for the commit, unless it is known by now that it cannot be made.
    pub(super) async fn note(
        &self,
        it: &mut Named,
        part: &Part<'_>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let now = self.clock.now();
        let own = stripped(part.command);
        let parsed = serving::fences(part.command).and_then(|fences| {
            let call = serving::call_in_transaction(&own, now).transpose()?;
            let nothing = || Refusal::new(ErrorCode::COMMAND_NOT_FOUND, "no call about a lock");
            Ok((call.ok_or_else(nothing)?, fences))
        });
        let (call, fences) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        };
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        work.rely_on(fences);
        if work.locks.iter().any(|noted| noted.key() == call.key())
            && let Some(key) = call.key()
        {
            return Ok(serving::failed_in_transaction(&serving::changed_already(key)));
        }
        let looked = match part.limit.bound(self.locks.look(call.clone())).await {
            Some(looked) => looked?,
            None => return Err(self.unreachable("no reply in time")),
        };
        match looked {
            Ok(call) => {
                work.locks.push(call);
                Ok(serving::noted())
            }
            Err(refusal) => Ok(serving::refused(&call, refusal, self.clock.now())),
        }
    }

    /// Commits, with all that was kept for that.
    pub(super) async fn end(
        self: &Arc<Self>,
        it: &mut Named,
        part: &Part<'_>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        match serving::fences(part.command) {
            Ok(fences) => work.rely_on(fences),
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        }
        let work = std::mem::take(work);
        let bound = part.limit.bound(self.change_locks(&mut it.session, &work));
        let changed = match bound.await {
            Some(changed) => changed,
            None => Err(Failed::Store(self.unreachable("no reply in time"))),
        };
        let outcomes = match changed {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                it.abort(aborted(part.number)).await;
                return failed.reply();
            }
        };
        it.phase = Phase::Committing(serving::committed(&outcomes));
        let changed: Vec<_> = work.locks.iter().filter_map(LockCall::key).collect();
        let (session, limit) = (&mut it.session, part.limit);
        let committed = self.commit_relying(session, &work.fences, &changed, limit, part.command);
        let committed = committed.await;
        finished(it, part, committed)
    }

    /// Asks for the commit again, after nobody knew what had become of it. What it relies on is held for as long as it can be done.
    pub(super) async fn finish(
        &self,
        it: &mut Named,
        part: &Part<'_>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let committed = self.commit(&mut it.session, part.limit, part.command).await;
        finished(it, part, committed)
    }

    /// Does in a transaction what its commit is to do to locks, after it has made sure that it began under what it relies on.
    async fn change_locks(
        &self,
        session: &mut ClientSession,
        work: &Work,
    ) -> Result<Vec<Outcome>, Failed> {
        self.check_beginning(session, &work.fences).await?;
        let is_changed =
            |fence: &&Fence| work.locks.iter().any(|call| call.key() == Some(fence.key()));
        for fence in work.fences.iter().filter(is_changed) {
            self.touch(session, fence).await?;
        }
        let mut outcomes = Vec::with_capacity(work.locks.len());
        for call in &work.locks {
            match self.locks.apply(session, call).await.map_err(Failed::Store)? {
                Applied::Done(outcome) => outcomes.push(outcome),
                Applied::Refused(refusal) => {
                    let error = serving::commit_refused(call, refusal, self.clock.now());
                    return Err(Failed::Reply(serving::failed_in_transaction(&error)));
                }
                Applied::Conflict(why) => return Err(Failed::conflict(&why)),
            }
        }
        Ok(outcomes)
    }
}

/// What a commit has come to.
fn finished(
    it: &mut Named,
    part: &Part<'_>,
    committed: Result<(), Failed>,
) -> Result<RawDocumentBuf, StoreError> {
    let Phase::Committing(reply) = &it.phase else { return Ok(aborted(part.number)) };
    let reply = reply.clone();
    match committed {
        Ok(()) => {
            it.phase = Phase::Committed(reply.clone());
            Ok(reply)
        }
        Err(Failed::Store(error @ StoreError::OutcomeUnknown { .. })) => Err(error),
        Err(failed) => {
            it.phase = Phase::Over(aborted(part.number));
            failed.reply()
        }
    }
}
