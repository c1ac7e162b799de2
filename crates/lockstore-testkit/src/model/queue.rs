//! Those who wait: they come, leave, and are served in the order in which they came.

use lockcore::{
    Acquire, Change, Key, LeaveCause, Limit, Now, Outcome, Refusal, Wait, Waiter, WaiterId, Want,
};

use super::{Model, ModelLock, check};

impl Model {
    pub(super) fn queue(
        &mut self,
        key: &Key,
        waiter: Waiter,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        let here = self.lock(key).map_or(0, |lock| lock.queue.len());
        check(Limit::WaitersPerLock, here, self.limits.waiters_per_lock_max)?;
        check(Limit::Waiters, self.waiters_len(), self.limits.waiters_max)?;
        self.next_waiter = waiter.id.next();
        let place = self.place_of_deadline(matches!(waiter.wait, Wait::Until(_)));
        self.lock_mut(key).queue.push((waiter.clone(), place));
        let id = waiter.id;
        changes.push(Change::Queued { key: key.clone(), waiter });
        Ok(Outcome::Waiting(id))
    }

    /// Ends a wait by a command that names it.
    pub(super) fn leave(
        &mut self,
        now: Now,
        waiter: WaiterId,
        cause: LeaveCause,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        let waits = |lock: &&ModelLock| lock.queue.iter().any(|(queued, _)| queued.id == waiter);
        let lock = self.locks.iter().find(waits).ok_or(Refusal::UnknownWaiter)?;
        let key = lock.key.clone();
        let (queued, _) =
            lock.queue.iter().find(|(queued, _)| queued.id == waiter).expect("it waits");
        if cause == LeaveCause::TimedOut && !queued.wait.is_over(now.instant) {
            return Err(Refusal::NotDue);
        }
        self.unqueue(&key, waiter, cause, changes);
        self.serve(now, &key, changes);
        Ok(Outcome::Cancelled)
    }

    /// Takes a waiter out of its queue; it got nothing.
    pub(super) fn unqueue(
        &mut self,
        key: &Key,
        waiter: WaiterId,
        cause: LeaveCause,
        changes: &mut Vec<Change>,
    ) {
        self.lock_mut(key).queue.retain(|(queued, _)| queued.id != waiter);
        changes.push(Change::Left { key: key.clone(), waiter, cause });
    }

    /// Serves the first in the queue, as long as the first can be served; then, if nobody
    /// holds the lock, tells all who watch it.
    pub(super) fn serve(&mut self, now: Now, key: &Key, changes: &mut Vec<Change>) {
        while let Some(first) = self.lock_mut(key).first_acquirer().cloned() {
            if let Some(cause) = self.too_late(now, &first) {
                self.unqueue(key, first.id, cause, changes);
                continue;
            }
            let Want::Grant { holder, mode, ttl } = first.want else {
                unreachable!("an acquirer wants a grant");
            };
            let lock = self.lock_mut(key).clone();
            let (waiter, session) = (Some(first.id), first.session);
            if let Some(grant) = lock.grant_of(&holder) {
                if lock.mode != mode || grant.session != session {
                    break;
                }
                self.renew(now, key, &holder, ttl, waiter, changes);
            } else {
                if !lock.grants.is_empty() && !self.fits(&lock, mode) {
                    break;
                }
                let acquire =
                    Acquire { key: key.clone(), holder, mode, ttl, session, wait: first.wait };
                self.grant(now, &acquire, waiter, changes);
            }
            self.lock_mut(key).queue.retain(|(queued, _)| queued.id != first.id);
        }
        let lock = self.lock_mut(key).clone();
        if lock.grants.is_empty() {
            for (watcher, _) in lock.queue {
                let cause = self.too_late(now, &watcher).unwrap_or(LeaveCause::Free);
                self.unqueue(key, watcher.id, cause, changes);
            }
            self.locks.retain(|lock| lock.key != *key);
        }
    }

    /// Why a waiter may not be served any more, if so.
    fn too_late(&self, now: Now, waiter: &Waiter) -> Option<LeaveCause> {
        if self.check_lives(waiter.session).is_err() {
            Some(LeaveCause::SessionEnded)
        } else if waiter.wait.is_over(now.instant) {
            Some(LeaveCause::TimedOut)
        } else {
            None
        }
    }

    pub(super) fn waiters_len(&self) -> usize {
        self.locks.iter().map(|lock| lock.queue.len()).sum()
    }
}

impl ModelLock {
    /// The first that waits to hold the lock.
    pub fn first_acquirer(&self) -> Option<&Waiter> {
        self.acquirers().next()
    }

    /// Those who wait to hold the lock, first come first.
    pub fn acquirers(&self) -> impl Iterator<Item = &Waiter> {
        let waiters = self.queue.iter().map(|(waiter, _)| waiter);
        waiters.filter(|waiter| matches!(waiter.want, Want::Grant { .. }))
    }
}
