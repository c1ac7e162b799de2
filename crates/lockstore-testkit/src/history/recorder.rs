//! Writes a history down while it happens.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockstore::{Clock, Holder, Key};

use super::{Call, History, Moment, Operation, Outcome};

/// Records the operations of many threads, each of which has a [`Client`] of its own. Clones record
/// the same history.
///
/// An operation costs two readings of the clock and two additions to a shared counter.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

impl Recorder {
    /// Records on the clock of the store under test.
    pub fn new(clock: impl Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock: Box::new(clock),
                order: AtomicU64::new(0),
                clients: AtomicU32::new(0),
                logs: Mutex::default(),
            }),
        }
    }

    /// A new client. Dropping it ends it: what it has not seen answered by then is taken as crashed.
    pub fn client(&self) -> Client {
        let log = Arc::new(Mutex::new(Log::default()));
        lock(&self.shared.logs).push(Arc::clone(&log));
        Client {
            number: self.shared.clients.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(&self.shared),
            log,
        }
    }

    /// What happened until now. Operations of clients that still exist and were not answered are
    /// [`Outcome::Waiting`].
    pub fn history(&self) -> History {
        let mut operations = Vec::new();
        for log in lock(&self.shared.logs).iter() {
            let log = lock(log);
            let first = operations.len();
            operations.extend_from_slice(&log.operations);
            for operation in &mut operations[first..] {
                if !log.closed && operation.returned.is_none() {
                    operation.outcome = Outcome::Waiting;
                }
            }
        }
        History { operations, ended: self.shared.after() }
    }
}

/// One client of a recorded history.
#[derive(Debug)]
pub struct Client {
    number: u32,
    shared: Arc<Shared>,
    log: Arc<Mutex<Log>>,
}

impl Client {
    /// Call this right before the store is asked.
    pub fn invoked(&mut self, key: &Key, holder: &Holder, call: Call) -> Asked {
        let operation = Operation {
            client: self.number,
            key: key.clone(),
            holder: holder.clone(),
            call,
            invoked: self.shared.before(),
            returned: None,
            outcome: Outcome::Unknown,
        };
        let mut log = lock(&self.log);
        log.operations.push(operation);
        Asked { client: self.number, operation: log.operations.len() - 1 }
    }

    /// Call this right after the store answered.
    ///
    /// # Panics
    ///
    /// When `asked` comes from another client.
    #[allow(clippy::needless_pass_by_value)] // The answer uses it up.
    pub fn returned(&mut self, asked: Asked, outcome: Outcome) {
        let returned = self.shared.after();
        assert_eq!(asked.client, self.number, "asked by another client");
        let mut log = lock(&self.log);
        let operation = &mut log.operations[asked.operation];
        operation.returned = Some(returned);
        operation.outcome = outcome;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        lock(&self.log).closed = true;
    }
}

/// An operation that was asked and not answered yet.
#[derive(Debug)]
#[must_use = "an operation whose answer is not recorded counts as crashed"]
pub struct Asked {
    client: u32,
    operation: usize,
}

#[derive(Debug)]
struct Shared {
    clock: Box<dyn Clock>,
    order: AtomicU64,
    clients: AtomicU32,
    logs: Mutex<Vec<Arc<Mutex<Log>>>>,
}

impl Shared {
    /// A moment that is not after what follows.
    fn before(&self) -> Moment {
        let at = self.clock.now();
        let order = self.order.fetch_add(1, Ordering::AcqRel);
        Moment { order, at }
    }

    /// A moment that is not before what precedes. The clock is read last: whatever is ordered
    /// before this moment had happened when the clock showed its time.
    fn after(&self) -> Moment {
        let order = self.order.fetch_add(1, Ordering::AcqRel);
        let at = self.clock.now();
        Moment { order, at }
    }
}

/// One client's operations: its mutex is contended only when the history is read.
#[derive(Debug, Default)]
struct Log {
    operations: Vec<Operation>,
    closed: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::history::Wait;
    use lockstore::{Mode, Token};

    fn names() -> (Key, Holder) {
        (Key::new("k").unwrap(), Holder::new("h").unwrap())
    }

    const ACQUIRE: Call = Call::Acquire { mode: Mode::Exclusive, ttl: None, wait: Wait::Forever };

    #[test]
    fn what_is_not_answered_waits_or_has_crashed() {
        let recorder = Recorder::new(ManualClock::new());
        let (key, holder) = names();
        let mut crashed = recorder.client();
        let mut waiting = recorder.client();
        let mut answered = recorder.client();
        let _ = crashed.invoked(&key, &holder, ACQUIRE);
        let _ = waiting.invoked(&key, &holder, ACQUIRE);
        let asked = answered.invoked(&key, &holder, Call::IsLocked);
        answered.returned(asked, Outcome::Locked(true));
        drop(crashed);
        let history = recorder.history();
        let outcomes: Vec<_> = history.operations.iter().map(|it| &it.outcome).collect();
        assert_eq!(outcomes, [&Outcome::Unknown, &Outcome::Waiting, &Outcome::Locked(true)]);
        assert!(history.operations[2].returned.unwrap() < history.ended);
    }

    #[test]
    fn threads_record_at_the_same_time() {
        let recorder = Recorder::new(ManualClock::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = recorder.client();
                    let (key, holder) = names();
                    for _ in 0..1_000 {
                        let asked =
                            client.invoked(&key, &holder, Call::Break { token: Token::FIRST });
                        client.returned(asked, Outcome::NotHeld);
                    }
                });
            }
        });
        let history = recorder.history();
        assert_eq!(history.operations.len(), 4_000);
        for operation in history.operations {
            assert!(operation.invoked.order < operation.returned.unwrap().order);
        }
    }
}
