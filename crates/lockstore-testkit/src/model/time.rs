//! What time makes due.

use lockcore::{Command, Holder, Instant, Token, Wait};

use super::{Model, ModelLock};

impl Model {
    /// The expiries, timeouts and ends of sessions that are due at `now`, in their order: by the millisecond of the
    /// deadline, rounded up, then by when it was set. Whether the later ones are still due when the
    /// earlier ones have been executed is to be asked again.
    pub fn due(&self, now: Instant) -> Vec<Command> {
        let due = self.deadlines().into_iter();
        due.take_while(|(tick, ..)| *tick <= now.millis_floor())
            .map(|(.., command)| command)
            .collect()
    }

    /// The first deadline, rounded up to a whole millisecond.
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = self.deadlines().into_iter().next();
        first.map(|(tick, ..)| Instant::from_millis(tick))
    }

    /// What has to be executed before anybody is told that `key` is held: the expiries of leases that
    /// have run out, and the timeout of the first who waits. Their order does not matter.
    pub fn overdue(&self, key: &str, now: Instant) -> Vec<Command> {
        let Some(lock) = self.lock(key) else {
            return Vec::new();
        };
        let leases = lock.grants.iter().filter(|(grant, _)| grant.is_overdue(now));
        let expiries = leases.map(|(grant, _)| expire(lock, &grant.holder, grant.token));
        let first = lock.first_acquirer().filter(|first| first.wait.is_over(now));
        let timeout = first.map(|first| Command::TimeOut { waiter: first.id });
        expiries.chain(timeout).collect()
    }

    /// All deadlines: (tick, place among those set, what it makes due), in their order.
    fn deadlines(&self) -> Vec<(u64, u64, Command)> {
        let mut deadlines = Vec::new();
        for lock in &self.locks {
            for (grant, place) in &lock.grants {
                if let Some(lease) = grant.lease {
                    let command = expire(lock, &grant.holder, grant.token);
                    deadlines.push((lease.expires_at.millis_ceil(), *place, command));
                }
            }
            for (waiter, place) in &lock.queue {
                if let Wait::Until(deadline) = waiter.wait {
                    let command = Command::TimeOut { waiter: waiter.id };
                    deadlines.push((deadline.millis_ceil(), *place, command));
                }
            }
        }
        for session in &self.sessions {
            if let Some((ends_at, place)) = session.lost {
                let command = Command::CloseSession { session: session.id };
                deadlines.push((ends_at.millis_ceil(), place, command));
            }
        }
        deadlines.sort_by_key(|(tick, place, _)| (*tick, *place));
        deadlines
    }

    /// The place of a deadline that is set now, if one is.
    pub(super) fn place_of_deadline(&mut self, set: bool) -> u64 {
        self.deadlines_set += u64::from(set);
        self.deadlines_set
    }
}

fn expire(lock: &ModelLock, holder: &Holder, token: Token) -> Command {
    Command::Expire { key: lock.key.clone(), holder: holder.clone(), token }
}
