//! A reference model of the locks: the rules of lockcore, as simply as they can be written.
//!
//! Everything is a list that is searched from its front. There is no wheel, no hash table, no index and no plan that is
//! made before it is carried out: the [`Model`] changes itself and writes down what it changed. It is
//! written from the rules, not from lockcore's code, so where the two differ one of them is wrong.
//!
//! The rules:
//!
//! - A lock is held by one holder (exclusive) or by several (shared). Whoever fits gets it at once,
//!   unless somebody waits for it already.
//! - A holder that acquires again keeps its grant and token, and its lease begins anew. In another mode or
//!   for another session it is refused.
//! - Waiters are served strictly in the order in which they came: only the first is looked at, and the next one
//!   when the first has been served or has left. So shared neighbours are granted together,
//!   and nobody overtakes a waiting writer.
//! - A first waiter whose holder holds already joins that grant, as if it had just come.
//! - A first waiter whose deadline has passed or whose session has ended is never granted anything: it leaves.
//! - Watchers want to see a lock free. They leave when nobody holds it and nobody was waiting for it.
//! - A grant ends by its holder's release, by the expiry of its lease, by a break that names its token, or with
//!   its session. Until then it is held, however late the expiry comes.
//! - A session ends in steps, waits first. From the first step on it is granted nothing more.
//! - A session that is lost ends at its time, the earliest that was set; until its first step it may be taken up.
//! - Tokens and session numbers come from one counter.
mod agree;
mod queue;
mod sessions;
mod time;

use lockcore::{
    Acquire, Change, Command, EndCause, Grant, Granted, HeldBy, Holder, Instant, Key, Lease,
    LeaveCause, Limit, Limits, Mode, Now, Outcome, Refusal, Release, Renew, SessionId, Token,
    Transition, Ttl, WaitUntilFree, Waiter, WaiterId, Want,
};

/// A table of locks that is slow, small and easy to believe.
///
/// [`execute`](Model::execute) answers a command exactly as [`Table::decide`](lockcore::Table::decide) does, changes in
/// their order included, and makes it come true at once. [`due`](Model::due) tells what time has made due.
///
/// ```
/// use lockcore::{Acquire, Command, Holder, Instant, Key, Limits, Mode, Outcome, Wait};
/// use lockstore_testkit::model::Model;
///
/// let mut model = Model::new(Limits::default());
/// let acquire = Command::Acquire(Acquire {
///     key: Key::new("nightly-report")?,
///     holder: Holder::new("host-1")?,
///     mode: Mode::Exclusive,
///     ttl: None,
///     session: None,
///     wait: Wait::No,
/// });
/// let transition = model.execute(Instant::ZERO, &acquire).expect("the lock is free");
/// assert!(matches!(transition.outcome, Outcome::Granted(_)));
/// assert_eq!(model.locks().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    limits: Limits,
    locks: Vec<ModelLock>,
    sessions: Vec<ModelSession>,
    /// The next token or session number.
    next_number: Token,
    next_waiter: WaiterId,
    /// How many deadlines were set: among those of one millisecond the earlier set comes first.
    deadlines_set: u64,
}

/// A lock that is held.
#[derive(Clone, Debug)]
pub struct ModelLock {
    /// What is locked.
    pub key: Key,
    /// The mode of all its grants.
    pub mode: Mode,
    /// Its grants, the earliest first, each with the place of its deadline among all that were set.
    pub grants: Vec<(Grant, u64)>,
    /// All that wait, acquirers and watchers, first come first, with the places of their deadlines.
    pub queue: Vec<(Waiter, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct ModelSession {
    id: SessionId,
    closing: bool,
    /// When it ends, and the place of that deadline, while it is lost.
    lost: Option<(Instant, u64)>,
}

impl Model {
    /// A model in which nothing is held.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            locks: Vec::new(),
            sessions: Vec::new(),
            next_number: Token::FIRST,
            next_waiter: WaiterId::FIRST,
            deadlines_set: 0,
        }
    }

    /// The locks that are held, in no particular order.
    pub fn locks(&self) -> &[ModelLock] {
        &self.locks
    }

    /// The lock of `key`, if anybody holds it.
    pub fn lock(&self, key: &str) -> Option<&ModelLock> {
        self.locks.iter().find(|lock| &*lock.key == key)
    }

    /// Answers `command` at `now`, and makes it come true.
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that lockcore is expected to give; nothing has changed then.
    pub fn execute(
        &mut self,
        now: impl Into<Now>,
        command: &Command,
    ) -> Result<Transition, Refusal> {
        let now = now.into();
        let mut changes = Vec::new();
        let outcome = match command {
            Command::Acquire(acquire) => self.acquire(now, acquire, &mut changes),
            Command::WaitUntilFree(WaitUntilFree { key, wait, session }) => {
                let watcher = Waiter {
                    id: self.next_waiter,
                    session: *session,
                    wait: *wait,
                    want: Want::Free,
                };
                self.watch(now, key, watcher, &mut changes)
            }
            Command::Cancel { waiter } => {
                self.leave(now, *waiter, LeaveCause::Cancelled, &mut changes)
            }
            Command::TimeOut { waiter } => {
                self.leave(now, *waiter, LeaveCause::TimedOut, &mut changes)
            }
            Command::Renew(Renew { key, holder, token, ttl }) => {
                let held = self.held(key, holder, *token)?;
                let ttl = ttl.or(held.lease.map(|lease| lease.ttl));
                let granted = self.renew(now, key, holder, ttl, None, &mut changes);
                Ok(Outcome::Renewed(granted))
            }
            Command::Release(Release { key, holder, token }) => {
                let token = self.held(key, holder, *token)?.token;
                Ok(self.end(now, key, token, EndCause::Released, &mut changes))
            }
            Command::Break { key, token } => {
                let lock = self.lock(key).ok_or(Refusal::NotHeld)?;
                let held = lock.grants.iter().any(|(grant, _)| grant.token == *token);
                if !held {
                    return Err(Refusal::HeldByOther(lock.held_by()));
                }
                Ok(self.end(now, key, *token, EndCause::Broken, &mut changes))
            }
            Command::Expire { key, holder, token } => {
                let grant = self.held(key, holder, Some(*token))?;
                if !grant.is_overdue(now.instant) {
                    return Err(Refusal::NotDue);
                }
                Ok(self.end(now, key, *token, EndCause::Expired, &mut changes))
            }
            Command::OpenSession => self.open_session(&mut changes),
            Command::LoseSession { session, ends_at } => {
                self.lose_session(*session, *ends_at, &mut changes)
            }
            Command::TakeUpSession { session } => self.take_up_session(*session, &mut changes),
            Command::CloseSession { session } => self.close_session(now, *session, &mut changes),
        };
        outcome.map(|outcome| Transition { outcome, changes })
    }

    fn acquire(
        &mut self,
        now: Now,
        acquire: &Acquire,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        let Acquire { key, holder, mode, ttl, session, wait } = acquire;
        self.check_lives(*session)?;
        let Some(lock) = self.lock(key) else {
            check(Limit::Locks, self.locks.len(), self.limits.locks_max)?;
            self.check_room(*session)?;
            return Ok(Outcome::Granted(self.grant(now, acquire, None, changes)));
        };
        if let Some(grant) = lock.grant_of(holder) {
            let token = grant.token;
            if lock.mode != *mode {
                return Err(Refusal::OtherMode { held: lock.mode, token });
            }
            if grant.session != *session {
                return Err(Refusal::OtherSession { token });
            }
            return Ok(Outcome::Granted(self.renew(now, key, holder, *ttl, None, changes)));
        }
        self.check_room(*session)?;
        if lock.first_acquirer().is_none() && self.fits(lock, *mode) {
            return Ok(Outcome::Granted(self.grant(now, acquire, None, changes)));
        }
        if wait.is_over(now.instant) {
            return Err(Refusal::Held(lock.held_by()));
        }
        let want = Want::Grant { holder: holder.clone(), mode: *mode, ttl: *ttl };
        self.queue(
            key,
            Waiter { id: self.next_waiter, session: *session, wait: *wait, want },
            changes,
        )
    }

    fn watch(
        &mut self,
        now: Now,
        key: &Key,
        watcher: Waiter,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        self.check_lives(watcher.session)?;
        let Some(lock) = self.lock(key) else {
            return Ok(Outcome::Free);
        };
        if watcher.wait.is_over(now.instant) {
            return Err(Refusal::Held(lock.held_by()));
        }
        self.check_room(watcher.session)?;
        self.queue(key, watcher, changes)
    }

    /// Adds a grant that is known to fit.
    fn grant(
        &mut self,
        now: Now,
        acquire: &Acquire,
        waiter: Option<WaiterId>,
        changes: &mut Vec<Change>,
    ) -> Granted {
        let Acquire { key, holder, mode, ttl, session, wait: _ } = acquire;
        let token = self.next_number;
        self.next_number = token.next();
        let lease = ttl.map(|ttl| Lease::starting(now.instant, ttl));
        let grant = Grant::new(holder.clone(), token, *session, now.stamp, lease);
        let place = self.place_of_deadline(lease.is_some());
        if self.lock(key).is_none() {
            let (key, mode) = (key.clone(), *mode);
            self.locks.push(ModelLock { key, mode, grants: Vec::new(), queue: Vec::new() });
        }
        let lock = self.lock_mut(key);
        lock.mode = *mode;
        lock.grants.push((grant.clone(), place));
        changes.push(Change::Granted { key: key.clone(), mode: *mode, grant, waiter });
        Granted { token, lease, rejoined: false }
    }

    /// Begins the lease of a grant anew, or makes it endless.
    fn renew(
        &mut self,
        now: Now,
        key: &Key,
        holder: &Holder,
        ttl: Option<Ttl>,
        waiter: Option<WaiterId>,
        changes: &mut Vec<Change>,
    ) -> Granted {
        let lease = ttl.map(|ttl| Lease::starting(now.instant, ttl));
        let new_place = self.place_of_deadline(lease.is_some());
        let (grant, place) = self.lock_mut(key).grant_mut(holder);
        let token = grant.token;
        // What was endless and stays so has not changed; only a wait that it ends is worth telling.
        if grant.lease.is_some() || lease.is_some() || waiter.is_some() {
            let (key, holder) = (key.clone(), holder.clone());
            changes.push(Change::Renewed { key, holder, token, lease, waiter });
        }
        grant.lease = lease;
        *place = new_place;
        Granted { token, lease, rejoined: true }
    }

    /// Ends a grant that holds, and serves those who wait.
    fn end(
        &mut self,
        now: Now,
        key: &Key,
        token: Token,
        cause: EndCause,
        changes: &mut Vec<Change>,
    ) -> Outcome {
        let lock = self.lock_mut(key);
        let index = lock.grants.iter().position(|(grant, _)| grant.token == token);
        let (grant, _) = lock.grants.remove(index.expect("what ends is held"));
        changes.push(Change::Ended { key: key.clone(), holder: grant.holder, token, cause });
        self.serve(now, key, changes);
        Outcome::Ended
    }

    /// The grant of `holder`, which must have this token where one is given.
    fn held(&self, key: &Key, holder: &Holder, token: Option<Token>) -> Result<&Grant, Refusal> {
        let lock = self.lock(key).ok_or(Refusal::NotHeld)?;
        let grant = lock.grant_of(holder).ok_or_else(|| Refusal::HeldByOther(lock.held_by()))?;
        if token.is_some_and(|token| token != grant.token) {
            return Err(Refusal::OtherToken { token: grant.token });
        }
        Ok(grant)
    }

    /// Whether one more grant has room beside those of a lock that is held.
    fn fits(&self, lock: &ModelLock, mode: Mode) -> bool {
        lock.mode == Mode::Shared
            && mode == Mode::Shared
            && lock.grants.len() < self.limits.holders_per_lock_max
    }

    fn lock_mut(&mut self, key: &Key) -> &mut ModelLock {
        let lock = self.locks.iter_mut().find(|lock| lock.key == *key);
        lock.expect("the lock is held")
    }
}

impl ModelLock {
    /// The grant of `holder`, if it holds.
    pub fn grant_of(&self, holder: &str) -> Option<&Grant> {
        let mut grants = self.grants.iter().map(|(grant, _)| grant);
        grants.find(|grant| &*grant.holder == holder)
    }

    fn grant_mut(&mut self, holder: &str) -> &mut (Grant, u64) {
        let grant = self.grants.iter_mut().find(|(grant, _)| &*grant.holder == holder);
        grant.expect("the holder holds")
    }

    /// The grant that stands in the way for longest; of equals, the earliest.
    fn held_by(&self) -> HeldBy {
        let mut longest = &self.grants[0].0;
        for (grant, _) in &self.grants {
            longest = match (longest.lease, grant.lease) {
                (Some(_), None) => grant,
                (Some(before), Some(lease)) if before.expires_at < lease.expires_at => grant,
                (Some(_), Some(_)) | (None, _) => longest,
            };
        }
        HeldBy {
            mode: self.mode,
            holder: longest.holder.clone(),
            token: longest.token,
            expires_at: longest.lease.map(|lease| lease.expires_at),
        }
    }
}

fn check(limit: Limit, len: usize, max: usize) -> Result<(), Refusal> {
    if len < max { Ok(()) } else { Err(Refusal::LimitReached { limit, max }) }
}
