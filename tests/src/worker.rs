//! A busy thread: takes, renews, hands on, breaks and gives up locks at random, and tells what it knows.

use std::fmt;
use std::thread;
use std::time::Duration;

use lockstore::ReadError;
use lockstore::{
    AcquireError, BreakError, Clock, HolderInfo, LockGuard, ReleaseError, RenewError, Store,
    StoreError, SystemClock, Token,
};

use crate::dice::Dice;
use crate::fact::{Fact, Granted};

/// The locks that all workers fight for. Those that begin with `s` are sometimes shared.
pub const KEYS: [&str; 4] = ["x0", "x1", "x2", "s0"];

/// One busy thread.
pub struct Worker<'a> {
    /// The store that it works with.
    pub store: &'a Store,
    /// The store's clock.
    pub clock: SystemClock,
    /// Where its choices come from.
    pub dice: Dice,
    /// Tells its holders from those of all other workers, and of all other processes: no spaces.
    pub name: String,
    /// Takes what it knows.
    pub report: &'a (dyn Fn(Fact) + Sync),
    /// How many holders it has been.
    pub taken: u64,
}

impl fmt::Debug for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Worker<'_> {
    /// Works until the store cannot serve any more.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    ///
    /// # Panics
    ///
    /// When a later grant has a lower token.
    pub fn work(&mut self) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let key = *self.dice.pick(&KEYS);
            match self.dice.below(12) {
                0..8 => {
                    let token = self.hold(key)?;
                    assert!(token.is_none() || token > last, "{token:?} comes after {last:?}");
                    last = token.or(last);
                }
                8 => self.break_somebody(key)?,
                9 => self.resume_somebody(key)?,
                10 => self.hold_in_a_session(key)?,
                _ => {
                    let patience = Duration::from_millis(self.dice.below(4));
                    let waited = self.store.wait_until_free(key, Some(patience));
                    waited.map_err(|error| StoreError::Poisoned {
                        cause: error.to_string().into(),
                    })?;
                }
            }
        }
    }

    fn hold(&mut self, key: &str) -> Result<Option<Token>, StoreError> {
        let holder = self.next_holder();
        let mut request = self.store.lock(key).holder(&holder);
        if key.starts_with('s') && self.dice.chance(3, 4) {
            request = request.shared();
        }
        if self.dice.chance(7, 8) {
            request = request.ttl(Duration::from_millis(1 + self.dice.below(40)));
        }
        let acquired = if self.dice.chance(1, 4) {
            request.try_acquire()
        } else {
            request.acquire_timeout(Duration::from_millis(1 + self.dice.below(15)))
        };
        let Some(mut guard) = granted(acquired)? else { return Ok(None) };
        let token = guard.token();
        self.told_of(&guard, false);
        self.use_it(&mut guard)?;
        self.give_up(guard)?;
        Ok(Some(token))
    }

    fn use_it(&mut self, guard: &mut LockGuard) -> Result<(), StoreError> {
        for _ in 0..self.dice.below(3) {
            thread::sleep(Duration::from_micros(self.dice.below(2_000)));
            let token = guard.token();
            match guard.renew() {
                Ok(()) => (self.report)(Fact::Renewed { token, valid_until: guard.valid_until() }),
                Err(RenewError::Store(error)) => return Err(error),
                Err(_) => (self.report)(Fact::Ended { token }),
            }
        }
        Ok(())
    }

    fn give_up(&mut self, guard: LockGuard) -> Result<(), StoreError> {
        let token = guard.token();
        match self.dice.below(8) {
            // Left to its lease, or to who breaks it.
            0 | 1 => drop(guard.leak()),
            2 => {
                self.set_out_to_end(token);
                drop(guard);
            }
            _ => {
                self.set_out_to_end(token);
                match guard.release() {
                    Err(ReleaseError::Store(error)) => return Err(error),
                    Ok(()) | Err(_) => (self.report)(Fact::Ended { token }),
                }
            }
        }
        Ok(())
    }

    fn break_somebody(&mut self, key: &str) -> Result<(), StoreError> {
        let Some(somebody) = self.somebody(key)? else { return Ok(()) };
        let token = somebody.token;
        self.set_out_to_end(token);
        if let Err(BreakError::Store(error)) = self.store.break_lock(key, token, "in the way") {
            return Err(error);
        }
        // It was broken, or found to be over.
        (self.report)(Fact::Ended { token });
        Ok(())
    }

    /// Takes up a grant of another holder, as a program does that was started again.
    fn resume_somebody(&mut self, key: &str) -> Result<(), StoreError> {
        let Some(somebody) = self.somebody(key)? else { return Ok(()) };
        let (token, asked_at) = (somebody.token, self.clock.now());
        match self.store.renew(key, &somebody.holder, Some(token), None) {
            Ok(lasts) => {
                let valid_until = lasts.map(|lasts| asked_at.saturating_add(lasts));
                (self.report)(Fact::Renewed { token, valid_until });
                Ok(())
            }
            Err(RenewError::Store(error)) => Err(error),
            Err(_) => {
                (self.report)(Fact::Ended { token });
                Ok(())
            }
        }
    }

    fn hold_in_a_session(&mut self, key: &str) -> Result<(), StoreError> {
        let holder = self.next_holder();
        let session = match self.store.session() {
            Ok(session) => session,
            Err(error) => return Err(StoreError::Poisoned { cause: error.to_string().into() }),
        };
        let acquired = self.store.lock(key).holder(&holder).session(&session).try_acquire();
        let Some(guard) = granted(acquired)? else { return session.end() };
        self.told_of(&guard, true);
        let token = guard.leak().token;
        self.set_out_to_end(token);
        session.end()?;
        (self.report)(Fact::Ended { token });
        Ok(())
    }

    fn somebody(&mut self, key: &str) -> Result<Option<HolderInfo>, StoreError> {
        let lock = match self.store.inspect(key) {
            Err(ReadError::Store(error)) => return Err(error),
            lock => lock.expect("the key is sound"),
        };
        Ok(lock.map(|lock| self.dice.pick(&lock.holders).clone()))
    }

    fn told_of(&self, guard: &LockGuard, bound: bool) {
        (self.report)(Fact::Granted(Granted {
            token: guard.token(),
            key: guard.key().clone(),
            holder: guard.holder().clone(),
            mode: guard.mode(),
            bound,
            at: self.clock.now(),
            valid_until: guard.valid_until(),
        }));
    }

    fn set_out_to_end(&self, token: Token) {
        (self.report)(Fact::Ending { token, at: self.clock.now() });
    }

    fn next_holder(&mut self) -> String {
        self.taken += 1;
        format!("{}/{}", self.name, self.taken)
    }
}

/// The guard, if the lock was granted.
fn granted(acquired: Result<LockGuard, AcquireError>) -> Result<Option<LockGuard>, StoreError> {
    match acquired {
        Ok(guard) => Ok(Some(guard)),
        Err(AcquireError::Store(error)) => Err(error),
        Err(AcquireError::Held { .. } | AcquireError::TimedOut { .. }) => Ok(None),
        Err(error) => panic!("nothing else is wrong with what was asked: {error}"),
    }
}
