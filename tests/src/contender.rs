//! A thread that fights for a few locks in every way there is, and writes down what it asked and was told.

use std::fmt;
use std::task::Poll;
use std::time::Duration;

use lockstore::{
    AcquireError, BreakError, Holder, Key, LockGuard, LockRequest, Mode, ReleaseError, RenewError,
    Store,
};
use lockstore_testkit::history::{Call, Client, Outcome, Wait};

use crate::dice::Dice;
use crate::polling::{block_on, poll_once};

/// The locks that contenders fight for. The last one is sometimes shared.
const KEYS: [&str; 3] = ["a", "b", "shared"];

/// One client of a recorded history.
pub struct Contender<'a> {
    /// The store under test.
    pub store: &'a Store,
    /// Writes the history.
    pub client: Client,
    /// Where the choices come from.
    pub dice: Dice,
    /// Tells its holders from those of the others.
    pub name: String,
    /// How many holders it has been.
    pub taken: u64,
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A lock that is wanted, in one mode and for one holder.
struct Wish {
    key: Key,
    holder: Holder,
    mode: Mode,
    ttl: Option<Duration>,
}

impl Contender<'_> {
    /// Does one thing, of a few calls.
    ///
    /// # Panics
    ///
    /// When a call fails in a way that nothing asked for.
    pub fn step(&mut self) {
        let key = Key::new(self.dice.pick::<&str>(&KEYS)).expect("a key");
        match self.dice.below(100) {
            0..2 => self.cancel(&key),
            2..10 => self.break_somebody(&key),
            10..22 => self.is_locked(&key),
            22..28 => {
                self.inspect(&key);
            }
            28..32 => self.wait_until_free(&key),
            _ => self.hold(&key),
        }
    }

    fn hold(&mut self, key: &Key) {
        let wish = self.wish(key);
        let wait = match self.dice.below(4) {
            0 => Wait::No,
            1 | 2 => Wait::For(Duration::from_micros(self.dice.below(3_000))),
            _ => Wait::Forever,
        };
        let Some(mut guard) = self.acquire(&wish, wait) else { return };
        for _ in 0..self.dice.below(3) {
            match self.dice.below(4) {
                0 => {
                    // Its holder acquires again what it holds, or what it has lost meanwhile.
                    drop(guard.leak());
                    guard = match self.acquire(&wish, Wait::Forever) {
                        Some(guard) => guard,
                        None => return,
                    };
                }
                1 => self.is_holder(&wish),
                _ => self.renew(&guard, wish.ttl),
            }
        }
        match self.dice.below(16) {
            // Left to its lease, or to who breaks it.
            0..3 if wish.ttl.is_some() => drop(guard.leak()),
            3 if wish.ttl.is_some() => {
                // The drop of a guard that has a lease is answered by nobody.
                let token = Some(guard.token());
                let _ = self.client.invoked(&wish.key, &wish.holder, Call::Release { token });
                drop(guard);
            }
            _ => self.release(guard),
        }
    }

    fn acquire(&mut self, wish: &Wish, wait: Wait) -> Option<LockGuard> {
        let by_future = self.dice.chance(1, 2);
        let asked = self.client.invoked(&wish.key, &wish.holder, wish.call(wait));
        let request = wish.request(self.store);
        let answer = match (wait, by_future) {
            (Wait::No, false) => request.try_acquire(),
            (Wait::No, true) => block_on(request.try_acquire_async()),
            (Wait::For(patience), false) => request.acquire_timeout(patience),
            (Wait::For(patience), true) => block_on(request.acquire_timeout_async(patience)),
            (Wait::Forever, false) => request.acquire(),
            (Wait::Forever, true) => block_on(request.acquire_async()),
        };
        let (outcome, guard) = match answer {
            Ok(guard) => (told_of(&guard), Some(guard)),
            Err(AcquireError::Held { .. }) => (Outcome::Refused, None),
            Err(AcquireError::TimedOut { .. }) => (Outcome::TimedOut, None),
            Err(error) => panic!("{error}"),
        };
        self.client.returned(asked, outcome);
        guard
    }

    /// Asks, and gives up at once. The lock may have been granted by then, and is handed on.
    fn cancel(&mut self, key: &Key) {
        let wish = self.wish(key);
        let asked = self.client.invoked(&wish.key, &wish.holder, wish.call(Wait::Forever));
        let mut future = wish.request(self.store).acquire_async();
        for _ in 0..self.dice.below(50) {
            std::thread::yield_now();
        }
        match poll_once(&mut future) {
            Poll::Ready(Ok(guard)) => {
                self.client.returned(asked, told_of(&guard));
                self.release(guard);
            }
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => {
                let given_up = Call::Release { token: None };
                let _ = self.client.invoked(&wish.key, &wish.holder, given_up);
                drop(future);
            }
        }
    }

    fn renew(&mut self, guard: &LockGuard, ttl: Option<Duration>) {
        let token = Some(guard.token());
        let asked = self.client.invoked(guard.key(), guard.holder(), Call::Renew { token, ttl });
        let outcome = match guard.renew() {
            Ok(()) => Outcome::Renewed { valid_until: guard.valid_until() },
            Err(RenewError::LeaseLost { .. }) => Outcome::NotHeld,
            Err(error) => panic!("{error}"),
        };
        self.client.returned(asked, outcome);
    }

    fn release(&mut self, guard: LockGuard) {
        let token = Some(guard.token());
        let asked = self.client.invoked(guard.key(), guard.holder(), Call::Release { token });
        let outcome = match guard.release() {
            Ok(()) => Outcome::Released,
            Err(ReleaseError::Store(error)) => panic!("{error}"),
            Err(_) => Outcome::NotHeld,
        };
        self.client.returned(asked, outcome);
    }

    fn break_somebody(&mut self, key: &Key) {
        let Some(token) = self.inspect(key) else { return };
        let nobody = self.nobody();
        let asked = self.client.invoked(key, &nobody, Call::Break { token });
        let outcome = match self.store.break_lock(key, token, "in the way") {
            Ok(_) => Outcome::Broken,
            Err(BreakError::Store(error)) => panic!("{error}"),
            Err(_) => Outcome::NotHeld,
        };
        self.client.returned(asked, outcome);
    }

    fn inspect(&mut self, key: &Key) -> Option<lockstore::Token> {
        let nobody = self.nobody();
        let asked = self.client.invoked(key, &nobody, Call::Inspect);
        let shown = self.store.inspect(key).expect("the store serves");
        let holders = shown.map_or_else(Vec::new, |lock| lock.holders);
        let holders: Vec<_> = holders.into_iter().map(|it| (it.holder, it.token)).collect();
        let token = holders.first().map(|(_, token)| *token);
        self.client.returned(asked, Outcome::Holders(holders));
        token
    }

    fn is_locked(&mut self, key: &Key) {
        let nobody = self.nobody();
        let asked = self.client.invoked(key, &nobody, Call::IsLocked);
        let locked = self.store.is_locked(key).expect("the store serves");
        self.client.returned(asked, Outcome::Locked(locked));
    }

    fn is_holder(&mut self, wish: &Wish) {
        let asked = self.client.invoked(&wish.key, &wish.holder, Call::IsHolder);
        let holds = self.store.is_lock_holder(&wish.key, &wish.holder).expect("the store serves");
        self.client.returned(asked, Outcome::Holding(holds));
    }

    fn wait_until_free(&mut self, key: &Key) {
        let nobody = self.nobody();
        let asked = self.client.invoked(key, &nobody, Call::IsLocked);
        let patience = Some(Duration::from_micros(self.dice.below(2_000)));
        let free = self.store.wait_until_free(key, patience).expect("the store serves");
        // That it did not become free in time tells nothing.
        self.client.returned(asked, if free { Outcome::Locked(false) } else { Outcome::Failed });
    }

    fn wish(&mut self, key: &Key) -> Wish {
        self.taken += 1;
        let holder = Holder::new(&format!("{}/{}", self.name, self.taken)).expect("a holder");
        let shared = key.as_str() == "shared" && self.dice.chance(3, 4);
        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
        let ttl_ms = 1 + self.dice.below(6);
        let ttl = self.dice.chance(3, 4).then_some(Duration::from_millis(ttl_ms));
        Wish { key: key.clone(), holder, mode, ttl }
    }

    fn nobody(&self) -> Holder {
        Holder::new(&self.name).expect("a holder")
    }
}

impl Wish {
    fn request<'a>(&'a self, store: &'a Store) -> LockRequest<'a> {
        let mut request = store.lock(&self.key).holder(&self.holder);
        if self.mode == Mode::Shared {
            request = request.shared();
        }
        match self.ttl {
            Some(ttl) => request.ttl(ttl),
            None => request,
        }
    }

    fn call(&self, wait: Wait) -> Call {
        Call::Acquire { mode: self.mode, ttl: self.ttl, wait }
    }
}

fn told_of(guard: &LockGuard) -> Outcome {
    Outcome::Granted { token: guard.token(), valid_until: guard.valid_until() }
}
