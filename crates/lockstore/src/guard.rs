//! A lock that is held.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lockcore::{Granted, Holder, Instant, Key, Mode, Release, SessionId, Token, Ttl};

use crate::call::LockFuture;
use crate::error::{ArgumentError, ReleaseError, RenewError};
use crate::fence::Fence;
use crate::keep_alive::KeptLease;
use crate::remote::LockCall;
use crate::store::Store;

/// A lock that this program holds. Dropping it releases the lock: it waits for the disk when the lock has
/// no TTL, and otherwise queues the release, for the lease would end in any case.
///
/// Locks alone do not exclude a holder that was paused past its lease: pass [`LockGuard::token`] along with
/// what the lock protects, and refuse there what comes with a lower one.
#[derive(Debug)]
#[must_use = "dropping the guard releases the lock"]
pub struct LockGuard {
    store: Store,
    mode: Mode,
    ttl: Option<Ttl>,
    lease: Arc<KeptLease>,
    rejoined: bool,
    /// Whether the lock is this guard's to release.
    owned: bool,
}

/// What is left of a guard that was leaked: enough to [resume](crate::LockRequest::resume) it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeakedGrant {
    /// The lock.
    pub key: Key,
    /// Who holds it.
    pub holder: Holder,
    /// The fencing token.
    pub token: Token,
}

impl LockGuard {
    pub(crate) fn new(
        store: Store,
        key: Key,
        holder: Holder,
        mode: Mode,
        session: Option<SessionId>,
        granted: Granted,
        valid_until: Option<Instant>,
    ) -> Self {
        let lease = store.backend().lease(key, holder, granted.token, session);
        lease.set_valid_until(valid_until);
        let ttl = granted.lease.map(|lease| lease.ttl);
        Self { store, mode, ttl, lease, rejoined: granted.rejoined, owned: true }
    }

    /// What is locked.
    pub fn key(&self) -> &Key {
        &self.lease.key
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        &self.lease.holder
    }

    /// The fencing token: higher than that of every earlier grant of the store.
    pub fn token(&self) -> Token {
        self.lease.token
    }

    /// What a write carries that relies on this grant: see [`Collection::fenced_by`](crate::Collection::fenced_by) and
    /// [`Transaction::require`](crate::Transaction::require).
    pub fn fence(&self) -> Fence {
        let (key, holder) = (self.key().clone(), self.holder().clone());
        Fence { key, holder, token: self.token() }
    }

    /// Whether it is held alone or beside others.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the holder had the lock before it was acquired: then this is the same grant, with a new lease, and somebody else may
    /// rely on it too.
    pub fn rejoined(&self) -> bool {
        self.rejoined
    }

    /// Until when the lock is held, by the store's clock, unless it is broken, ends with its session, or its own
    /// holder releases it or acquires it again for a shorter time; `None` when it has no end.
    pub fn valid_until(&self) -> Option<Instant> {
        self.lease.valid_until()
    }

    /// How long it is surely held from now; `None` when it has no end.
    pub fn remaining(&self) -> Option<Duration> {
        let now = self.store.backend().now();
        self.valid_until().map(|until| until.saturating_since(now))
    }

    /// Whether the lock may be somebody else's by now: its lease has run out, or a renewal was refused; or, on a replica set, the session that it is
    /// bound to may be over, because none of its signs of life was taken for as long as it lives without one.
    pub fn is_lost(&self) -> bool {
        self.lease.is_over(self.store.backend().now())
    }

    /// Begins the lease anew, for its own TTL. Does nothing for a lock that has no end.
    ///
    /// # Errors
    ///
    /// [`RenewError::LeaseLost`] when the grant is over: a renewal revives nothing.
    pub fn renew(&self) -> Result<(), RenewError> {
        self.renew_with(self.ttl)
    }

    /// Begins the lease anew, for `ttl` from now on.
    ///
    /// # Errors
    ///
    /// As [`LockGuard::renew`].
    pub fn renew_for(&mut self, ttl: Duration) -> Result<(), RenewError> {
        let ttl = Ttl::new(ttl).map_err(ArgumentError::from)?;
        let backend = self.store.backend();
        backend.check_usable()?;
        backend.set_ttl(&self.lease, ttl);
        self.renew_with(Some(ttl))?;
        self.ttl = Some(ttl);
        if self.lease.is_kept() {
            backend.keep(&self.lease, ttl);
        }
        Ok(())
    }

    /// Has the lease renewed each time a third of its TTL has passed, until the guard is dropped or the
    /// program ends: by one background thread, for any number of guards. Whether that has gone
    /// well, [`LockGuard::is_lost`] tells. Does nothing for a lock that has no end.
    pub fn keep_alive(&self) {
        let backend = self.store.backend();
        if let (Some(ttl), Ok(())) = (self.ttl, backend.check_usable()) {
            backend.keep(&self.lease, ttl);
        }
    }

    /// Releases the lock. When this returns, that is durable.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`] when the grant is over already. Nothing has changed then, and the guard is gone.
    pub fn release(mut self) -> Result<(), ReleaseError> {
        self.owned = false;
        self.let_go();
        self.store.release_grant(self.key().clone(), self.holder().clone(), Some(self.token()))
    }

    /// As [`release`](Self::release), as a future that needs no particular runtime and no thread. Nothing is asked for until it is
    /// first polled. One that is dropped before it is ready queues the release.
    pub fn release_async(mut self) -> ReleaseFuture {
        self.owned = false;
        self.let_go();
        let (key, holder, token) = (self.key().clone(), self.holder().clone(), Some(self.token()));
        let release =
            LockCall::Release(Release { key: key.clone(), holder: holder.clone(), token });
        let call = LockFuture::new(&self.store, release);
        ReleaseFuture { call, key, holder, token: self.token(), done: false }
    }

    /// Gives up the guard and keeps the lock: it is held until its lease ends, or until somebody
    /// [resumes](crate::LockRequest::resume) or releases it.
    pub fn leak(mut self) -> LeakedGrant {
        self.owned = false;
        self.let_go();
        let (key, holder) = (self.key().clone(), self.holder().clone());
        LeakedGrant { key, holder, token: self.token() }
    }

    /// What the guard and the background thread know of its lease.
    pub(crate) fn lease(&self) -> &Arc<KeptLease> {
        &self.lease
    }

    pub(crate) fn ttl(&self) -> Option<Ttl> {
        self.ttl
    }

    /// Renewals end.
    fn let_go(&self) {
        self.store.backend().let_go(&self.lease);
    }

    fn renew_with(&self, ttl: Option<Ttl>) -> Result<(), RenewError> {
        let asked_at = self.store.backend().now();
        let (key, holder) = (self.key().clone(), self.holder().clone());
        match self.store.renew_grant(key, holder, Some(self.token()), ttl) {
            Ok(renewed) => {
                self.lease.set_valid_until(
                    renewed.lease.map(|lease| asked_at.saturating_add(lease.ttl.as_duration())),
                );
                Ok(())
            }
            Err(error) => {
                if matches!(error, RenewError::LeaseLost { .. } | RenewError::OtherToken { .. }) {
                    self.lease.set_lost();
                }
                Err(error)
            }
        }
    }
}

/// A lock that is being released; see [`LockGuard::release_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct ReleaseFuture {
    call: LockFuture,
    key: Key,
    holder: Holder,
    token: Token,
    /// Whether it was ready.
    done: bool,
}

impl Future for ReleaseFuture {
    type Output = Result<(), ReleaseError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.call.poll(context));
        self.done = true;
        let (key, holder) = (self.key.clone(), self.holder.clone());
        Poll::Ready(self.call.store().released(answer, key, holder))
    }
}

impl Drop for ReleaseFuture {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // What was asked for is not done once nobody waits for it, and that is once `call` is gone.
        let (key, holder, token) = (self.key.clone(), self.holder.clone(), Some(self.token));
        let release = LockCall::Release(Release { key, holder, token });
        self.call.store().backend().post(release);
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // A grant that is known to be over needs no release.
        if !self.owned || self.lease.is_lost() {
            return;
        }
        self.let_go();
        let (key, holder, token) = (self.key().clone(), self.holder().clone(), Some(self.token()));
        if self.ttl.is_some() {
            self.store.backend().post(LockCall::Release(Release { key, holder, token }));
        } else if let Err(error) = self.store.release_grant(key, holder, token) {
            tracing::warn!(key = %self.key(), %error, "a dropped guard did not release its lock");
        }
    }
}
