//! Trying again and again, for a lock or for another thing that only the store can tell.

use std::time::Duration;

use lockstore::{AcquireError, Holder, Instant, Key, Mode, Store, Token};

use crate::backoff::Backoff;
use crate::failure::Failure;
use crate::holders;
use crate::store_file::{Access, NotOpen, StoreFile};
use crate::times::{Lease, Patience, rough};

/// A lock that is to be acquired.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) mode: Mode,
    pub(crate) lease: Lease,
    /// Whether a holder that has the lock already is given it again, by the same grant.
    pub(crate) again: bool,
}

/// A lock that was acquired.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) mode: Mode,
    pub(crate) token: Token,
    pub(crate) lease: Lease,
    /// Until when it is surely held: counted from before it was asked for. `None` when it has no end.
    pub(crate) valid_until: Option<Instant>,
    /// Whether its holder had it already.
    pub(crate) again: bool,
}

/// What one try came to.
#[derive(Debug)]
pub(crate) enum Try<T> {
    /// It is done.
    Done(T),
    /// Not yet, and why.
    NotYet(String),
}

/// Tries until it is done, sleeping between the tries by means of `sleep`. The answer is `NotYet` when
/// `patience` is at its end; its deadline is fixed now. The file is closed between the tries.
pub(crate) fn until_done<T>(
    file: &StoreFile,
    access: Access,
    patience: Patience,
    mut sleep: impl FnMut(Duration) -> Result<(), Failure>,
    mut attempt: impl FnMut(&Store) -> Result<Try<T>, Failure>,
) -> Result<Try<T>, Failure> {
    let started = file.now();
    let deadline = match patience {
        Patience::For(time) => started.saturating_add(time),
        Patience::Forever => Instant::MAX,
    };
    let (mut for_lock, mut for_file) = (Backoff::for_lock(), Backoff::for_file());
    let mut last: Option<String> = None;
    let mut turn_over = started.saturating_add(file.turn_timeout());
    loop {
        let pause = match file.try_with(access, &mut attempt) {
            Ok(tried) => match tried? {
                Try::Done(done) => return Ok(Try::Done(done)),
                Try::NotYet(why) => {
                    tracing::debug!(%why, "waiting");
                    last = Some(why);
                    for_file.reset();
                    turn_over = file.now().saturating_add(file.turn_timeout());
                    for_lock.sleep()
                }
            },
            Err(NotOpen::InUse(sentence)) if file.now() >= turn_over => {
                return Err(file.turn_missed(&sentence));
            }
            Err(NotOpen::InUse(_)) => for_file.sleep(),
            Err(NotOpen::Failed(failure)) => return Err(failure),
        };
        let now = file.now();
        match &last {
            Some(why) if now >= deadline => return Ok(Try::NotYet(why.clone())),
            // A first try is due to everybody, however long its turn takes to come.
            None => sleep(pause)?,
            Some(_) => sleep(pause.min(deadline.saturating_since(now)))?,
        }
    }
}

impl Wanted {
    /// Acquires the lock, or fails when it has not become free in time.
    pub(crate) fn acquire(
        &self,
        file: &StoreFile,
        patience: Patience,
        sleep: impl FnMut(Duration) -> Result<(), Failure>,
    ) -> Result<Grant, Failure> {
        let acquired =
            until_done(file, Access::OrNew, patience, sleep, |store| self.try_acquire(store))?;
        let Self { key, .. } = self;
        match (acquired, patience) {
            (Try::Done(grant), _) => Ok(grant),
            (Try::NotYet(why), Patience::For(Duration::ZERO) | Patience::Forever) => {
                Err(Failure::no(format!("{key:?} was not acquired: {why}")))
            }
            (Try::NotYet(why), Patience::For(time)) => {
                Err(Failure::no(format!("{key:?} was not acquired in {}: {why}", rough(time))))
            }
        }
    }

    fn try_acquire(&self, store: &Store) -> Result<Try<Grant>, Failure> {
        let Self { key, holder, mode, lease, .. } = self;
        let is_its_own = || Ok(Try::NotYet(format!("the same holder, {holder:?}, has it already")));
        if !self.again && store.is_lock_holder(key, holder)? {
            return is_its_own();
        }
        let mut request = store.lock(key).holder(holder);
        if *mode == Mode::Shared {
            request = request.shared();
        }
        if let Some(ttl) = lease.ttl() {
            request = request.ttl(ttl);
        }
        match request.try_acquire() {
            Ok(guard) => {
                let (valid_until, again) = (guard.valid_until(), guard.rejoined());
                let leaked = guard.leak();
                if again && !self.again {
                    // Through a server, the same holder can have come between the question and the request.
                    return is_its_own();
                }
                Ok(Try::Done(Grant {
                    key: leaked.key,
                    holder: leaked.holder,
                    mode: *mode,
                    token: leaked.token,
                    lease: *lease,
                    valid_until,
                    again,
                }))
            }
            Err(AcquireError::Held { by, .. }) => {
                Ok(Try::NotYet(format!("it is held {}", holders::by(&by))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Grant {
    /// Gives the lock back.
    pub(crate) fn release(&self, file: &StoreFile) -> Result<(), Failure> {
        file.with(Access::Existing, |store| {
            Ok(store.release(&self.key, &self.holder, Some(self.token))?)
        })
    }
}
