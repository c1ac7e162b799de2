//! Acquiring a lock: what to ask for, and the ways to wait for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lockcore::{
    Acquire, Granted, Holder, Instant, Key, Lease, LeaveCause, Mode, Outcome, Refusal, SessionId,
    Token, Ttl, Wait,
};

use crate::backend::Backend;
use crate::call::LockFuture;
use crate::document_locks::side_grant::user_key;
use crate::error::{AcquireError, ArgumentError, ResumeError, unexpected};
use crate::guard::LockGuard;
use crate::remote::{LockAnswer, LockCall};
use crate::session::Session;
use crate::store::Store;

/// A lock that is about to be acquired. By default: exclusive, without end, by a holder of its own that is
/// made for this one guard, so that two guards never share a grant by accident.
#[derive(Clone, Debug)]
#[must_use = "nothing is locked until it is acquired"]
pub struct LockRequest<'a> {
    store: &'a Store,
    key: &'a str,
    holder: Option<&'a str>,
    mode: Mode,
    ttl: Option<Duration>,
    session: Option<SessionId>,
}

/// A request whose arguments have been checked.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) mode: Mode,
    ttl: Option<Ttl>,
    pub(crate) session: Option<SessionId>,
    /// When the caller asked; the lease that it may rely on counts from here.
    asked_at: Instant,
}

impl<'a> LockRequest<'a> {
    pub(crate) fn new(store: &'a Store, key: &'a str) -> Self {
        Self { store, key, holder: None, mode: Mode::Exclusive, ttl: None, session: None }
    }

    /// Who is to hold it: any non-empty string. A holder that acquires again what it holds gets the same
    /// grant and token, with a new expiry; the lock is over when any of its guards releases it.
    pub fn holder(mut self, holder: &'a str) -> Self {
        self.holder = Some(holder);
        self
    }

    /// Holds it under a lease: it ends by itself after `ttl` unless it is renewed. At least 1 ms and at most
    /// [`Ttl::MAX`], rounded up to a whole millisecond. Default: without end.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Holds it beside other shared holders. Default: alone.
    pub fn shared(mut self) -> Self {
        self.mode = Mode::Shared;
        self
    }

    /// Binds the wait and the lock to `session`: when that ends, so do they.
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.id());
        self
    }

    /// Waits for it, for ever. Waiters are served in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`AcquireError`]; never [`Held`](AcquireError::Held) or [`TimedOut`](AcquireError::TimedOut).
    pub fn acquire(self) -> Result<LockGuard, AcquireError> {
        self.block(Wait::Forever)
    }

    /// Takes it if it is free, and does not wait.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Held`] says who holds it; or another [`AcquireError`].
    pub fn try_acquire(self) -> Result<LockGuard, AcquireError> {
        self.block(Wait::No)
    }

    /// Waits for it, for `timeout` from now. A `timeout` of zero tries once.
    ///
    /// # Errors
    ///
    /// [`AcquireError::TimedOut`], or another [`AcquireError`].
    pub fn acquire_timeout(self, timeout: Duration) -> Result<LockGuard, AcquireError> {
        let wait = self.until(timeout);
        self.block(wait)
    }

    /// As [`acquire`](Self::acquire), as a future that needs no particular runtime and no thread. Nothing is
    /// asked for until it is first polled; dropping it ends the wait, and what was granted meanwhile is
    /// handed on to the next.
    pub fn acquire_async(self) -> AcquireFuture {
        AcquireFuture::new(&self, Wait::Forever)
    }

    /// As [`try_acquire`](Self::try_acquire), as a future.
    pub fn try_acquire_async(self) -> AcquireFuture {
        AcquireFuture::new(&self, Wait::No)
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), as a future; the time counts from now.
    pub fn acquire_timeout_async(self, timeout: Duration) -> AcquireFuture {
        let wait = self.until(timeout);
        AcquireFuture::new(&self, wait)
    }

    /// Takes up a lock, with its mode and its session as they are, that this [`holder`](Self::holder) still holds by the grant of `token`: after
    /// [`LockGuard::leak`], or in a program that was started again. Begins its lease anew, for
    /// [`ttl`](Self::ttl) or its own TTL.
    ///
    /// # Errors
    ///
    /// [`ResumeError::LeaseLost`] when that grant is over.
    pub fn resume(self, token: Token) -> Result<LockGuard, ResumeError> {
        if self.holder.is_none() {
            return Err(ArgumentError::HolderMissing.into());
        }
        let wanted = self.check()?;
        let renewed = self.store.renew_grant(
            wanted.key.clone(),
            wanted.holder.clone(),
            Some(token),
            wanted.ttl,
        );
        let granted = renewed.map_err(|error| ResumeError::of(error, token))?;
        let held = self.store.backend().held_as(&wanted.key, &wanted.holder)?;
        let (mode, session) = held.unwrap_or((wanted.mode, wanted.session));
        let valid_until = wanted.valid_until(granted.lease);
        let wanted = Wanted { session, ..wanted };
        Ok(wanted.guard(self.store, granted, mode, valid_until))
    }

    fn until(&self, timeout: Duration) -> Wait {
        Wait::Until(self.store.backend().now().saturating_add(timeout))
    }

    fn block(self, wait: Wait) -> Result<LockGuard, AcquireError> {
        let wanted = self.check()?;
        let answer = self.store.backend().call(LockCall::Acquire(wanted.acquire(wait)));
        wanted.outcome(self.store, wait, answer)
    }

    pub(crate) fn check(&self) -> Result<Wanted, ArgumentError> {
        Ok(Wanted {
            key: user_key(self.key)?,
            holder: match self.holder {
                Some(holder) => Holder::new(holder)?,
                None => own_holder()?,
            },
            mode: self.mode,
            ttl: self.ttl.map(Ttl::new).transpose()?,
            session: self.session,
            asked_at: self.store.backend().now(),
        })
    }
}

impl Wanted {
    pub(crate) fn acquire(&self, wait: Wait) -> Acquire {
        let Self { key, holder, mode, ttl, session, .. } = self.clone();
        Acquire { key, holder, mode, ttl, session, wait }
    }

    pub(crate) fn outcome(
        self,
        store: &Store,
        wait: Wait,
        answer: LockAnswer,
    ) -> Result<LockGuard, AcquireError> {
        let Self { key, holder, .. } = &self;
        let (key, holder) = (key.clone(), holder.clone());
        Err(match answer {
            LockAnswer::Done(Outcome::Granted(granted)) => {
                let valid_until = match store.backend() {
                    // It may have been asked long after the caller did: of a server, and then of the next one.
                    Backend::There(_) if wait != Wait::No => {
                        granted.lease.map(|lease| lease.expires_at)
                    }
                    _ => self.valid_until(granted.lease),
                };
                let mode = self.mode;
                return Ok(self.guard(store, granted, mode, valid_until));
            }
            LockAnswer::HandedOff(granted) => {
                // The caller asked long ago; the lease counts from the hand-off, by the same clock.
                let valid_until = granted.lease.map(|lease| lease.expires_at);
                let mode = self.mode;
                return Ok(self.guard(store, granted, mode, valid_until));
            }
            LockAnswer::Left(LeaveCause::TimedOut) => AcquireError::TimedOut { key },
            LockAnswer::Refused(Refusal::Held(_)) if wait != Wait::No => {
                AcquireError::TimedOut { key }
            }
            LockAnswer::Refused(Refusal::Held(by)) => {
                AcquireError::Held { key, by: store.held_by(by) }
            }
            LockAnswer::Refused(Refusal::OtherMode { held, .. }) => {
                AcquireError::OtherMode { key, holder, held }
            }
            LockAnswer::Refused(Refusal::OtherSession { .. }) => {
                AcquireError::OtherSession { key, holder }
            }
            LockAnswer::Refused(Refusal::UnknownSession)
            | LockAnswer::Left(LeaveCause::SessionEnded) => AcquireError::SessionEnded,
            LockAnswer::Refused(Refusal::LimitReached { limit, max }) => {
                AcquireError::LimitReached { limit, max }
            }
            LockAnswer::Failed(error) => error.into(),
            answer => unexpected(&answer).into(),
        })
    }

    /// Until when a lease that was granted at once may be relied on: from before it was asked for.
    fn valid_until(&self, lease: Option<Lease>) -> Option<Instant> {
        lease.map(|lease| self.asked_at.saturating_add(lease.ttl.as_duration()))
    }

    pub(crate) fn guard(
        self,
        store: &Store,
        granted: Granted,
        mode: Mode,
        valid_until: Option<Instant>,
    ) -> LockGuard {
        let Self { key, holder, session, .. } = self;
        LockGuard::new(store.clone(), key, holder, mode, session, granted, valid_until)
    }
}

/// A lock that is being acquired; see [`LockRequest::acquire_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct AcquireFuture {
    call: Result<(Wanted, LockFuture), ArgumentError>,
    wait: Wait,
}

impl AcquireFuture {
    fn new(request: &LockRequest<'_>, wait: Wait) -> Self {
        let call = request.check().map(|wanted| {
            let call = LockFuture::new(request.store, LockCall::Acquire(wanted.acquire(wait)));
            (wanted, call)
        });
        Self { call, wait }
    }
}

impl Future for AcquireFuture {
    type Output = Result<LockGuard, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { call, wait } = &mut *self;
        match call {
            Ok((wanted, call)) => {
                let answer = ready!(call.poll(context));
                Poll::Ready(wanted.clone().outcome(call.store(), *wait, answer))
            }
            Err(error) => Poll::Ready(Err(error.clone().into())),
        }
    }
}

/// A holder that nobody else is: it names the process, for people, and is unique.
fn own_holder() -> Result<Holder, ArgumentError> {
    let unique = uuid::Uuid::new_v4();
    Ok(Holder::new(&format!("pid {} {unique}", std::process::id()))?)
}
