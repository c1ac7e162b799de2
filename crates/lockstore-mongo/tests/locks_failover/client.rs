//! A process that fights for the lock, until it is killed.

use std::env;

use bson::doc;
use lockstore::{
    AcquireError, Clock, Collection, DocumentError, LockGuard, ReleaseError, RenewError, Session,
    Store, StoreError, SystemClock,
};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::crash::Ledger;

use super::told::{Answer, Asked, Told};
use super::{DATABASE, KEY, PATIENCE, SESSION_TTL, TTL, URI, WAIT, WITNESS, witness};

/// One client. Those with an even number take leases, the others bind what they hold to their session.
pub(crate) struct Client {
    ledger: Ledger,
    store: Store,
    clock: SystemClock,
    witness: Collection,
    is_bound: bool,
    asked: u64,
}

impl Client {
    pub(crate) fn from_env(ledger: Ledger) -> Self {
        let variable = |name: &str| env::var(name).unwrap();
        let options = ReplicaSetOptions::new().database(variable(DATABASE)).patience(PATIENCE);
        let store = options.session_ttl(SESSION_TTL).connect(&variable(URI)).unwrap();
        let witness = witness(&store, &variable(WITNESS));
        let is_bound = !ledger.seed().is_multiple_of(2);
        let clock = SystemClock::new().unwrap();
        Self { ledger, store, clock, witness, is_bound, asked: 0 }
    }

    /// Acquires, writes, renews and releases, for ever.
    pub(crate) fn contend(mut self) -> ! {
        let mut session = self.open();
        loop {
            let holder = format!("{}-{}", std::process::id(), self.asked);
            let wanted_at = self.clock.now().as_nanos();
            let guard = match self.acquire(&holder, session.as_ref()) {
                Ok(Some(guard)) => guard,
                Ok(None) => continue,
                Err(()) => {
                    session = self.open();
                    continue;
                }
            };
            if self.is_bound {
                // It ends with its session, whenever that may be, if nothing else ends it: also before its process, that was stopped, is told of it.
                self.asks_since(wanted_at, &holder, Asked::Release(guard.token().get()));
            }
            self.write(&guard);
            if !self.is_bound && self.asked.is_multiple_of(3) {
                self.renew(&guard);
                self.write(&guard);
            }
            self.release(guard);
        }
    }

    /// A session is over when its process was stopped for too long, or had no primary.
    fn open(&self) -> Option<Session> {
        if !self.is_bound {
            return None;
        }
        loop {
            if let Ok(session) = self.store.session() {
                return Some(session);
            }
        }
    }

    /// An error when the session is over.
    fn acquire(
        &mut self,
        holder: &str,
        session: Option<&Session>,
    ) -> Result<Option<LockGuard>, ()> {
        let operation = self.asks(holder, Asked::Acquire { is_bound: self.is_bound });
        let request = self.store.lock(KEY).holder(holder);
        let request = match session {
            Some(session) => request.session(session),
            None => request.ttl(TTL),
        };
        let acquired = request.acquire_timeout(WAIT);
        let is_over = matches!(acquired, Err(AcquireError::SessionEnded));
        let answer = match &acquired {
            Ok(guard) => Answer::Granted { token: guard.token().get(), until: until(guard) },
            Err(AcquireError::TimedOut { .. }) => Answer::TimedOut,
            Err(AcquireError::Store(error)) => of(error),
            Err(_) if is_over => Answer::Failed,
            Err(error) => panic!("{error:?}"),
        };
        self.is_answered(operation, answer);
        if is_over { Err(()) } else { Ok(acquired.ok()) }
    }

    /// Adds the token to those in the witness: whoever is not the holder any more is refused.
    fn write(&self, guard: &LockGuard) {
        let token = guard.token().get();
        self.tell(&Told::Writes { token });
        let push = doc! { "$push": { "tokens": token.cast_signed() } };
        let fenced = self.witness.fenced_by(guard.fence());
        let is_done = match fenced.update_one(doc! { "_id": "w" }, push).run() {
            Ok(done) => Some(done.modified_count == 1),
            Err(DocumentError::LockLost(_)) => Some(false),
            Err(_) => None,
        };
        self.tell(&Told::Wrote { token, is_done });
    }

    fn renew(&mut self, guard: &LockGuard) {
        let operation = self.asks(guard.holder(), Asked::Renew(guard.token().get()));
        let answer = match guard.renew() {
            Ok(()) => Answer::Renewed { until: until(guard) },
            Err(RenewError::Store(error)) => of(&error),
            Err(_) => Answer::NotHeld,
        };
        self.is_answered(operation, answer);
    }

    fn release(&mut self, guard: LockGuard) {
        let operation = self.asks(guard.holder(), Asked::Release(guard.token().get()));
        let answer = match guard.release() {
            Ok(()) => Answer::Released,
            Err(ReleaseError::Store(error)) => of(&error),
            Err(_) => Answer::NotHeld,
        };
        self.is_answered(operation, answer);
    }

    fn asks(&mut self, holder: &str, asked: Asked) -> u64 {
        let now = self.clock.now().as_nanos();
        self.asks_since(now, holder, asked)
    }

    fn asks_since(&mut self, at: u64, holder: &str, asked: Asked) -> u64 {
        self.asked += 1;
        let operation = self.asked;
        self.tell(&Told::Asked { operation, holder: holder.into(), asked, at });
        operation
    }

    fn is_answered(&self, operation: u64, answer: Answer) {
        let at = self.clock.now().as_nanos();
        self.tell(&Told::Answered { operation, answer, at });
    }

    fn tell(&self, told: &Told) {
        self.ledger.acknowledge(told).unwrap();
    }
}

fn until(guard: &LockGuard) -> Option<u64> {
    guard.valid_until().map(lockstore::Instant::as_nanos)
}

/// What an error leaves open.
fn of(error: &StoreError) -> Answer {
    match error {
        StoreError::Unreachable { .. } => Answer::Failed,
        StoreError::OutcomeUnknown { .. } => Answer::Unknown,
        error => panic!("{error:?}"),
    }
}
