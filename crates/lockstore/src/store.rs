//! The store as its users hold it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockcore::{Holder, Key, LeaveCause, Outcome, Refusal, Token, Ttl, Wait};

use crate::OpenError;
use crate::acquire::LockRequest;
use crate::backend::{Backend, Elsewhere};
use crate::clock::Clock;
use crate::document_locks::side_grant::{check_user_key, user_key};
use crate::engine::Engine;
use crate::error::{
    ArgumentError, HeldBy, ReadError, ReleaseError, RenewError, StoreError, WaitError, unexpected,
};
use crate::events::Subscription;
use crate::info::{LockInfo, Stats};
use crate::options::StoreOptions;
use crate::recovery::Recovery;
use crate::remote::{LockAnswer, LockCall, Remote};
use crate::transaction::Turns;
use crate::wait::WaitFuture;

/// An open store: durable locks in one file, shared by the threads of one process.
///
/// A handle is cheap to clone, and all clones are one store. The store closes when the last handle and
/// the last guard are dropped, or by [`Store::close`]; releases that are queued then are made durable first.
///
/// Every answer is durable: when a call returns, what it tells has been synced to the disk, and survives
/// `kill -9` and power loss. Reads ([`Store::is_locked`], [`Store::inspect`], [`Store::list`]) show the last
/// commit and never wait for the next.
///
/// ```
/// use std::time::Duration;
/// use lockstore::Store;
///
/// let store = Store::in_memory()?; // or Store::open("locks.redb")?
/// let guard = store.lock("nightly-report").ttl(Duration::from_secs(60)).acquire()?;
/// assert!(store.is_locked("nightly-report")?);
/// println!("fencing token {}", guard.token());
/// guard.release()?;
/// assert!(!store.is_locked("nightly-report")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    handle: Arc<Handle>,
}

/// Closes the store when the last one is dropped.
#[derive(Debug)]
struct Handle {
    backend: Backend,
    /// Of transactions that met a conflict.
    turns: Turns,
}

impl Store {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self::with(Backend::Here(engine))
    }

    /// The store at the other end of `remote`. All that a handle can do is done there.
    pub fn remote(remote: Arc<dyn Remote>) -> Self {
        Self::with(Backend::There(Arc::new(Elsewhere::new(remote))))
    }

    fn with(backend: Backend) -> Self {
        Self { handle: Arc::new(Handle { backend, turns: Turns::default() }) }
    }

    /// Opens the store at `path` with default options, or makes one there: [`StoreOptions::open`]. A child that is
    /// forked from this process may not use it, and keeps the file locked as long as it lives.
    ///
    /// While it is open, its last commits are in a journal, `<path>-journal`, which a clean close removes. After a kill
    /// or a loss of power the next opening takes them over; until then the two files belong together.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file, what is wrong with it and what was expected; the file is unchanged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        StoreOptions::new().open(path)
    }

    /// Opens a store that lives in memory only, and is gone when it is closed.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn in_memory() -> Result<Self, OpenError> {
        StoreOptions::new().open_in_memory()
    }

    /// Begins to acquire the lock of `key`: set what it needs, and then
    /// [`acquire`](LockRequest::acquire), [`try_acquire`](LockRequest::try_acquire) or another.
    pub fn lock<'a>(&'a self, key: &'a str) -> LockRequest<'a> {
        LockRequest::new(self, key)
    }

    /// Whether anybody holds the lock of `key`, as of the last commit. Takes well under a microsecond.
    ///
    /// A lease that has run out counts as held until its expiry is committed, which is at once unless the
    /// disk is slow.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn is_locked(&self, key: &str) -> Result<bool, ReadError> {
        self.backend().check_usable()?;
        match self.backend() {
            Backend::Here(engine) => {
                check_user_key(key)?;
                Ok(engine.is_held(key, None))
            }
            Backend::There(remote) => Ok(remote.is_held(&user_key(key)?, None)?),
        }
    }

    /// Whether `holder` holds the lock of `key`, as of the last commit.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, ReadError> {
        self.backend().check_usable()?;
        match self.backend() {
            Backend::Here(engine) => {
                check_user_key(key)?;
                Holder::check(holder).map_err(ArgumentError::from)?;
                Ok(engine.is_held(key, Some(holder)))
            }
            Backend::There(remote) => {
                let key = user_key(key)?;
                let holder = Holder::new(holder).map_err(ArgumentError::from)?;
                Ok(remote.is_held(&key, Some(&holder))?)
            }
        }
    }

    /// Who holds the lock of `key`, and until when; `None` when nobody does.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn inspect(&self, key: &str) -> Result<Option<LockInfo>, ReadError> {
        self.backend().check_usable()?;
        match self.backend() {
            Backend::Here(engine) => {
                check_user_key(key)?;
                Ok(engine.inspect(key))
            }
            Backend::There(remote) => Ok(remote.inspect(&user_key(key)?)?),
        }
    }

    /// At most `limit` locks, and at most 10,000, whose keys begin with `prefix`, in the order of their keys, beginning behind
    /// the key `after`. To go on, pass the last key of the page before.
    ///
    /// ```
    /// # let store = lockstore::Store::in_memory()?;
    /// let _a = store.lock("job/1").acquire()?;
    /// let _b = store.lock("job/2").acquire()?;
    /// let first = store.list("job/", None, 1)?;
    /// assert_eq!(first[0].key.as_str(), "job/1");
    /// let second = store.list("job/", Some("job/1"), 1)?;
    /// assert_eq!(second[0].key.as_str(), "job/2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LockInfo>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        match self.backend() {
            Backend::Here(engine) => {
                engine.check_usable()?;
                Ok(engine.list(prefix, after, limit).collect())
            }
            Backend::There(remote) => remote.list(prefix, after, limit),
        }
    }

    /// Waits until nobody holds the lock of `key`, without taking it: for ever, or for `timeout`. Answers
    /// whether that has come. A lock that is handed from holder to holder is never free in between.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    pub fn wait_until_free(&self, key: &str, timeout: Option<Duration>) -> Result<bool, WaitError> {
        let wait = timeout.map_or(Wait::Forever, |timeout| {
            Wait::Until(self.backend().now().saturating_add(timeout))
        });
        let key = user_key(key)?;
        freed(self.backend().call(LockCall::WaitUntilFree { key, wait, session: None }))
    }

    /// As [`Store::wait_until_free`], without blocking the thread. Dropping the future ends the wait.
    pub fn wait_until_free_async(&self, key: &str, timeout: Option<Duration>) -> WaitFuture {
        WaitFuture::new(self, key, timeout)
    }

    /// Begins the lease of `holder` on `key` anew, for `ttl` or for its own TTL, and answers how long it
    /// lasts from before this call; `None` when it has no end. With a `token`, only the grant of that token
    /// is renewed. For who has no [`LockGuard`](crate::LockGuard).
    ///
    /// # Errors
    ///
    /// [`RenewError::LeaseLost`] when the grant is over: a renewal revives nothing.
    pub fn renew(
        &self,
        key: &str,
        holder: &str,
        token: Option<Token>,
        ttl: Option<Duration>,
    ) -> Result<Option<Duration>, RenewError> {
        let key = user_key(key)?;
        let holder = Holder::new(holder).map_err(ArgumentError::from)?;
        let ttl = ttl.map(Ttl::new).transpose().map_err(ArgumentError::from)?;
        let granted = self.renew_grant(key, holder, token, ttl)?;
        Ok(granted.lease.map(|lease| lease.ttl.as_duration()))
    }

    pub(crate) fn renew_grant(
        &self,
        key: Key,
        holder: Holder,
        token: Option<Token>,
        ttl: Option<Ttl>,
    ) -> Result<lockcore::Granted, RenewError> {
        let renew = LockCall::Renew { key: key.clone(), holder: holder.clone(), token, ttl };
        match self.backend().call(renew) {
            LockAnswer::Done(Outcome::Renewed(renewed)) => Ok(renewed),
            LockAnswer::Refused(Refusal::NotHeld) => {
                Err(RenewError::LeaseLost { key, holder, now_held_by: None })
            }
            LockAnswer::Refused(Refusal::OtherToken { token }) => {
                Err(RenewError::OtherToken { key, holder, held: token })
            }
            LockAnswer::Refused(Refusal::HeldByOther(by)) => {
                let now_held_by = Some(self.held_by(by));
                Err(RenewError::LeaseLost { key, holder, now_held_by })
            }
            LockAnswer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    /// Releases the lock that `holder` holds on `key`; with a `token`, only if it is held by the grant of
    /// that token. When this returns, it is durable. For who has no [`LockGuard`](crate::LockGuard).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`]: nobody holds it, or somebody else does. The lock is as it was.
    pub fn release(
        &self,
        key: &str,
        holder: &str,
        token: Option<Token>,
    ) -> Result<(), ReleaseError> {
        let key = user_key(key)?;
        let holder = Holder::new(holder).map_err(ArgumentError::from)?;
        self.release_grant(key, holder, token)
    }

    pub(crate) fn release_grant(
        &self,
        key: Key,
        holder: Holder,
        token: Option<Token>,
    ) -> Result<(), ReleaseError> {
        let release = LockCall::Release { key: key.clone(), holder: holder.clone(), token };
        self.released(self.backend().call(release), key, holder)
    }

    /// What a release of this lock has come to.
    pub(crate) fn released(
        &self,
        answer: LockAnswer,
        key: Key,
        holder: Holder,
    ) -> Result<(), ReleaseError> {
        match answer {
            LockAnswer::Done(Outcome::Ended) => Ok(()),
            LockAnswer::Refused(Refusal::NotHeld) => Err(ReleaseError::NotHeld { key }),
            LockAnswer::Refused(Refusal::HeldByOther(by)) => {
                Err(ReleaseError::HeldByOther { key, holder, by: self.held_by(by) })
            }
            LockAnswer::Refused(Refusal::OtherToken { token: held }) => {
                Err(ReleaseError::OtherToken { key, holder, held })
            }
            LockAnswer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    /// Has a receiver told of every change to keys that begin with `prefix`, and of what concerns no key,
    /// once it is durable. The store never waits for it: when it is full
    /// ([`StoreOptions::events_max`]), an [`EventKind::Gap`](crate::EventKind::Gap) says that events are missing. Dropping it ends
    /// the subscription; when the store closes, the channel does.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn subscribe(&self, prefix: &str) -> Result<Subscription, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.subscribe(prefix, None),
            Backend::There(remote) => Subscription::elsewhere(remote, prefix),
        }
    }

    /// Figures of the store.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.stats(),
            Backend::There(remote) => remote.stats(),
        }
    }

    /// The clock that its leases count by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.backend().clock()
    }

    /// What the opening of this store found.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn recovery(&self) -> Result<Recovery, StoreError> {
        match self.backend() {
            Backend::Here(engine) => Ok(engine.recovery),
            Backend::There(remote) => remote.recovery(),
        }
    }

    /// Closes the store for all its handles: serves what is queued, tells those who wait
    /// [`StoreError::Closed`], and closes the file. Dropping the last handle does the same, and logs what
    /// this would answer.
    ///
    /// Guards that outlive it can release nothing any more: their locks stay in the file until their leases end, or
    /// until somebody resumes or breaks them. Drop or leak them first.
    ///
    /// # Errors
    ///
    /// When the store has stopped before, or its file cannot be closed. All that was answered is durable
    /// all the same.
    pub fn close(self) -> Result<(), StoreError> {
        self.backend().close()
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.handle.turns
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.handle.backend
    }

    /// The engine, for what only the process that has the file open can be asked.
    pub(crate) fn opened_here(&self) -> Result<&Arc<Engine>, StoreError> {
        match self.backend() {
            Backend::Here(engine) => Ok(engine),
            Backend::There(_) => {
                let what = "this is asked of the process that has the store open".into();
                Err(StoreError::Elsewhere { what })
            }
        }
    }

    /// The engine, for what was begun in this process: transactions and cursors.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.opened_here().expect("what was begun here has its engine here")
    }

    pub(crate) fn held_by(&self, by: lockcore::HeldBy) -> HeldBy {
        HeldBy::new(by, self.backend().now())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        match self.backend.close() {
            Ok(()) | Err(StoreError::Closed | StoreError::Forked { .. }) => {}
            Err(error) => tracing::warn!(%error, "the store was not closed cleanly"),
        }
    }
}

/// How many locks one page of a listing has at most: the writer waits for a page that is being read.
pub(crate) const PAGE_MAX: usize = 10_000;

/// What a wait for a free key has come to.
pub(crate) fn freed(answer: LockAnswer) -> Result<bool, WaitError> {
    match answer {
        LockAnswer::Done(Outcome::Free) | LockAnswer::Left(LeaveCause::Free) => Ok(true),
        LockAnswer::Refused(Refusal::Held(_)) | LockAnswer::Left(LeaveCause::TimedOut) => Ok(false),
        LockAnswer::Refused(Refusal::LimitReached { limit, max }) => {
            Err(WaitError::LimitReached { limit, max })
        }
        LockAnswer::Failed(error) => Err(error.into()),
        answer => Err(unexpected(&answer).into()),
    }
}
