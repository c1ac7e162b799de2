//! Calls about locks, from their asking to their answer.

use std::sync::Arc;

use bson::Uuid;
use lockcore::{Command, Key, LeaveCause, Outcome, Refusal, Release, Token, Wait, WaitUntilFree};
use lockstore::StoreError;
use lockstore::remote::{LockAnswer, LockCall};

use super::Locks;
use super::attempts::Attempts;
use super::given_up::GivenUp;
use super::in_transactions::{asked, is_named};
use super::standing::Standing;
use super::step::{Does, Step, Taken};
use super::stored::{number, number_of};
use super::transition::Audit;
use super::turns::Place;
use super::watching::Watch;
use crate::failure::Failure;
use crate::time::date;

impl Locks {
    /// Makes a call, and waits until it is known what has become of it, or nobody can know.
    pub(super) async fn answer_at_last(
        self: &Arc<Self>,
        call: LockCall,
        given_up: &mut GivenUp,
    ) -> LockAnswer {
        let answer = match call {
            LockCall::Acquire(wanted) => self.acquire(wanted, given_up).await,
            LockCall::WaitUntilFree(wanted) => self.wait_until_free(wanted, given_up).await,
            LockCall::Renew(_) => self.ask(&call, given_up, "renewing a lease").await,
            LockCall::Release(_) => self.ask(&call, given_up, "releasing a lock").await,
            LockCall::HandOn { key, holder, token } => {
                self.hand_on(Release { key, holder, token: Some(token) }).await
            }
            LockCall::Break { key, token, reason } => {
                self.break_lock(key, token, reason.into()).await
            }
            LockCall::OpenSession => self.open_session().await,
            LockCall::CloseSession { session } => self.close_session(session).await,
        };
        answer.unwrap_or_else(LockAnswer::Failed)
    }

    /// Begins a lease anew, or ends a grant.
    async fn ask(
        self: &Arc<Self>,
        call: &LockCall,
        given_up: &GivenUp,
        what: &'static str,
    ) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, what, Wait::No);
        let answer = self.ask_by_name(call, given_up, &mut attempts).await;
        if let Some(sent_in) = attempts.sent_in.filter(|_| attempts.uncertain) {
            self.void_later(sent_in);
        }
        answer
    }

    /// The same. One that names no grant is about the one that its holder has now, and never about what that acquires later.
    async fn ask_by_name(
        &self,
        call: &LockCall,
        given_up: &GivenUp,
        attempts: &mut Attempts,
    ) -> Result<LockAnswer, StoreError> {
        if is_named(call) {
            return self.ask_at_last(call, given_up, attempts).await;
        }
        loop {
            let named = match attempts.read(self, || self.looked_at(call)).await? {
                Ok(named) => named,
                Err(refusal) => return Ok(LockAnswer::Refused(refusal)),
            };
            match self.ask_at_last(&named, given_up, attempts).await? {
                // Its holder has released that meanwhile, and acquired it again.
                LockAnswer::Refused(Refusal::OtherToken { .. }) => {
                    attempts.failed(Failure::Conflict, self).await?;
                }
                answer => return Ok(answer),
            }
        }
    }

    async fn ask_at_last(
        &self,
        call: &LockCall,
        given_up: &GivenUp,
        attempts: &mut Attempts,
    ) -> Result<LockAnswer, StoreError> {
        let (key, command) = asked(call)?;
        let (key, request) = (key.as_str(), Uuid::new());
        let place = self.turns.stand(key);
        if let Command::Release(release) = &command
            && self.is_nobody_here(&place, key)
            && self.release_at_once(release, request, attempts).await?
        {
            return Ok(LockAnswer::Done(Outcome::Ended));
        }
        let does = Does::Ask { command, request, given_up: given_up.clone() };
        loop {
            let step = Step { does: does.clone(), is_uncertain: attempts.uncertain };
            match self.step_from(&place, key, step).await {
                Ok(Taken { moment, decided: Ok(stands) }) => {
                    return Ok(LockAnswer::Done(match stands.outcome {
                        Outcome::Renewed(renewed) => Outcome::Renewed(moment.granted(renewed)),
                        // It came too late.
                        Outcome::Cancelled => return Err(attempts.unknown()),
                        outcome => outcome,
                    }));
                }
                // It is not known whether that is so because of us.
                Ok(Taken { decided: Err(_), .. }) if attempts.uncertain => {
                    return Err(attempts.unknown());
                }
                Ok(Taken { moment, decided: Err(refusal) }) => {
                    return Ok(LockAnswer::Refused(moment.refusal(refusal)));
                }
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
    }

    /// Whether nobody of this process changes the lock or waits for it, as far as this process knows.
    pub(super) fn is_nobody_here(&self, place: &Place<'_>, key: &str) -> bool {
        place.is_alone() && !self.watching.is_watched(key)
    }

    /// Ends a grant whose caller has given up, unless another call of its holder has joined it: behind the answer, where that cannot be done in time.
    async fn hand_on(self: &Arc<Self>, granted: Release) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "handing a lock on", Wait::No);
        let (key, request) = (granted.key.clone(), Uuid::new());
        let does = Does::HandOn { granted: granted.clone(), request };
        let handed_on = self.take_at_last(&key, does, &mut attempts).await;
        if handed_on.is_err() {
            self.hand_on_later(granted);
        }
        handed_on.map(|_| LockAnswer::Done(Outcome::Ended))
    }

    /// Takes a step until it is known what it has come to, or the call ends.
    pub(super) async fn take_at_last(
        &self,
        key: &Key,
        does: Does,
        attempts: &mut Attempts,
    ) -> Result<Taken, StoreError> {
        loop {
            let step = Step { does: does.clone(), is_uncertain: attempts.uncertain };
            match self.step(key.as_str(), step).await {
                Ok(taken) => return Ok(taken),
                Err(failure) => attempts.failed(failure, self).await?,
            }
        }
    }

    async fn break_lock(
        &self,
        key: Key,
        token: Token,
        reason: String,
    ) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "breaking a lock", Wait::No);
        let request = Uuid::new();
        let command = Command::Break { key: key.clone(), token };
        let decide = |standing: &mut Standing| standing.execute(&command, request);
        loop {
            let failure = match self.break_once(&key, token, &reason, request, decide).await {
                Ok(answer) => {
                    return match answer {
                        LockAnswer::Refused(_) if attempts.uncertain => Err(attempts.unknown()),
                        answer => Ok(answer),
                    };
                }
                Err(failure) => failure,
            };
            attempts.failed(failure, self).await?;
        }
    }

    async fn break_once(
        &self,
        key: &Key,
        token: Token,
        reason: &str,
        request: Uuid,
        decide: impl Fn(&mut Standing) -> Result<Outcome, Refusal> + Send,
    ) -> Result<LockAnswer, Failure> {
        let (look, _) = self.look_settled(key.as_str(), None).await?;
        let grants = look.document.iter().flat_map(|lock| &lock.grants);
        let grant = grants.into_iter().find(|grant| grant.token == number(token));
        let audit = grant.map(|grant| Audit {
            holder: grant.holder.clone(),
            token: grant.token,
            reason: reason.into(),
            request,
            at: look.moment.date(),
        });
        let decided = match &audit {
            Some(audit) => self.change_on_record(&look, audit, decide).await?,
            // Nothing is there to be broken.
            None => self.change(&look, decide).await?,
        };
        let refused = decided.err();
        // An attempt of which we were not told may have done it.
        match (self.recorded(request).await?, refused) {
            (Some(record), _) => Ok(LockAnswer::Broken(Box::new(record))),
            (None, Some(refusal)) => Ok(LockAnswer::Refused(look.moment.refusal(refusal))),
            (None, None) => Err(Failure::Conflict),
        }
    }

    async fn wait_until_free(
        &self,
        wanted: WaitUntilFree,
        given_up: &mut GivenUp,
    ) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "waiting for a lock to be free", wanted.wait);
        let (key, session) = (wanted.key.as_str(), wanted.session.map(number_of));
        let mut watch: Option<Watch> = None;
        loop {
            if let Some(watch) = &watch {
                watch.sees_to(None);
            }
            let now = self.now();
            let (look, mut standing) = match self.look_settled(key, session).await {
                Ok(seen) => seen,
                Err(failure) => {
                    attempts.failed(failure, self).await?;
                    continue;
                }
            };
            // Whoever waits is told by the watch, not by the table.
            let once = WaitUntilFree { wait: Wait::No, ..wanted.clone() };
            let decided = standing.execute(&Command::WaitUntilFree(once), Uuid::new());
            let was_free = watch.as_ref().is_some_and(Watch::was_free);
            let refusal = match decided {
                Ok(outcome) if watch.is_none() => return Ok(LockAnswer::Done(outcome)),
                Ok(_) => return Ok(LockAnswer::Left(LeaveCause::Free)),
                Err(Refusal::UnknownSession) if watch.is_some() => {
                    return Ok(LockAnswer::Left(LeaveCause::SessionEnded));
                }
                Err(_) if was_free => return Ok(LockAnswer::Left(LeaveCause::Free)),
                Err(refusal) => refusal,
            };
            if !matches!(refusal, Refusal::Held(_)) || wanted.wait == Wait::No {
                return Ok(LockAnswer::Refused(look.moment.refusal(refusal)));
            }
            if given_up.is_closing() {
                return Err(StoreError::Closed);
            }
            if wanted.wait.is_over(now) || given_up.is_given_up() {
                return Ok(LockAnswer::Left(LeaveCause::TimedOut));
            }
            let Some(watch) = &mut watch else {
                // What happens from now on is told; what has happened before, the next look shows.
                watch = Some(self.watching.watch(key, None));
                continue;
            };
            let mut pause = if watch.is_live() { self.waiter_ttl / 3 } else { self.look_again };
            watch.sees_to(standing.next_deadline().map(date));
            if let Some(due) = standing.next_deadline() {
                pause = pause.min(look.moment.until(due) + super::acquiring::AFTER);
            }
            if let Wait::Until(deadline) = wanted.wait {
                pause = pause.min(deadline.saturating_since(self.now()));
            }
            watch.news(pause, given_up).await;
        }
    }
}
