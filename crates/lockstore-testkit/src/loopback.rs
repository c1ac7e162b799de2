//! A store elsewhere that is in this very process: every call goes through its commands, as it would to another process.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::{io, thread};

use lockstore::bson::{RawDocument, RawDocumentBuf, Uuid};
use lockstore::remote::{ClientSession, OnReply, Outstanding, Remote};
use lockstore::{Clock, CommandFuture, Instant, ReadError, Started, Store, StoreError};

/// The other end of an embedded store, in the same process.
///
/// ```
/// use std::sync::Arc;
///
/// use lockstore::StoreOptions;
/// use lockstore_testkit::clock::ManualClock;
/// use lockstore_testkit::loopback::Loopback;
///
/// let clock = Arc::new(ManualClock::new());
/// let embedded = StoreOptions::new().clock(clock.clone()).open_in_memory()?;
/// let store = Loopback::new(embedded, clock)?.into_store();
/// let guard = store.lock("nightly-report").acquire()?; // a command, and its reply
/// assert!(store.is_locked("nightly-report")?);
/// guard.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loopback {
    store: Mutex<Option<Store>>,
    clock: Arc<dyn Clock>,
    strict_release: bool,
    client_sessions: Mutex<Vec<ClientSession>>,
    parking: Arc<Parking>,
}

/// The commands that wait. One thread polls those that are woken.
#[derive(Debug)]
struct Parking {
    state: Mutex<State>,
    /// The numbers of those that were woken.
    woken: Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    parked: HashMap<u64, Arc<Mutex<Option<Parked>>>>,
    last: u64,
}

/// A command that waits, and who is to be told.
struct Parked {
    command: CommandFuture,
    on_reply: OnReply,
}

/// Has one of them polled.
struct Alarm {
    number: u64,
    parking: Weak<Parking>,
}

impl Loopback {
    /// The other end of `store`, whose clock is `clock`.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (woken, numbers) = channel();
        let parking = Arc::new(Parking { state: Mutex::default(), woken });
        let weak = Arc::downgrade(&parking);
        thread::Builder::new().name("loopback".into()).spawn(move || {
            for number in numbers {
                match weak.upgrade() {
                    Some(parking) => parking.poll(number),
                    None => return,
                }
            }
        })?;
        let (store, client_sessions) = (Mutex::new(Some(store)), Mutex::default());
        Ok(Self { store, clock, strict_release: false, client_sessions, parking })
    }

    /// Whether the release of what nobody holds is an error for [`lockstore::LockManager`]. Default no.
    #[must_use]
    pub fn strict_release(mut self, strict: bool) -> Self {
        self.strict_release = strict;
        self
    }

    /// The store that has this as its other end.
    pub fn into_store(self) -> Store {
        Store::remote(Arc::new(self))
    }

    fn store(&self) -> Result<Store, StoreError> {
        lock(&self.store).clone().ok_or(StoreError::Closed)
    }
}

impl Remote for Loopback {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        match self.store()?.is_locked("any") {
            Err(ReadError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        _deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        Ok(self.store()?.database(database).run_command(command))
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        _deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => {
                on_reply(Err(error));
                return Outstanding::answered();
            }
        };
        match store.database(database).start_command(&command) {
            Started::Reply(reply) => {
                on_reply(Ok(reply));
                Outstanding::answered()
            }
            Started::Pending(command) => self.parking.park(Parked { command, on_reply }),
        }
    }

    fn take_client_session(&self) -> Result<ClientSession, StoreError> {
        let new = || ClientSession { id: Uuid::new(), txn_number: 0 };
        Ok(lock(&self.client_sessions).pop().unwrap_or_else(new))
    }

    fn give_back_client_session(&self, session: ClientSession) {
        lock(&self.client_sessions).push(session);
    }

    fn strict_release(&self) -> bool {
        self.strict_release
    }

    fn close(&self) -> Result<(), StoreError> {
        let store = lock(&self.store).take();
        store.ok_or(StoreError::Closed)?.close()
    }
}

impl Parking {
    fn park(self: &Arc<Self>, parked: Parked) -> Outstanding {
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        state.parked.insert(number, Arc::new(Mutex::new(Some(parked))));
        drop(state);
        self.look_at(number);
        let parking = Arc::downgrade(self);
        Outstanding::new(move || {
            if let Some(parking) = parking.upgrade() {
                parking.leave(number);
            }
        })
    }

    /// Takes one out: it is answered, or given up.
    fn leave(&self, number: u64) {
        // What is given up may hand a lock on, which wakes others of these.
        let left = lock(&self.state).parked.remove(&number);
        drop(left);
    }

    fn look_at(&self, number: u64) {
        // There is no thread any more only when nobody holds the parking.
        let _ = self.woken.send(number);
    }

    fn poll(self: &Arc<Self>, number: u64) {
        let Some(parked) = lock(&self.state).parked.get(&number).cloned() else { return };
        let waker = Waker::from(Arc::new(Alarm { number, parking: Arc::downgrade(self) }));
        let mut place = lock(&parked);
        let Some(Parked { command, .. }) = &mut *place else { return };
        if let Poll::Ready(reply) = Pin::new(command).poll(&mut Context::from_waker(&waker)) {
            let answered = place.take();
            drop(place);
            self.leave(number);
            if let Some(Parked { on_reply, .. }) = answered {
                on_reply(Ok(reply));
            }
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(parking) = self.parking.upgrade() {
            parking.look_at(self.number);
        }
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("command", &self.command).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
