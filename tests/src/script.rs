//! A script that has a store do everything once, with each answer told to an account.
//!
//! It is the same every time: the clock moves only here, and calls share a commit where the script says so.

use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use lockstore::{
    AcquireError, AcquireFuture, Clock, LockGuard, OpenError, Session, Store, StoreError,
    StoreOptions, Token,
};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::SimDisk;

use crate::account::Account;
use crate::fact::{Fact, Granted};
use crate::polling::{block_on, poll_once};
use crate::storage::Storage;

/// The value of a call, or out with why the store cannot serve: nothing else can be wrong.
macro_rules! answer {
    ($call:expr, $error:ident) => {
        match $call {
            Ok(value) => value,
            Err(lockstore::$error::Store(error)) => return Err(error),
            Err(error) => panic!("nothing is wrong with what was asked: {error}"),
        }
    };
}

/// One run of the script, on a disk of its own.
#[derive(Debug, Default)]
pub struct Script {
    /// Where the store lies.
    pub disk: SimDisk,
    /// And how.
    pub storage: Storage,
    /// The store's clock.
    pub clock: ManualClock,
    /// What the store has answered.
    pub account: Account,
    /// Lasts as long as the process.
    session: Option<Session>,
}

/// How far a run came.
#[derive(Debug)]
pub enum Played {
    /// To its end.
    Whole,
    /// The store was not made.
    Unopened(OpenError),
    /// Until a call failed.
    Stopped(Store, StoreError),
    /// Until the store was to be closed.
    Unclosed(StoreError),
}

/// Opens the store on `disk`.
///
/// # Errors
///
/// As [`StoreOptions::open_backend`].
pub fn open(storage: Storage, disk: &SimDisk, clock: &ManualClock) -> Result<Store, OpenError> {
    let options = StoreOptions::new().clock(Arc::new(clock.clone())).cache_bytes(1 << 20);
    storage.open(options.audit_max(2), disk)
}

impl Script {
    /// A script to be played on a store that lies in this way.
    pub fn on(storage: Storage) -> Self {
        Self { storage, ..Self::default() }
    }

    /// Plays the script until something fails.
    pub fn play(&mut self) -> Played {
        let store = match open(self.storage, &self.disk, &self.clock) {
            Ok(store) => store,
            Err(error) => return Played::Unopened(error),
        };
        match self.scenes(&store) {
            Err(error) => Played::Stopped(store, error),
            Ok(()) => store.close().map_or_else(Played::Unclosed, |()| Played::Whole),
        }
    }

    fn scenes(&mut self, store: &Store) -> Result<(), StoreError> {
        let endless = self.take(store, "endless", "a", None)?;
        let leased = self.take(store, "leased", "a", Some(60_000))?;
        self.many_calls_in_one_commit(store)?;
        self.hand_off(store, "endless", "a", endless, "b")?;
        self.renew(store, "leased", "a", leased)?;
        self.expire(store)?;
        self.break_locks(store)?;
        self.sessions(store)?;
        let tokens = self.take_all(store, "moved", 30, None)?;
        store.compact()?;
        for (number, token) in tokens.into_iter().enumerate().skip(3) {
            self.release(store, &format!("moved/{number}"), "m", token)?;
        }
        store.compact()?;
        let report = store.check()?;
        assert!(report.is_sound(), "{:?}", report.problems);
        self.take(store, "last", "a", Some(60_000))?;
        Ok(())
    }

    fn many_calls_in_one_commit(&mut self, store: &Store) -> Result<(), StoreError> {
        let before = store.stats()?.commits;
        let tokens = self.take_all(store, "batch", 8, Some(60_000))?;
        let commits = store.stats()?.commits - before;
        assert_eq!(commits, 2, "one commit for the first call, and one for the eight behind it");
        for (number, token) in tokens.into_iter().enumerate().take(4) {
            self.release(store, &format!("batch/{number}"), "m", token)?;
        }
        Ok(())
    }

    /// Takes `number` locks with one commit: calls that come while the disk is busy with another one.
    fn take_all(
        &mut self,
        store: &Store,
        prefix: &str,
        number: usize,
        ttl_ms: Option<u64>,
    ) -> Result<Vec<Token>, StoreError> {
        let held = self.disk.hold_syncs();
        let keys: Vec<_> = (0..number).map(|n| format!("{prefix}/{n}")).collect();
        let first = format!("{prefix}/first");
        let (first, futures) = thread::scope(|scope| {
            let first = scope.spawn(|| store.lock(&first).holder("m").try_acquire());
            while !held.wait_for_sync(Duration::from_millis(1)) && !first.is_finished() {}
            let mut futures: Vec<AcquireFuture> = Vec::new();
            for key in &keys {
                let mut request = store.lock(key).holder("m");
                if let Some(ttl_ms) = ttl_ms {
                    request = request.ttl(Duration::from_millis(ttl_ms));
                }
                futures.push(request.try_acquire_async());
            }
            // Asked for now, and answered behind the commit that is held.
            let answers: Vec<_> = futures.iter_mut().map(poll_once).collect();
            drop(held);
            let first = first.join().expect("the first caller does not panic");
            (first, futures.into_iter().zip(answers).collect::<Vec<_>>())
        });
        self.told(first)?;
        let mut tokens = Vec::new();
        let mut failed = None;
        for (future, answer) in futures {
            let answer = match answer {
                Poll::Ready(answer) => answer,
                Poll::Pending => block_on(future),
            };
            match self.told(answer) {
                Ok(token) => tokens.push(token),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(tokens), Err)
    }

    fn hand_off(
        &mut self,
        store: &Store,
        key: &str,
        holder: &str,
        token: Token,
        next: &str,
    ) -> Result<Token, StoreError> {
        let waiter = Self::wait_in_line(store, key, next)?;
        let released = self.release(store, key, holder, token);
        let granted = self.told(block_on(waiter));
        released.and(granted)
    }

    fn expire(&mut self, store: &Store) -> Result<(), StoreError> {
        let first = self.take(store, "handed on", "a", Some(1_000))?;
        let waiter = Self::wait_in_line(store, "handed on", "b")?;
        let mut short = Vec::new();
        for n in 0..4 {
            let key = format!("short/{n}");
            short.push((self.take(store, &key, "a", Some(1_500 + n))?, key));
        }
        self.clock.advance(Duration::from_millis(1_200));
        self.told(block_on(waiter))?;
        self.account.take(Fact::Ended { token: first });
        self.clock.advance(Duration::from_secs(1));
        for (token, key) in short {
            let free = answer!(store.wait_until_free(&key, None), WaitError);
            assert!(free, "a wait without end ends when the key is free");
            self.account.take(Fact::Ended { token });
        }
        Ok(())
    }

    fn break_locks(&mut self, store: &Store) -> Result<(), StoreError> {
        // More than there are audit records kept.
        for n in 0..3 {
            let key = format!("broken/{n}");
            let token = self.take(store, &key, "a", None)?;
            let waiter = Self::wait_in_line(store, &key, "b")?;
            self.set_out_to_end(token);
            let broken = store.break_lock(&key, token, "in the way");
            let granted = self.told(block_on(waiter));
            answer!(broken, BreakError);
            self.account.take(Fact::Ended { token });
            granted?;
        }
        Ok(())
    }

    fn sessions(&mut self, store: &Store) -> Result<(), StoreError> {
        for ends in [true, false] {
            let session = answer!(store.session(), SessionError);
            let guard = store.lock(&format!("bound/{ends}")).session(&session).try_acquire();
            let token = self.told_of(guard, true)?;
            if ends {
                self.set_out_to_end(token);
                session.end()?;
                self.account.take(Fact::Ended { token });
            } else {
                self.session = Some(session);
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        store: &Store,
        key: &str,
        holder: &str,
        ttl_ms: Option<u64>,
    ) -> Result<Token, StoreError> {
        let mut request = store.lock(key).holder(holder);
        if let Some(ttl_ms) = ttl_ms {
            request = request.ttl(Duration::from_millis(ttl_ms));
        }
        self.told(request.try_acquire())
    }

    fn renew(
        &mut self,
        store: &Store,
        key: &str,
        holder: &str,
        token: Token,
    ) -> Result<(), StoreError> {
        self.clock.advance(Duration::from_secs(1));
        let asked_at = self.clock.now();
        let lasts = answer!(store.renew(key, holder, Some(token), None), RenewError);
        let valid_until = lasts.map(|lasts| asked_at.saturating_add(lasts));
        self.account.take(Fact::Renewed { token, valid_until });
        Ok(())
    }

    fn release(
        &mut self,
        store: &Store,
        key: &str,
        holder: &str,
        token: Token,
    ) -> Result<(), StoreError> {
        self.set_out_to_end(token);
        answer!(store.release(key, holder, Some(token)), ReleaseError);
        self.account.take(Fact::Ended { token });
        Ok(())
    }

    fn wait_in_line(store: &Store, key: &str, holder: &str) -> Result<AcquireFuture, StoreError> {
        let mut waiter = store.lock(key).holder(holder).acquire_async();
        assert!(poll_once(&mut waiter).is_pending(), "{key} is held");
        while answer!(store.inspect(key), ReadError).is_some_and(|lock| lock.waiters == 0) {
            thread::yield_now();
        }
        Ok(waiter)
    }

    fn told(&mut self, answer: Result<LockGuard, AcquireError>) -> Result<Token, StoreError> {
        self.told_of(answer, false)
    }

    fn told_of(
        &mut self,
        answer: Result<LockGuard, AcquireError>,
        bound: bool,
    ) -> Result<Token, StoreError> {
        let guard = answer!(answer, AcquireError);
        let (at, valid_until, mode) = (self.clock.now(), guard.valid_until(), guard.mode());
        let (key, holder) = (guard.key().clone(), guard.holder().clone());
        let token = guard.leak().token;
        let granted = Granted { token, key, holder, mode, bound, at, valid_until };
        self.account.take(Fact::Granted(granted));
        Ok(token)
    }

    fn set_out_to_end(&mut self, token: Token) {
        self.account.take(Fact::Ending { token, at: self.clock.now() });
    }
}
