//! Deciding: what a command would change. Nothing here changes anything.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{Acquire, Command, Wait};
use crate::lock::{Grant, Lease, Lock};
use crate::queue::{Queue, Wish};
use crate::refusal::{HeldBy, Limit, Refusal};
use crate::session::{Session, Standing};
use crate::table::{Slot, Table};
use crate::transition::{Change, EndCause, Granted, LeaveCause, Outcome, Transition, Waiter, Want};
use crate::{
    Holder, Instant, Key, Mode, Now, Release, Renew, SessionId, Token, WaitUntilFree, WaiterId,
};

type Decision = Result<Transition, Refusal>;

impl Table {
    /// What `command` would change at `now`. Pure: the same table, time and command give the same answer.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] says why it would change nothing.
    pub fn decide(&self, now: impl Into<Now>, command: &Command) -> Decision {
        let now = now.into();
        match command {
            Command::Acquire(acquire) => self.decide_acquire(now, acquire),
            Command::WaitUntilFree(wait) => self.decide_wait(now, wait),
            Command::Cancel { waiter } => self.decide_leave(now, *waiter, LeaveCause::Cancelled),
            Command::TimeOut { waiter } => self.decide_leave(now, *waiter, LeaveCause::TimedOut),
            Command::Renew(renew) => self.decide_renew(now, renew),
            Command::Release(release) => self.decide_release(now, release),
            Command::Break { key, token } => self.decide_break(now, key, *token),
            Command::Expire { key, holder, token } => self.decide_expire(now, key, holder, *token),
            Command::OpenSession => self.decide_open_session(),
            Command::LoseSession { session, ends_at } => {
                self.decide_lose_session(*session, *ends_at)
            }
            Command::TakeUpSession { session } => self.decide_take_up_session(*session),
            Command::CloseSession { session } => self.decide_close_session(now, *session),
        }
    }

    fn decide_acquire(&self, now: Now, acquire: &Acquire) -> Decision {
        let Acquire { key, holder, mode, ttl, session, wait } = acquire;
        self.check_session_lives(*session)?;
        let Some(slot) = self.slot(key) else {
            check_limit(Limit::Locks, self.locks.len(), self.limits.locks_max)?;
            self.check_session_has_room(*session)?;
            return Ok(self.grant(now, acquire));
        };
        let lock = slot.lock;
        if let Some(grant) = lock.grant_of(holder) {
            return rejoin(now, lock, grant, acquire);
        }
        self.check_session_has_room(*session)?;
        let nobody_waits = slot.queue.is_none_or(|queue| queue.acquirers_len() == 0);
        if nobody_waits && self.fits_beside(lock.mode(), lock.grants().len(), *mode) {
            return Ok(self.grant(now, acquire));
        }
        if wait.is_over(now.instant) {
            return Err(Refusal::Held(HeldBy::of(lock)));
        }
        let want = Want::Grant { holder: holder.clone(), mode: *mode, ttl: *ttl };
        self.enqueue(slot, key, want, *wait, *session)
    }

    fn decide_wait(&self, now: Now, wait: &WaitUntilFree) -> Decision {
        let &WaitUntilFree { ref key, wait, session } = wait;
        self.check_session_lives(session)?;
        let Some(slot) = self.slot(key) else {
            return Ok(Transition { outcome: Outcome::Free, changes: Vec::new() });
        };
        if wait.is_over(now.instant) {
            return Err(Refusal::Held(HeldBy::of(slot.lock)));
        }
        self.check_session_has_room(session)?;
        self.enqueue(slot, key, Want::Free, wait, session)
    }

    fn decide_leave(&self, now: Now, waiter: WaiterId, cause: LeaveCause) -> Decision {
        let key = self.waiters.get(&waiter).ok_or(Refusal::UnknownWaiter)?;
        let slot = self.slot_of_waiter(key);
        let queued = slot.queue.and_then(|queue| queue.get(waiter));
        let wait = queued.expect("a known waiter stands in its queue").waiter.wait;
        if cause == LeaveCause::TimedOut && !wait.is_over(now.instant) {
            return Err(Refusal::NotDue);
        }
        let left = Change::Left { key: key.clone(), waiter, cause };
        let departure = Departure { waiter: Some(waiter), ..Departure::default() };
        Ok(self.settle(now, slot, departure, Outcome::Cancelled, vec![left]))
    }

    fn decide_renew(&self, now: Now, renew: &Renew) -> Decision {
        let Renew { key, holder, token, ttl } = renew;
        let (_, grant) = self.grant_held(key, holder, *token)?;
        let ttl = ttl.or(grant.lease.map(|lease| lease.ttl));
        let lease = ttl.map(|ttl| Lease::starting(now.instant, ttl));
        let renewed = Granted { token: grant.token, lease, rejoined: true };
        // A grant without end that stays so has nothing to persist.
        let changes = if lease.is_none() {
            Vec::new()
        } else {
            vec![renewal(key, holder, grant.token, lease, None)]
        };
        Ok(Transition { outcome: Outcome::Renewed(renewed), changes })
    }

    fn decide_release(&self, now: Now, release: &Release) -> Decision {
        let Release { key, holder, token } = release;
        let (slot, grant) = self.grant_held(key, holder, *token)?;
        Ok(self.end(now, slot, grant, EndCause::Released))
    }

    fn decide_break(&self, now: Now, key: &Key, token: Token) -> Decision {
        let slot = self.slot(key).ok_or(Refusal::NotHeld)?;
        let grant = slot.lock.grant_with(token);
        let grant = grant.ok_or_else(|| Refusal::HeldByOther(HeldBy::of(slot.lock)))?;
        Ok(self.end(now, slot, grant, EndCause::Broken))
    }

    fn decide_expire(&self, now: Now, key: &Key, holder: &Holder, token: Token) -> Decision {
        let (slot, grant) = self.grant_held(key, holder, Some(token))?;
        if !grant.is_overdue(now.instant) {
            return Err(Refusal::NotDue);
        }
        Ok(self.end(now, slot, grant, EndCause::Expired))
    }

    fn decide_open_session(&self) -> Decision {
        check_limit(Limit::Sessions, self.sessions.len(), self.limits.sessions_max)?;
        let session = SessionId::new(self.next_number.get()).expect("tokens begin at 1");
        Ok(Transition {
            outcome: Outcome::SessionOpened(session),
            changes: vec![Change::SessionOpened { session }],
        })
    }

    fn decide_lose_session(&self, session: SessionId, ends_at: Instant) -> Decision {
        let changes = match self.living_session(session)?.standing() {
            Standing::Lost { ends_at: before } if before <= ends_at => Vec::new(),
            _ => vec![Change::SessionLost { session, ends_at }],
        };
        Ok(Transition { outcome: Outcome::SessionLost, changes })
    }

    /// What counts is whether its end has begun, not whether its time is over: so it is with leases.
    fn decide_take_up_session(&self, session: SessionId) -> Decision {
        let changes = match self.living_session(session)?.standing() {
            Standing::Present => Vec::new(),
            _ => vec![Change::SessionTakenUp { session }],
        };
        Ok(Transition { outcome: Outcome::SessionTakenUp, changes })
    }

    /// Ends one thing of the session: waits first, so that it is granted nothing more.
    fn decide_close_session(&self, now: Now, session: SessionId) -> Decision {
        let state = self.sessions.get(&session).ok_or(Refusal::UnknownSession)?;
        let mut changes = Vec::new();
        if !state.closing {
            changes.push(Change::SessionClosing { session });
        }
        let mut departure = Departure { session: Some(session), ..Departure::default() };
        let slot = if let Some((&waiter, key)) = state.waiters.first_key_value() {
            let cause = LeaveCause::SessionEnded;
            changes.push(Change::Left { key: key.clone(), waiter, cause });
            departure.waiter = Some(waiter);
            self.slot_of_waiter(key)
        } else if let Some((&token, (key, holder))) = state.grants.first_key_value() {
            let (key, holder) = (key.clone(), holder.clone());
            let slot = self.slot(&key).expect("a session's lock is held");
            departure.holder = slot.lock.grant_of(&holder).map(|grant| &grant.holder);
            changes.push(Change::Ended { key, holder, token, cause: EndCause::SessionEnded });
            slot
        } else {
            changes.push(Change::SessionClosed { session });
            return Ok(Transition { outcome: Outcome::SessionClosed, changes });
        };
        Ok(self.settle(now, slot, departure, Outcome::SessionClosing, changes))
    }

    /// A grant to a caller who does not have to wait.
    fn grant(&self, now: Now, acquire: &Acquire) -> Transition {
        let Acquire { key, holder, mode, ttl, session, .. } = acquire;
        let lease = ttl.map(|ttl| Lease::starting(now.instant, ttl));
        let token = self.next_number;
        let grant = Grant::new(holder.clone(), token, *session, now.stamp, lease);
        Transition {
            outcome: Outcome::Granted(Granted { token, lease, rejoined: false }),
            changes: vec![Change::Granted { key: key.clone(), mode: *mode, grant, waiter: None }],
        }
    }

    fn enqueue(
        &self,
        slot: Slot<'_>,
        key: &Key,
        want: Want,
        how_long: Wait,
        session: Option<SessionId>,
    ) -> Decision {
        let here = slot.queue.map_or(0, Queue::len);
        check_limit(Limit::WaitersPerLock, here, self.limits.waiters_per_lock_max)?;
        check_limit(Limit::Waiters, self.waiters.len(), self.limits.waiters_max)?;
        let waiter = Waiter { id: self.next_waiter, session, wait: how_long, want };
        Ok(Transition {
            outcome: Outcome::Waiting(waiter.id),
            changes: vec![Change::Queued { key: key.clone(), waiter }],
        })
    }

    /// The end of a grant, and what follows from it.
    fn end(&self, now: Now, slot: Slot<'_>, grant: &Grant, cause: EndCause) -> Transition {
        let Grant { holder, token, .. } = grant;
        let (key, token) = (slot.lock.key().clone(), *token);
        let ended = Change::Ended { key, holder: holder.clone(), token, cause };
        let departure = Departure { holder: Some(holder), ..Departure::default() };
        self.settle(now, slot, departure, Outcome::Ended, vec![ended])
    }

    /// What a departure means for those who stay: the head of the queue is granted what it waits for,
    /// its shared neighbours with it, and who wanted to see the key free is told so. This is the one
    /// place where waiters are served, so every departure comes through here.
    fn settle(
        &self,
        now: Now,
        slot: Slot<'_>,
        departure: Departure<'_>,
        outcome: Outcome,
        mut changes: Vec<Change>,
    ) -> Transition {
        let Slot { lock, queue: Some(queue) } = slot else {
            return Transition { outcome, changes };
        };
        let key = lock.key();
        let mut standing = lock.grants().len() - usize::from(departure.holder.is_some());
        let mut mode = lock.mode();
        let mut next_token = self.next_number;
        let mut granted: BTreeMap<&Holder, (Token, Option<SessionId>)> = BTreeMap::new();

        for wish in queue.wishes() {
            let Wish { waiter, holder, .. } = wish;
            if departure.waiter == Some(waiter.id) {
                continue;
            }
            // A waiter whose time or session is over is never granted anything, however late its own
            // command comes.
            if let Some(cause) = self.over(now, waiter, departure.session) {
                changes.push(Change::Left { key: key.clone(), waiter: waiter.id, cause });
                continue;
            }
            let lease = wish.ttl.map(|ttl| Lease::starting(now.instant, ttl));
            let stays = lock.grant_of(holder).filter(|_| departure.holder != Some(holder));
            let stays = stays.map(|grant| (grant.token, grant.session));
            if let Some((token, session)) = stays.or_else(|| granted.get(holder).copied()) {
                // A holder that holds already joins its own grant, as if it had just come.
                if mode != wish.mode || session != waiter.session {
                    break;
                }
                changes.push(renewal(key, holder, token, lease, Some(waiter.id)));
                continue;
            }
            if standing > 0 && !self.fits_beside(mode, standing, wish.mode) {
                break;
            }
            let grant = Grant::new(holder.clone(), next_token, waiter.session, now.stamp, lease);
            granted.insert(holder, (next_token, waiter.session));
            mode = wish.mode;
            standing += 1;
            next_token = next_token.next();
            let (key, waiter) = (key.clone(), Some(waiter.id));
            changes.push(Change::Granted { key, mode, grant, waiter });
        }
        if standing == 0 {
            changes.extend(queue.watchers().filter(|w| departure.waiter != Some(w.id)).map(|w| {
                let cause = self.over(now, w, departure.session).unwrap_or(LeaveCause::Free);
                Change::Left { key: key.clone(), waiter: w.id, cause }
            }));
        }
        Transition { outcome, changes }
    }

    /// Why `waiter` may not be served any more, if so.
    fn over(&self, now: Now, waiter: &Waiter, ending: Option<SessionId>) -> Option<LeaveCause> {
        let lives = |session| Some(session) != ending && self.session_lives(session);
        if !waiter.session.is_none_or(lives) {
            Some(LeaveCause::SessionEnded)
        } else if waiter.wait.is_over(now.instant) {
            Some(LeaveCause::TimedOut)
        } else {
            None
        }
    }

    /// Whether one more grant in mode `wanted` fits beside `standing` ones in mode `held`.
    pub(crate) fn fits_beside(&self, held: Mode, standing: usize, wanted: Mode) -> bool {
        match (held, wanted) {
            (Mode::Shared, Mode::Shared) => standing < self.limits.holders_per_lock_max,
            (Mode::Exclusive, _) | (Mode::Shared, Mode::Exclusive) => false,
        }
    }

    /// The grant of `holder`, compared with `token` where one is given.
    fn grant_held(
        &self,
        key: &Key,
        holder: &Holder,
        token: Option<Token>,
    ) -> Result<(Slot<'_>, &Grant), Refusal> {
        let slot = self.slot(key).ok_or(Refusal::NotHeld)?;
        let grant = slot.lock.grant_of(holder);
        let grant = grant.ok_or_else(|| Refusal::HeldByOther(HeldBy::of(slot.lock)))?;
        if token.is_some_and(|token| token != grant.token) {
            return Err(Refusal::OtherToken { token: grant.token });
        }
        Ok((slot, grant))
    }

    fn slot_of_waiter(&self, key: &Key) -> Slot<'_> {
        self.slot(key).expect("a lock that is waited for is held")
    }

    fn check_session_lives(&self, session: Option<SessionId>) -> Result<(), Refusal> {
        session.map_or(Ok(()), |session| self.living_session(session).map(drop))
    }

    fn living_session(&self, session: SessionId) -> Result<&Session, Refusal> {
        let session = self.sessions.get(&session).filter(|session| !session.closing);
        session.ok_or(Refusal::UnknownSession)
    }

    fn check_session_has_room(&self, session: Option<SessionId>) -> Result<(), Refusal> {
        let Some(state) = session.and_then(|session| self.sessions.get(&session)) else {
            return Ok(());
        };
        check_limit(Limit::LocksPerSession, state.len(), self.limits.locks_per_session_max)
    }
}

/// Who goes: everybody else is looked at as if they were gone already.
#[derive(Clone, Copy, Default)]
struct Departure<'a> {
    holder: Option<&'a Holder>,
    waiter: Option<WaiterId>,
    session: Option<SessionId>,
}

/// A holder acquires again what it holds: the same grant and token, with a new expiry.
fn rejoin(now: Now, lock: &Lock, grant: &Grant, acquire: &Acquire) -> Decision {
    let token = grant.token;
    if lock.mode() != acquire.mode {
        return Err(Refusal::OtherMode { held: lock.mode(), token });
    }
    if grant.session != acquire.session {
        return Err(Refusal::OtherSession { token });
    }
    let lease = acquire.ttl.map(|ttl| Lease::starting(now.instant, ttl));
    // Endless before and after: nothing to persist.
    let unchanged = lease.is_none() && grant.lease.is_none();
    let changes = if unchanged {
        Vec::new()
    } else {
        vec![renewal(lock.key(), &grant.holder, token, lease, None)]
    };
    Ok(Transition { outcome: Outcome::Granted(Granted { token, lease, rejoined: true }), changes })
}

fn renewal(
    key: &Key,
    holder: &Holder,
    token: Token,
    lease: Option<Lease>,
    waiter: Option<WaiterId>,
) -> Change {
    Change::Renewed { key: key.clone(), holder: holder.clone(), token, lease, waiter }
}

pub(crate) fn check_limit(limit: Limit, len: usize, max: usize) -> Result<(), Refusal> {
    if len < max { Ok(()) } else { Err(Refusal::LimitReached { limit, max }) }
}
