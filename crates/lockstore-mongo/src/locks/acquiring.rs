//! Acquiring a lock, at once or after a wait.

use std::sync::Arc;
use std::time::Duration;

use bson::Uuid;
use lockcore::{
    Acquire, Command, Granted, Instant, LeaveCause, Outcome, Refusal, Release, Ttl, Wait,
};
use lockstore::StoreError;
use lockstore::remote::LockAnswer;

use super::Locks;
use super::attempts::Attempts;
use super::given_up::GivenUp;
use super::lock_document::StoredGrant;
use super::log::Happened;
use super::standing::Standing;
use super::step::{Does, Stands, Step, Taken};
use super::stored::number_of;
use super::watching::Watch;
use crate::time::{Moment, date};

/// A call that acquires.
#[derive(Clone, Debug)]
pub(super) struct Acquiring {
    pub(super) wanted: Acquire,
    pub(super) request: Uuid,
    /// How long its place among the waiters is kept without a sign of life.
    waiter_ttl: Duration,
    /// Whether it has waited.
    waited: bool,
    /// Whether it was seen to stand in the line, or to have been granted the lock.
    has: bool,
}

/// What a call does about a lock that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Willing {
    /// It asks for it again when it is told of changes.
    Look,
    /// It waits in the line.
    Wait,
    /// It waits no more, and takes what it was granted.
    Leave,
    /// It waits no more, and what it was granted is handed on.
    GiveUp,
}

impl Locks {
    /// Acquires a lock. Whoever gives up, or is told of a failure, is granted nothing, or what it was granted is released.
    pub(super) async fn acquire(
        self: &Arc<Self>,
        wanted: Acquire,
        given_up: &mut GivenUp,
    ) -> Result<LockAnswer, StoreError> {
        let mut attempts = Attempts::new(self, "acquiring a lock", wanted.wait);
        let (waiter_ttl, request) = (self.waiter_ttl, Uuid::new());
        let mut acquiring = Acquiring { wanted, request, waiter_ttl, waited: false, has: false };
        let answer = self.acquire_at_last(&mut acquiring, &mut attempts, given_up).await;
        if answer.is_err() && (acquiring.has || attempts.uncertain) {
            self.leave_later(acquiring, attempts);
        }
        answer
    }

    async fn acquire_at_last(
        &self,
        acquiring: &mut Acquiring,
        attempts: &mut Attempts,
        given_up: &mut GivenUp,
    ) -> Result<LockAnswer, StoreError> {
        let key = acquiring.wanted.key.clone();
        let (key, request) = (key.as_str(), acquiring.request);
        let place = self.turns.stand(key);
        let mut watch = None;
        // Of another session only a look shows whether it is over.
        let session = acquiring.wanted.session.map(number_of);
        if session.is_none_or(|session| self.seems_to_live(session))
            && self.is_nobody_here(&place, key)
        {
            match self.acquire_at_once(&acquiring.wanted, request, attempts).await? {
                Some(_) if given_up.is_given_up() => acquiring.has = true,
                Some(granted) => {
                    acquiring.has = true;
                    if !self.is_bound_to_life(acquiring, attempts).await? {
                        return Ok(LockAnswer::Refused(Refusal::UnknownSession));
                    }
                    return Ok(LockAnswer::Done(Outcome::Granted(granted)));
                }
                None if acquiring.wanted.wait != Wait::No => {
                    watch = Some(self.watching.watch(key, Some(request)));
                }
                None => {}
            }
        }
        // Now somebody is here who waits for it, or it will be told so.
        let mut place = Some(place);
        loop {
            let willing = match &watch {
                _ if given_up.is_given_up() => Willing::GiveUp,
                _ if acquiring.wanted.wait.is_over(self.now()) => Willing::Leave,
                // Most need not wait, and those need nobody to tell them of changes.
                None => Willing::Look,
                Some(_) => Willing::Wait,
            };
            if let Some(watch) = &watch {
                // What is told from here on may be newer than what is seen.
                watch.sees_to(None);
            }
            let does = Does::Acquire { acquiring: acquiring.clone(), willing };
            let step = Step { does, is_uncertain: attempts.uncertain };
            let taken = match place.take() {
                Some(place) => self.step_from(&place, key, step).await,
                None => self.step(key, step).await,
            };
            let Taken { moment, decided } = match taken {
                Ok(taken) => taken,
                Err(failure) => {
                    attempts.failed(failure, self).await?;
                    continue;
                }
            };
            attempts.settled();
            acquiring.has = decided.as_ref().is_ok_and(Stands::has_something);
            let stands = match decided {
                Err(Refusal::Held(_)) if willing == Willing::Look => {
                    watch = Some(self.watching.watch(key, Some(request)));
                    continue;
                }
                Err(Refusal::UnknownSession) if acquiring.waited => {
                    return Ok(LockAnswer::Left(LeaveCause::SessionEnded));
                }
                Err(refusal) => return Ok(LockAnswer::Refused(moment.refusal(refusal))),
                Ok(stands) => stands,
            };
            match stands.outcome {
                // It is handed on.
                Outcome::Granted(_) if acquiring.has && given_up.is_given_up() => continue,
                Outcome::Granted(granted) => {
                    if !self.is_bound_to_life(acquiring, attempts).await? {
                        return Ok(LockAnswer::Refused(Refusal::UnknownSession));
                    }
                    let granted = moment.granted(granted);
                    return Ok(if acquiring.waited {
                        LockAnswer::HandedOff(granted)
                    } else {
                        LockAnswer::Done(Outcome::Granted(granted))
                    });
                }
                Outcome::Cancelled if given_up.is_closing() => {
                    return Ok(LockAnswer::Failed(StoreError::Closed));
                }
                Outcome::Cancelled if willing == Willing::GiveUp => {
                    return Ok(LockAnswer::Left(LeaveCause::Cancelled));
                }
                Outcome::Cancelled => return Ok(LockAnswer::Left(LeaveCause::TimedOut)),
                _ => acquiring.waited = true,
            }
            if let Some(watch) = &mut watch {
                acquiring.wait(self, &stands, moment, watch, given_up).await;
            }
        }
    }

    /// Whether the session of a grant lives, now that it is written: then it lived when it was, for it never lives again. A process that was stopped
    /// while it asked asks again, and another may have ended a session of this one. What is bound to one that is over is given back.
    async fn is_bound_to_life(
        &self,
        acquiring: &Acquiring,
        attempts: &mut Attempts,
    ) -> Result<bool, StoreError> {
        let Some(session) = acquiring.wanted.session.map(number_of) else { return Ok(true) };
        if self.lives_on(session, attempts).await? {
            return Ok(true);
        }
        let does = Does::Acquire { acquiring: acquiring.clone(), willing: Willing::GiveUp };
        self.take_at_last(&acquiring.wanted.key, does, attempts).await?;
        Ok(false)
    }
}

impl Acquiring {
    /// What becomes of it as the lock stands.
    pub(super) fn decide(
        &self,
        standing: &mut Standing,
        willing: Willing,
    ) -> Result<Outcome, Refusal> {
        if let Some(granted) = self.granted(standing) {
            if willing != Willing::GiveUp {
                return self.claim(standing, granted);
            }
            if !granted.rejoined {
                let Acquire { key, holder, .. } = self.wanted.clone();
                let granted = Release { key, holder, token: Some(granted.token) };
                standing.hand_on(&granted, self.request)?;
            }
            return Ok(Outcome::Cancelled);
        }
        if let Some(place) = standing.document().place_of(self.request) {
            let waiter = standing.waiter(self.request).ok_or(Refusal::UnknownWaiter)?;
            if willing != Willing::Wait {
                return standing.execute(&Command::Cancel { waiter }, self.request);
            }
            standing.stay(place, self.waiter_ttl);
            return Ok(Outcome::Waiting(waiter));
        }
        if willing == Willing::GiveUp || (willing == Willing::Leave && self.waited) {
            return Ok(Outcome::Cancelled);
        }
        let at_once = Acquire { wait: Wait::No, ..self.wanted.clone() };
        match standing.execute(&Command::Acquire(at_once), self.request) {
            Err(Refusal::Held(_)) if willing == Willing::Wait => {}
            decided => return decided,
        }
        let wait = Wait::Until(standing.now().saturating_add(self.waiter_ttl));
        let queued = Acquire { wait, ttl: self.handed_for(), ..self.wanted.clone() };
        standing.execute(&Command::Acquire(queued), self.request)
    }

    /// What it was granted already.
    fn granted(&self, standing: &Standing) -> Option<Granted> {
        let document = standing.document();
        let rejoined = document.granted_to(self.request).is_none();
        if rejoined {
            let joined = standing.last_of(self.request)?;
            let is_it = |grant: &StoredGrant| {
                joined.holder.as_ref() == Some(&grant.holder) && joined.token == Some(grant.token)
            };
            let is_joined = matches!(joined.what, Happened::Renewed { acquired: true, .. });
            if !is_joined || !document.grants.iter().any(is_it) {
                return None;
            }
        }
        let grant = standing.lock()?.grant_of(&self.wanted.holder)?;
        Some(Granted { token: grant.token, lease: grant.lease, rejoined })
    }

    /// Whoever was handed a lock that it is to hold for longer says so before it relies on it: else one that died while it waited would hold it for
    /// all that time.
    fn claim(&self, standing: &mut Standing, granted: Granted) -> Result<Outcome, Refusal> {
        let is_handed = granted.lease.map(|lease| lease.ttl) != self.wanted.ttl;
        if !is_handed || self.handed_for() == self.wanted.ttl {
            return Ok(Outcome::Granted(granted));
        }
        let for_longer = Acquire { wait: Wait::No, ..self.wanted.clone() };
        let lease = standing.claim(&Command::Acquire(for_longer), self.request)?;
        Ok(Outcome::Granted(Granted { lease, ..granted }))
    }

    /// For how long the lock is handed to it. What is bound to a session ends with that, and whoever gives up while its session lives leaves.
    fn handed_for(&self) -> Option<Ttl> {
        let longest = Ttl::new(self.waiter_ttl).ok();
        match self.wanted.ttl {
            ttl if self.wanted.session.is_some() => ttl,
            Some(ttl) => longest.map_or(Some(ttl), |longest| Some(ttl.min(longest))),
            None => longest,
        }
    }

    /// Waits until it is worth another look.
    async fn wait(
        &self,
        locks: &Locks,
        stands: &Stands,
        moment: Moment,
        watch: &mut Watch,
        given_up: &mut GivenUp,
    ) {
        // What has run out the first of the waiters sees to; the others only if it does not.
        let stagger = STAGGER
            .saturating_mul(u32::try_from(stands.place).unwrap_or(u32::MAX))
            .min(STAGGER_MAX);
        let due = stands.next_deadline.map(|due| moment.until(due) + stagger + AFTER);
        watch.sees_to(stands.next_deadline.map(date));
        let mut pause = self.waiter_ttl / 3;
        pause = due.map_or(pause, |due| due.min(pause));
        if !watch.is_live() {
            pause = pause.min(locks.look_again);
        }
        let until: Instant = locks.now().saturating_add(pause);
        let until = match self.wanted.wait {
            Wait::Until(deadline) => until.min(deadline),
            Wait::No | Wait::Forever => until,
        };
        watch.news(until.saturating_since(locks.now()), given_up).await;
    }
}

/// How much later each waiter looks at what has run out than the one before it.
const STAGGER: Duration = Duration::from_millis(50);
const STAGGER_MAX: Duration = Duration::from_secs(1);
/// Dates are whole milliseconds.
pub(super) const AFTER: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
