//! Acquiring a lock: what to ask for, and the ways to wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lockcore::{
    Acquire, Command, Granted, Holder, Instant, Key, LeaveCause, Mode, Outcome, Refusal,
};
use lockcore::{SessionId, Token, Ttl, Wait};

use crate::error::{AcquireError, ArgumentError, ResumeError, unexpected};
use crate::guard::LockGuard;
use crate::request::{Answer, Task};
use crate::session::Session;
use crate::slot::Slot;
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
struct Wanted {
    key: Key,
    holder: Holder,
    mode: Mode,
    ttl: Option<Ttl>,
    session: Option<SessionId>,
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
        AcquireFuture::new(self, Wait::Forever)
    }

    /// As [`try_acquire`](Self::try_acquire), as a future.
    pub fn try_acquire_async(self) -> AcquireFuture {
        AcquireFuture::new(self, Wait::No)
    }

    /// As [`acquire_timeout`](Self::acquire_timeout), as a future; the time counts from now.
    pub fn acquire_timeout_async(self, timeout: Duration) -> AcquireFuture {
        let wait = self.until(timeout);
        AcquireFuture::new(self, wait)
    }

    /// Takes up a lock that this [`holder`](Self::holder) still holds by the grant of `token`: after
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
        let held = self.store.inspect(&wanted.key)?.map_or(wanted.mode, |lock| lock.mode);
        Ok(wanted.guard(self.store, Granted { token, ..granted }, held))
    }

    fn until(&self, timeout: Duration) -> Wait {
        Wait::Until(self.store.engine().clock.now().saturating_add(timeout))
    }

    fn block(self, wait: Wait) -> Result<LockGuard, AcquireError> {
        let wanted = self.check()?;
        let answer = self.store.engine().call(wanted.task(wait));
        wanted.outcome(self.store, wait, answer)
    }

    fn check(&self) -> Result<Wanted, ArgumentError> {
        Ok(Wanted {
            key: Key::new(self.key)?,
            holder: match self.holder {
                Some(holder) => Holder::new(holder)?,
                None => own_holder()?,
            },
            mode: self.mode,
            ttl: self.ttl.map(Ttl::new).transpose()?,
            session: self.session,
            asked_at: self.store.engine().clock.now(),
        })
    }
}

impl Wanted {
    fn task(&self, wait: Wait) -> Task {
        let Self { key, holder, mode, ttl, session, .. } = self.clone();
        Task::Command(Command::Acquire(Acquire { key, holder, mode, ttl, session, wait }))
    }

    fn outcome(self, store: &Store, wait: Wait, answer: Answer) -> Result<LockGuard, AcquireError> {
        let Self { key, holder, .. } = &self;
        let (key, holder) = (key.clone(), holder.clone());
        Err(match answer {
            Answer::Done(Outcome::Granted(granted)) => {
                let mode = self.mode;
                return Ok(self.guard(store, granted, mode));
            }
            Answer::Left(LeaveCause::TimedOut) => AcquireError::TimedOut { key },
            Answer::Refused(Refusal::Held(_)) if wait != Wait::No => AcquireError::TimedOut { key },
            Answer::Refused(Refusal::Held(by)) => AcquireError::Held { key, by: store.held_by(by) },
            Answer::Refused(Refusal::OtherMode { held, .. }) => {
                AcquireError::OtherMode { key, holder, held }
            }
            Answer::Refused(Refusal::OtherSession { .. }) => {
                AcquireError::OtherSession { key, holder }
            }
            Answer::Refused(Refusal::UnknownSession) | Answer::Left(LeaveCause::SessionEnded) => {
                AcquireError::SessionEnded
            }
            Answer::Refused(Refusal::LimitReached { limit, max }) => {
                AcquireError::LimitReached { limit, max }
            }
            Answer::Failed(error) => error.into(),
            answer => unexpected(&answer).into(),
        })
    }

    fn guard(self, store: &Store, granted: Granted, mode: Mode) -> LockGuard {
        LockGuard::new(store.clone(), self.key, self.holder, mode, granted, self.asked_at)
    }
}

/// A lock that is being acquired; see [`LockRequest::acquire_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct AcquireFuture {
    store: Store,
    wait: Wait,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not asked yet, or refused before.
    Unasked(Result<Wanted, ArgumentError>),
    /// Asked; the answer comes into the slot.
    Asked(Wanted, Arc<Slot>),
    /// The answer was given.
    Done,
}

impl AcquireFuture {
    fn new(request: LockRequest<'_>, wait: Wait) -> Self {
        Self { store: request.store.clone(), wait, state: State::Unasked(request.check()) }
    }
}

impl Future for AcquireFuture {
    type Output = Result<LockGuard, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Unasked(checked) = &this.state {
            let checked = checked.clone();
            this.state = State::Done;
            let wanted = match checked {
                Ok(wanted) => wanted,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            let acquires = (wanted.key.clone(), wanted.holder.clone());
            let slot = Arc::new(Slot::for_task(Some(acquires)));
            if let Err(error) = this.store.engine().submit(wanted.task(this.wait), &slot) {
                return Poll::Ready(Err(error.into()));
            }
            this.state = State::Asked(wanted, slot);
        }
        let State::Asked(_, slot) = &this.state else {
            panic!("an AcquireFuture was polled after it was ready");
        };
        let Poll::Ready(answer) = slot.poll(context) else { return Poll::Pending };
        match std::mem::replace(&mut this.state, State::Done) {
            State::Asked(wanted, _) => Poll::Ready(wanted.outcome(&this.store, this.wait, answer)),
            State::Unasked(_) | State::Done => unreachable!("it was asked"),
        }
    }
}

impl Drop for AcquireFuture {
    fn drop(&mut self) {
        if let State::Asked(_, slot) = &self.state {
            self.store.engine().give_up(slot);
        }
    }
}

/// A holder that nobody else is: it names the process, for people, and is unique.
fn own_holder() -> Result<Holder, ArgumentError> {
    let unique = uuid::Uuid::new_v4();
    Ok(Holder::new(&format!("pid {} {unique}", std::process::id()))?)
}
