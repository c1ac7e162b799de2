//! Leases that are renewed for their holders while the process lives.

mod renewer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockcore::{Holder, Instant, Key, Outcome, Renew, Token, Ttl};

use crate::remote::{LockAnswer, LockCall, SessionLife};
use crate::request::{Reply, Request};
pub(crate) use renewer::Renewer;

/// The leases that are renewed by a background thread, by when they are due.
#[derive(Debug, Default)]
pub(crate) struct KeptLeases {
    due: Mutex<Due>,
    /// Guards may share a grant, so it takes a number of its own to tell their leases apart.
    numbers: AtomicU64,
}

/// By the time and the lease's number.
type Due = BTreeMap<(Instant, u64), Arc<KeptLease>>;

/// A guard's lease as the guard and the background thread know it.
#[derive(Debug)]
pub(crate) struct KeptLease {
    number: u64,
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) token: Token,
    /// Of what the grant is bound to, where that may be over unnoticed.
    session: Option<Arc<SessionLife>>,
    /// Until when the holder may rely on it, in ns; `u64::MAX` without a lease.
    valid_until: AtomicU64,
    /// When the renewal that is under way was asked for; `u64::MAX` when none is.
    asked_at: AtomicU64,
    /// When its next renewal is due; `u64::MAX` when none is. Only changed while all that are due are locked.
    due_at: AtomicU64,
    /// The TTL of the renewals, in ms.
    ttl_ms: AtomicU64,
    kept: AtomicBool,
    lost: AtomicBool,
}

impl KeptLeases {
    /// The state of a new guard's lease, which is not kept yet.
    pub(crate) fn lease(
        &self,
        key: Key,
        holder: Holder,
        token: Token,
        session: Option<Arc<SessionLife>>,
    ) -> KeptLease {
        KeptLease {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            key,
            holder,
            token,
            session,
            valid_until: AtomicU64::new(u64::MAX),
            asked_at: AtomicU64::new(u64::MAX),
            due_at: AtomicU64::new(u64::MAX),
            ttl_ms: AtomicU64::new(0),
            kept: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// Has `lease` renewed from now on, each time a third of its TTL has passed. Gives the time of the first renewal, by which
    /// whoever makes it must be awake.
    pub(crate) fn keep(&self, lease: &Arc<KeptLease>, ttl: Ttl, now: Instant) -> Instant {
        let at = next_renewal(now, ttl);
        let mut due = self.lock();
        lease.ttl_ms.store(ttl.as_millis(), Ordering::Release);
        lease.kept.store(true, Ordering::Release);
        due.remove(&lease.place());
        insert(&mut due, at, lease);
        at
    }

    /// Has `lease` renewed for `ttl` from now on, if it is kept. A renewal for the time before is in the queue
    /// already, or never comes.
    pub(crate) fn set_ttl(&self, lease: &KeptLease, ttl: Ttl) {
        let _due = self.lock();
        lease.ttl_ms.store(ttl.as_millis(), Ordering::Release);
    }

    /// Renewals of `lease` end; in a forked child they have ended by themselves.
    pub(crate) fn let_go(&self, lease: &KeptLease, is_forked: bool) {
        // Most are never kept. In a forked child, who had the mutex may not exist.
        if lease.due_at.load(Ordering::Acquire) != u64::MAX && !is_forked {
            lease.kept.store(false, Ordering::Release);
            self.lock().remove(&lease.place());
        }
    }

    /// When the next renewal is due.
    pub(crate) fn next_renewal(&self) -> Option<Instant> {
        self.lock().first_key_value().map(|(&(at, _), _)| at)
    }

    /// Adds the renewals that are due to `requests`. Their answers come to the leases.
    pub(crate) fn ask_for_due(&self, now: Instant, requests: &mut Vec<Request>) {
        self.take_due(now, |lease, renewal| {
            requests.push(Request { task: renewal.into(), reply: Reply::KeptLease(lease) });
        });
    }

    /// Gives the renewals that are due to `ask`, each with its lease, which takes the answer.
    fn take_due(&self, now: Instant, mut ask: impl FnMut(Arc<KeptLease>, LockCall)) {
        let mut due = self.lock();
        while let Some(entry) = due.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let lease = entry.remove();
            let Some(ttl) = lease.kept_ttl() else { continue };
            insert(&mut due, next_renewal(now, ttl), &lease);
            // One that waits behind a stalled disk is not asked for twice, and counts from when it was.
            if lease.ask(now) {
                let (key, holder) = (lease.key.clone(), lease.holder.clone());
                let token = Some(lease.token);
                ask(lease, LockCall::Renew(Renew { key, holder, token, ttl: Some(ttl) }));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptLease {
    /// Until when the holder may rely on the lock; `None` when that has no end.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        let nanos = self.valid_until.load(Ordering::Acquire);
        (nanos != u64::MAX).then(|| Instant::from_nanos(nanos))
    }

    pub(crate) fn set_valid_until(&self, until: Option<Instant>) {
        self.valid_until.store(until.map_or(u64::MAX, Instant::as_nanos), Ordering::Release);
    }

    /// Whether it is known to be over.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether it may be over by `now`.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.is_lost()
            || self.valid_until().is_some_and(|until| until <= now)
            || self.session.as_ref().is_some_and(|session| session.is_over(now))
    }

    pub(crate) fn set_lost(&self) {
        self.lost.store(true, Ordering::Release);
        self.kept.store(false, Ordering::Release);
    }

    /// Whether it is renewed by itself.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// Takes the answer to a renewal.
    pub(crate) fn answered(&self, answer: &LockAnswer) {
        let asked_at = Instant::from_nanos(self.asked_at.swap(u64::MAX, Ordering::AcqRel));
        match answer {
            LockAnswer::Done(Outcome::Renewed(renewed)) => {
                // One for another TTL than the guard's was overtaken by the guard's own.
                if let Some(lease) = renewed.lease
                    && lease.ttl.as_millis() == self.ttl_ms.load(Ordering::Acquire)
                {
                    self.set_valid_until(Some(asked_at.saturating_add(lease.ttl.as_duration())));
                }
            }
            // It was released meanwhile, by another way.
            LockAnswer::Refused(_) if !self.is_kept() => self.set_lost(),
            LockAnswer::Refused(refusal) => {
                tracing::warn!(key = %self.key, holder = %self.holder, token = %self.token,
                    ?refusal, "a lease that was kept alive is lost");
                self.set_lost();
            }
            // The next renewal may succeed. If none does in time, the lease runs out, and the guard tells.
            LockAnswer::Failed(error) if error.may_pass() => {
                tracing::warn!(key = %self.key, holder = %self.holder, token = %self.token,
                    %error, "a lease was not renewed");
            }
            LockAnswer::Failed(error) => {
                tracing::warn!(key = %self.key, holder = %self.holder, token = %self.token,
                    %error, "a lease cannot be kept alive");
                self.set_lost();
            }
            LockAnswer::Done(_)
            | LockAnswer::HandedOff(_)
            | LockAnswer::Broken(_)
            | LockAnswer::Left(_) => {
                tracing::error!(?answer, "a renewal is renewed or refused");
            }
        }
    }

    fn kept_ttl(&self) -> Option<Ttl> {
        let ttl = || Ttl::from_millis(self.ttl_ms.load(Ordering::Acquire)).ok();
        self.is_kept().then(ttl).flatten()
    }

    fn place(&self) -> (Instant, u64) {
        (Instant::from_nanos(self.due_at.load(Ordering::Acquire)), self.number)
    }

    /// Notes that a renewal is asked for now, unless one is under way.
    fn ask(&self, now: Instant) -> bool {
        let idle = u64::MAX;
        let asked = self.asked_at.compare_exchange(
            idle,
            now.as_nanos(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        asked.is_ok()
    }
}

fn insert(due: &mut Due, at: Instant, lease: &Arc<KeptLease>) {
    lease.due_at.store(at.as_nanos(), Ordering::Release);
    due.insert(lease.place(), Arc::clone(lease));
}

/// A third of the TTL leaves room for two more tries.
fn next_renewal(now: Instant, ttl: Ttl) -> Instant {
    now.saturating_add(ttl.as_duration() / 3)
}

#[cfg(test)]
mod tests;
